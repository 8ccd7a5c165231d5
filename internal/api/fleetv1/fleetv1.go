// Package fleetv1 speaks the HTTP API of fleet 1.0 (/fleet/v1/…), for the tools
// that were written against it. It is served on unix sockets only: that API knows
// no identities.
//
// Nothing is decided here: every route translates a request into the server's
// own operations (Operations) and their outcome into fleet's words. A unit's
// options stand for the text of its file (options.go); a page token names the
// last row of the page before, so that rows that come and go between two pages
// make no other row appear twice or not at all (page.go).
//
// Where fleet's documentation and its code disagree, both are understood. What
// is different on purpose stands in docs/guide/fleet.md.
package fleetv1

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// Operations are what the server does; package api implements them. Errors are
// cluster errors.
type Operations interface {
	// Units returns the units after a name, most of them at the most, with
	// their texts, by name.
	Units(ctx context.Context, after cluster.UnitName, most int) ([]wire.UnitView, error)
	Unit(ctx context.Context, name cluster.UnitName) (wire.UnitView, error)
	// Statuses returns what nodes say of units, by unit and node, from the
	// first that comes after a row.
	Statuses(ctx context.Context, query StatusQuery) ([]cluster.Status, error)
	// Nodes returns all nodes by ID.
	Nodes(ctx context.Context) ([]wire.NodeView, error)

	Submit(ctx context.Context, request wire.SubmitRequest) error
	SetDesired(ctx context.Context, request wire.DesiredRequest) error
	Destroy(ctx context.Context, name cluster.UnitName) error
	// Label changes labels of several nodes, of all or of none; an empty value
	// removes a label.
	Label(ctx context.Context, patch map[cluster.NodeID]map[string]string) error
}

// StatusQuery says which statuses are wanted.
type StatusQuery struct {
	AfterUnit cluster.UnitName
	AfterNode cluster.NodeID
	Unit      cluster.UnitName // "": of all
	Node      cluster.NodeID   // "": of all
	Most      int
}

// Prefixes are the folders of paths that Handler serves; the second is what
// fleet called the API before it was finished.
func Prefixes() []string { return []string{"/fleet/v1/", "/v1-alpha/"} }

// bodyMax bounds a request: one unit of the largest size, as options. Every
// line of a unit file costs some 50 bytes more as an option.
const bodyMax = 8 << 20

// pageMax is how many rows one answer has; fleet's default.
const pageMax = 100

// handler serves one method of one route.
type handler func(r *http.Request) (answer, error)

// answer is what a call is answered: a status and, with 200, a body.
type answer struct {
	status int
	body   any
}

// api translates.
type api struct {
	ops    Operations
	status func(cluster.Kind) int
}

// New returns the handler of the paths below Prefixes. status is the HTTP
// status of a kind of error.
func New(ops Operations, status func(cluster.Kind) int) http.Handler {
	a := &api{ops, status}
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]handler{
		"units":        {"GET": a.listUnits},
		"units/{name}": {"GET": a.getUnit, "PUT": a.putUnit, "DELETE": a.deleteUnit},
		"state":        {"GET": a.listStates},
		"state/{name}": {"GET": a.getState},
		"machines":     {"GET": a.listMachines, "PATCH": a.patchMachines},
		"discovery":    {"GET": discovery},
	} {
		for _, prefix := range Prefixes() {
			mux.HandleFunc(prefix+path, a.route(methods))
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "there is no "+clip(r.URL.Path)+" in fleet's API v1")
	})
	return mux
}

// Refuse returns a handler that refuses every call, in the form that callers of
// this API read.
func Refuse(err error, status func(cluster.Kind) int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, status(cluster.KindOf(err)), say(err))
	})
}

// route serves one path.
func (a *api) route(methods map[string]handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		do, ok := methods[r.Method]
		if !ok {
			allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
			w.Header().Set("Allow", allowed)
			writeError(w, http.StatusMethodNotAllowed, "use "+allowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		got, err := do(r)
		if err != nil {
			writeError(w, a.statusOf(err), say(err))
			return
		}
		if got.body == nil {
			w.WriteHeader(got.status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(got.body) // the caller may be gone
	}
}

// formError is a request that is refused for its form, with a status of its own.
type formError struct {
	status int
	reason string
}

func (e *formError) Error() string { return e.reason }

func (a *api) statusOf(err error) int {
	if form, ok := errors.AsType[*formError](err); ok {
		return form.status
	}
	return a.status(cluster.KindOf(err))
}

// say puts an error and its hint into one line: fleet's errors have one only.
func say(err error) string {
	text := err.Error()
	if hint := cluster.HintOf(err); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}

func writeError(w http.ResponseWriter, status int, message string) {
	var body struct {
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = status, message
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

// decode reads a body of one of the media types.
func decode(r *http.Request, into any, types ...string) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(types) > 0 && (err != nil || !slices.Contains(types, media)) {
		return &formError{http.StatusUnsupportedMediaType, "the Content-Type must be " + types[0]}
	}
	decoder := json.NewDecoder(r.Body)
	if err := decoder.Decode(into); err != nil {
		return badBody(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badBody(errors.New("there is more than one value"))
	}
	return nil
}

func badBody(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &formError{http.StatusRequestEntityTooLarge, large.Error()}
	}
	return cluster.Errorf(cluster.Invalid, "the body cannot be read: %w", err)
}

// clip shortens what a caller sent before it is said back.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
