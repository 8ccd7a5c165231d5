package api

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"argosy/internal/api/wire"
	"argosy/internal/mirror"
	"argosy/internal/store/memstore"
)

// document is a description of the API as far as it is looked at.
type document struct {
	OpenAPI    string
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]described
	Components struct{ Schemas map[string]map[string]any }
}

type described struct {
	OperationID string
	Summary     string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   map[string]any
	}
	RequestBody *struct{ Content map[string]media }
	Responses   map[string]struct {
		Description string
		Content     map[string]media
	}
}

type media struct{ Schema map[string]any }

// describeAPI returns what a server says of itself, and the routes it has.
func describeAPI(t *testing.T) (document, []route) {
	t.Helper()
	db := memstore.New().Client()
	s := NewServer(Deps{Store: db, Mirror: mirror.New(db, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler)})
	w := httptest.NewRecorder()
	s.Local().ServeHTTP(w, httptest.NewRequest("GET", wire.PathOpenAPI, nil))
	var doc document
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatalf("%d %v: %.300s", w.Code, err, w.Body)
	}
	return doc, s.router().listed
}

func TestTheAPIDescribesItself(t *testing.T) {
	doc, routes := describeAPI(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("version %s of %+v", doc.OpenAPI, doc.Info)
	}
	served := map[string]bool{wire.PathOpenAPI: true}
	count := 0
	for _, r := range routes {
		served[r.path] = true
		if _, ok := doc.Paths[r.path][strings.ToLower(r.method)]; !ok {
			t.Errorf("%s %s is not described", r.method, r.path)
		}
	}
	for _, methods := range doc.Paths {
		count += len(methods)
	}
	if count != len(routes) {
		t.Errorf("%d calls are described, there are %d", count, len(routes))
	}
	for name, path := range wirePaths(t) {
		if !served[path] {
			t.Errorf("wire.%s (%s) is no route of a server", name, path)
		}
	}
}

// wirePaths returns the constants of package wire that are paths.
func wirePaths(t *testing.T) map[string]string {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), "wire", nil, 0) //nolint:staticcheck // no build constraints there
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	ast.Inspect(packages["wire"], func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Path") {
			paths[spec.Names[0].Name], err = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		return err == nil
	})
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d paths, %v", len(paths), err)
	}
	return paths
}

// What OpenAPI 3.1 asks of a document, as far as ours uses it.
func TestTheDescriptionIsSoundOpenAPI(t *testing.T) {
	doc, _ := describeAPI(t)
	ids := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			call := method + " " + path
			if other, taken := ids[op.OperationID]; taken || op.OperationID == "" {
				t.Errorf("%s: its ID %q is that of %q", call, op.OperationID, other)
			}
			ids[op.OperationID] = call
			for _, wrong := range unsound(path, op, doc.Components.Schemas) {
				t.Errorf("%s: %s", call, wrong)
			}
		}
	}
	for name, schema := range doc.Components.Schemas {
		for _, wrong := range badSchema(schema, doc.Components.Schemas) {
			t.Errorf("schema %s: %s", name, wrong)
		}
	}
}

// unsound says what is wrong with one call.
func unsound(path string, op described, known map[string]map[string]any) (wrong []string) {
	if op.Summary == "" {
		wrong = append(wrong, "no summary")
	}
	var inPath []string
	seen := map[string]bool{}
	for _, p := range op.Parameters {
		if seen[p.In+p.Name] {
			wrong = append(wrong, "parameter "+p.Name+" comes twice")
		}
		seen[p.In+p.Name] = true
		if p.In == "path" && p.Required {
			inPath = append(inPath, p.Name)
		} else if p.In != "query" {
			wrong = append(wrong, fmt.Sprintf("parameter %s in %q, required: %v", p.Name, p.In, p.Required))
		}
		wrong = append(wrong, badSchema(p.Schema, known)...)
	}
	var named []string
	for _, match := range regexp.MustCompile(`{([a-z]+)}`).FindAllStringSubmatch(path, -1) {
		named = append(named, match[1])
	}
	if slices.Sort(inPath); !slices.Equal(inPath, slices.Sorted(slices.Values(named))) {
		wrong = append(wrong, fmt.Sprintf("parameters of the path %v", inPath))
	}
	if op.RequestBody != nil {
		wrong = append(wrong, badContent("the request", op.RequestBody.Content, known)...)
	}
	_, ok := op.Responses["200"]
	_, empty := op.Responses["204"]
	if ok == empty || op.Responses["default"].Content["application/problem+json"].Schema == nil {
		wrong = append(wrong, fmt.Sprintf("answers %v", slices.Sorted(maps.Keys(op.Responses))))
	}
	for code, answer := range op.Responses {
		if answer.Description == "" {
			wrong = append(wrong, code+" has no description")
		}
		if code != "204" {
			wrong = append(wrong, badContent(code, answer.Content, known)...)
		}
	}
	return wrong
}

