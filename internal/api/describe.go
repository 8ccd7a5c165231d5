package api

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"argosy/internal/api/wire"
	"argosy/internal/systemd"
)

// How the API describes itself, where the framework cannot see it by the types
// of a handler.

// shape says what goes in and comes out of a call. A nil type is nothing; an
// answer without one has no content.
type shape struct {
	in, out reflect.Type
	// lines says that the answer is a stream, of out as JSON, one a line; text
	// that it is a text in a form that note names; raw that both bodies are bytes
	// of a protocol of their own, which note names.
	lines, text, raw bool
	query            []*huma.Param
	note             string
}

// exchange is the shape of a call with one JSON body each way.
func exchange[I, O any]() shape { return shape{in: reflect.TypeFor[I](), out: reflect.TypeFor[O]()} }

// taking is the shape of a call that is answered with nothing.
func taking[I any]() shape { return shape{in: reflect.TypeFor[I]()} }

// noted adds what its reader must know besides.
func (s shape) noted(text string) shape {
	s.note = text
	return s
}

// linesOf is the shape of a stream of messages.
func linesOf[M any](query ...*huma.Param) shape {
	return shape{out: reflect.TypeFor[M](), lines: true, query: query}
}

// The media types of bodies.
const (
	mediaJSON    = "application/json"
	mediaLines   = "application/x-ndjson"
	mediaText    = "text/plain"
	mediaBytes   = "application/octet-stream"
	mediaProblem = "application/problem+json"
)

// param is a parameter in the query; what it may be is said in words, since the
// handler reads it.
func param(name, kind, description string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: &huma.Schema{Type: kind}}
}

// params is one that may be given more than once.
func params(name, description string) *huma.Param {
	p := param(name, huma.TypeArray, description)
	p.Schema.Items = &huma.Schema{Type: huma.TypeString}
	return p
}

func afterParam() *huma.Param {
	return param("after", huma.TypeInteger, "a revision: what the reader has seen already")
}

func followParam() *huma.Param {
	return param("follow", huma.TypeBoolean, "go on with what comes")
}

func linesParam() *huma.Param {
	return param("lines", huma.TypeInteger, "how many lines of the past; 10 by default")
}

func outputParam() *huma.Param {
	return param("output", huma.TypeString, "the form, as journalctl has it: "+strings.Join(systemd.JournalForms(), ", "))
}

// describe makes the description that all routes have in common.
func describe(r route) huma.Operation {
	id := strings.NewReplacer("/v1/", "", "/", "-", "{", "", "}", "", ":", "-").Replace(r.path)
	return huma.Operation{
		OperationID: strings.ToLower(r.method) + "-" + strings.TrimPrefix(id, "-"), Method: r.method, Path: r.path, Summary: r.summary,
	}
}

// placeholders returns the names that parts of a path stand for.
func placeholders(path string) (names []string) {
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// describeShape describes a route that the framework does not serve.
func describeShape(types huma.Registry, r route, s shape) huma.Operation {
	op := describe(r)
	op.Description = s.note
	for _, name := range placeholders(r.path) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	op.Parameters = slices.Concat(op.Parameters, s.query)
	if content := s.content(types, s.in, mediaJSON); content != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: content}
	}
	op.Responses = map[string]*huma.Response{"default": problemResponse(types)}
	media := mediaJSON
	switch {
	case s.lines:
		media = mediaLines
	case s.text:
		media = mediaText
	}
	if content := s.content(types, s.out, media); content != nil {
		op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: content}
	} else {
		op.Responses["204"] = &huma.Response{Description: http.StatusText(http.StatusNoContent)}
	}
	return op
}

// content describes a body; nil if there is none.
func (s shape) content(types huma.Registry, body reflect.Type, media string) map[string]*huma.MediaType {
	switch {
	case s.raw:
		return map[string]*huma.MediaType{mediaBytes: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	case body == nil:
		return nil
	}
	return map[string]*huma.MediaType{media: {Schema: types.Schema(body, true, "")}}
}

// problemResponse describes an error, of ours or of the framework, which checks
// requests before us.
func problemResponse(types huma.Registry) *huma.Response {
	ours := types.Schema(reflect.TypeFor[wire.Problem](), true, "")
	framework := types.Schema(reflect.TypeFor[huma.ErrorModel](), true, "")
	return &huma.Response{
		Description: "Problem (RFC 9457)",
		Content:     map[string]*huma.MediaType{mediaProblem: {Schema: &huma.Schema{AnyOf: []*huma.Schema{ours, framework}}}},
	}
}
