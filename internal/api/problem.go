package api

import (
	"encoding/json"
	"net/http"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// problem is an error answer (RFC 9457). It is an error itself, which is how
// handlers hand it to the framework.
type problem struct{ wire.Problem }

// Error returns the detail.
func (p *problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problems.
func (p *problem) ContentType(string) string { return mediaProblem }

// problemOf turns an error into an answer. nil stays nil.
func problemOf(err error) error {
	if err == nil {
		return nil
	}
	return newProblem(err)
}

func newProblem(err error) *problem {
	kind := cluster.KindOf(err)
	status := statusOf(kind)
	return &problem{wire.Problem{
		Title: http.StatusText(status), Status: status,
		Detail: err.Error(), Code: kind.String(), Hint: cluster.HintOf(err),
	}}
}

func statusOf(kind cluster.Kind) int {
	switch kind {
	case cluster.Invalid:
		return http.StatusBadRequest
	case cluster.NotFound:
		return http.StatusNotFound
	case cluster.Exists, cluster.Conflict:
		return http.StatusConflict
	case cluster.Denied:
		return http.StatusForbidden
	case cluster.Unavailable:
		return http.StatusServiceUnavailable
	case cluster.Unknown:
		return http.StatusGatewayTimeout
	case cluster.Internal:
	}
	return http.StatusInternalServerError
}

// writeProblem answers a request with an error.
func writeProblem(w http.ResponseWriter, err error) { newProblem(err).write(w) }

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.Problem) // the caller may be gone
}

// writeJSON answers a request with a value.
func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", mediaJSON)
	_ = json.NewEncoder(w).Encode(value) // the caller may be gone
}
