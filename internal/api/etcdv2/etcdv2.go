// Package etcdv2 serves version 2 of etcd's API, as old programs and curl speak it:
// /v2/keys with all that it could, and as much of the rest as clients look at before
// they begin. What requests mean stands in package v2keys.
package etcdv2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
	"argosy/internal/v2keys"
)

// The paths that are served.
const (
	PathKeys     = "/v2/keys" // and all below
	PathVersion  = "/version"
	PathHealth   = "/health"
	PathMachines = "/v2/machines"
	PathMembers  = "/v2/members"
	PathLeader   = "/v2/members/leader"
)

// Deps are what is served, and with what.
type Deps struct {
	Space keyspace.Space
	// Members lists the servers, and asks each how it is if that is wanted.
	Members func(ctx context.Context, health bool) ([]keyspace.Member, error)
	Cluster func() cluster.ID
	Version string // of etcd
	Now     func() time.Time
	Random  func() uint32
}

// handler serves the API.
type handler struct{ Deps }

// New makes the handler.
func New(deps Deps) http.Handler {
	h := handler{deps}
	mux := http.NewServeMux()
	mux.HandleFunc(PathKeys, h.keys)
	mux.HandleFunc(PathKeys+"/", h.keys)
	mux.HandleFunc("GET "+PathVersion, h.version)
	mux.HandleFunc("GET "+PathHealth, h.health)
	mux.HandleFunc("GET "+PathMachines, h.machines)
	mux.HandleFunc("GET "+PathMembers, h.members)
	mux.HandleFunc("GET "+PathLeader, h.leader)
	return mux
}

// Waits reports whether a request is answered when something happens, which may be
// never.
func Waits(r *http.Request) bool {
	wait, _ := strconv.ParseBool(r.URL.Query().Get("wait"))
	return wait && r.Method == http.MethodGet
}

// bodyMax bounds a form: what a request may write, in the longest spelling.
const bodyMax = 3*keyspace.RequestBytesMax + 16<<10

// keys serves the keys.
func (h handler) keys(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete:
	default:
		w.Header().Set("Allow", "GET, PUT, POST, DELETE")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	if err := r.ParseForm(); err != nil {
		h.refuse(w, v2keys.Fail(v2keys.InvalidForm, err.Error(), 0))
		return
	}
	request, wrong := v2keys.Parse(r.Method, strings.TrimPrefix(r.URL.Path, PathKeys), r.Form)
	if wrong != nil {
		h.refuse(w, wrong)
		return
	}
	switch {
	case request.Wait:
		h.wait(w, r, request)
	case request.Verb == v2keys.Get:
		h.answer(w, func() (v2keys.Answer, cluster.Revision, error) { return h.read(r.Context(), request) })
	default:
		h.answer(w, func() (v2keys.Answer, cluster.Revision, error) { return h.write(r.Context(), request) })
	}
}

// answer writes what came of a request.
func (h handler) answer(w http.ResponseWriter, do func() (v2keys.Answer, cluster.Revision, error)) {
	answer, rev, err := do()
	if err != nil {
		h.refuse(w, asV2(err, rev))
		return
	}
	h.head(w, rev)
	if answer.Created() {
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(answer) // the caller may be gone
}

// head writes the headers that every answer has.
func (h handler) head(w http.ResponseWriter, rev cluster.Revision) {
	index := strconv.FormatInt(int64(rev), 10)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Etcd-Cluster-Id", string(h.Cluster()))
	w.Header().Set("X-Etcd-Index", index)
	w.Header().Set("X-Raft-Index", index)
	w.Header().Set("X-Raft-Term", "1")
}

func (h handler) refuse(w http.ResponseWriter, e *v2keys.Error) {
	h.head(w, e.Index)
	w.WriteHeader(e.Status())
	_ = json.NewEncoder(w).Encode(e) // the caller may be gone
}

// asV2 puts an error into the words of version 2.
func asV2(err error, rev cluster.Revision) *v2keys.Error {
	if e, ok := errors.AsType[*v2keys.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, keyspace.ErrCompacted):
		return v2keys.Fail(v2keys.EventIndexCleared, "the requested history has been cleared", rev)
	case cluster.KindOf(err) == cluster.Invalid:
		return v2keys.Fail(v2keys.InvalidField, err.Error(), rev)
	}
	return v2keys.Fail(v2keys.RaftInternal, err.Error(), rev)
}

// read answers a request that reads.
func (h handler) read(ctx context.Context, r v2keys.Request) (v2keys.Answer, cluster.Revision, error) {
	view, err := h.view(ctx, r)
	if err != nil {
		return v2keys.Answer{}, 0, err
	}
	answer, wrong := view.Show(r)
	if wrong != nil {
		return answer, view.Revision, wrong
	}
	return answer, view.Revision, nil
}

// version says which etcd it is.
func (h handler) version(w http.ResponseWriter, _ *http.Request) {
	h.json(w, map[string]string{"etcdserver": h.Version, "etcdcluster": h.Version})
}

// health says whether keys can be read now.
func (h handler) health(w http.ResponseWriter, r *http.Request) {
	_, _, err := h.Space.Read(r.Context(), keyspace.Query{Span: keyspace.One(keyspace.Keys + "health")})
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	h.json(w, map[string]string{"health": strconv.FormatBool(err == nil)})
}

// machines says where the API is: where the caller found it, for it reaches no other.
func (h handler) machines(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprint(w, "http://"+r.Host) // the caller may be gone
}

// member is a member as version 2 shows it.
type member struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	// What version 2 said elsewhere, of a member that nobody but us can reach.
	Healthy bool `json:"healthy,omitempty"`
	Leader  bool `json:"leader,omitempty"`
}

func (h handler) members(w http.ResponseWriter, r *http.Request) {
	health, _ := strconv.ParseBool(r.URL.Query().Get("health"))
	all, err := h.Members(r.Context(), health)
	if err != nil {
		h.refuse(w, asV2(err, 0))
		return
	}
	list := []member{}
	for _, m := range all {
		list = append(list, memberOf(m, r.Host))
	}
	h.json(w, map[string][]member{"members": list})
}

// memberOf is a member under the address at which the caller found the API.
func memberOf(m keyspace.Member, host string) member {
	return member{strconv.FormatUint(m.ID, 16), m.Name, m.PeerURLs, []string{"http://" + host}, m.Healthy, m.Leader}
}

// leader tells which member leads.
func (h handler) leader(w http.ResponseWriter, r *http.Request) {
	all, err := h.Members(r.Context(), true)
	if err != nil {
		h.refuse(w, asV2(err, 0))
		return
	}
	for _, m := range all {
		if m.Leader {
			h.json(w, memberOf(m, r.Host))
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	h.json(w, map[string]string{"message": "During election"})
}

func (h handler) json(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the caller may be gone
}