func badContent(what string, content map[string]media, known map[string]map[string]any) (wrong []string) {
	if len(content) != 1 {
		wrong = append(wrong, fmt.Sprintf("%s: %d kinds of content", what, len(content)))
	}
	for kind, m := range content {
		if len(m.Schema) == 0 {
			wrong = append(wrong, what+": "+kind+" has no schema")
		}
		wrong = append(wrong, badSchema(m.Schema, known)...)
	}
	return wrong
}

// badSchema says what is wrong with a schema: references that lead nowhere,
// types that do not exist, lists of nothing.
func badSchema(value any, known map[string]map[string]any) (wrong []string) {
	switch v := value.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && known[strings.TrimPrefix(ref, "#/components/schemas/")] == nil {
			wrong = append(wrong, "nothing is at "+ref)
		}
		wrong = append(wrong, badTypes(v)...)
		for _, part := range v {
			wrong = append(wrong, badSchema(part, known)...)
		}
	case []any:
		for _, part := range v {
			wrong = append(wrong, badSchema(part, known)...)
		}
	}
	return wrong
}

func badTypes(schema map[string]any) (wrong []string) {
	var types []any
	switch v := schema["type"].(type) {
	case string:
		types = []any{v}
	case []any:
		types = v
	}
	for _, kind := range types {
		if !slices.Contains([]any{"object", "array", "string", "integer", "number", "boolean", "null"}, kind) {
			wrong = append(wrong, fmt.Sprintf("type %v", kind))
		}
	}
	if slices.Contains(types, any("array")) && schema["items"] == nil {
		wrong = append(wrong, "a list of nothing")
	}
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if text, ok := name.(string); !ok || properties[text] == nil {
			wrong = append(wrong, fmt.Sprintf("%v is required and not there", name))
		}
	}
	return wrong
}

// Whoever refuses, the handlers of ours, the framework or nobody at all: an
// error is a problem.
func TestEveryErrorIsAProblem(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, body string
		remote                   bool
		status                   int
	}{
		{"an operation", "GET", "/v1/units/none.service", "", false, 404},
		{"a stream", "GET", "/v1/units/none.service/journal?lines=x", "", false, 400},
		{"somebody without an identity", "GET", wire.PathUnits, "", true, 403},
		{"somebody without an identity, of a stream", "GET", wire.PathWatch, "", true, 403},
		{"a second cluster", "POST", wire.PathInit, "{}", false, 409},
		{"the framework", "POST", wire.PathScale, `{"colour": "red"}`, false, 422},
		{"the framework, of JSON", "POST", wire.PathScale, `{`, false, 400},
		{"a path that does not exist", "GET", "/v1/none", "", false, 404},
		{"a method that does not exist", "PUT", wire.PathUnits, "", false, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				handler := b.server.Local()
				if tt.remote {
					handler = b.server.Handler()
				}
				w := httptest.NewRecorder()
				r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
				r.Header.Set("Content-Type", "application/json")
				handler.ServeHTTP(w, r)
				var problem wire.Problem
				err := json.Unmarshal(w.Body.Bytes(), &problem)
				if w.Code != tt.status || w.Header().Get("Content-Type") != "application/problem+json" ||
					err != nil || problem.Status != tt.status || problem.Title == "" || problem.Detail == "" {
					t.Errorf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
				}
			})
		})
	}
}
