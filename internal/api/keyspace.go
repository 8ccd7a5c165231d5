package api

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/etcdv2"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/keyspace"
	"argosy/internal/loop"
	"argosy/internal/pki"
)

// KeySpace is the key space of applications; etcdspace.Service is.
type KeySpace interface {
	keyspace.Space
	http.Handler // etcd's API, version 3
	// Enter lets a caller's request in, or says why not; leave is called when it is over.
	Enter(ctx context.Context, who string, stream bool) (leave func(), err error)
	Members(ctx context.Context) ([]keyspace.Member, error)
	Version() string // of etcd
}

// etcdServices are those of etcd's API, version 3, that are served.
func etcdServices() []string { return []string{"KV", "Watch", "Lease", "Cluster", "Maintenance"} }

// keyRoutes are those of the key space of applications: ours, and both of etcd's.
func (s *Server) keyRoutes(r *router) {
	operation(r, route{"GET", wire.PathKeys, anyMember, "Read the key space of applications"}, s.readKeys)
	operation(r, route{"POST", wire.PathKeys, anyMember, "Write to the key space of applications"}, s.writeKeys)
	r.stream(route{"GET", wire.PathKeysWatch, anyMember, "Follow what changes in the key space"}, keyEvents(), s.watchKeys)
	v3, v2 := s.etcd()
	etcdRoutes(v3, v2, func(to route, handler http.HandlerFunc) {
		r.stream(to, shape{raw: true, note: "In etcd's own form."}, handler)
	})
}

// etcdRoutes are the routes of etcd's API, both versions.
func etcdRoutes(v3, v2 http.HandlerFunc, add func(route, http.HandlerFunc)) {
	for _, service := range etcdServices() {
		add(route{"POST", "/etcdserverpb." + service + "/{method}", anyMember, "Version 3 of etcd's API: " + service}, v3)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		for _, path := range []string{etcdv2.PathKeys, etcdv2.PathKeys + "/{key}"} {
			add(route{method, path, anyMember, "Version 2 of etcd's API: keys"}, v2)
		}
	}
	for _, path := range []string{etcdv2.PathVersion, etcdv2.PathHealth, etcdv2.PathMachines, etcdv2.PathMembers, etcdv2.PathLeader} {
		add(route{http.MethodGet, path, anyMember, "Version 2 of etcd's API"}, v2)
	}
}

// etcd serves the two versions of etcd's API.
func (s *Server) etcd() (v3, v2 http.HandlerFunc) {
	if s.Keys == nil {
		none := func(w http.ResponseWriter, r *http.Request) {
			refuseEtcd(w, r, client.GRPCUnavailable, noKeySpace())
		}
		return none, none
	}
	streams := func(r *http.Request) bool {
		return r.PathValue("method") == "Watch" || r.PathValue("method") == "LeaseKeepAlive"
	}
	old := etcdv2.New(etcdv2.Deps{
		Space: s.Keys, Members: s.keyMembers, Version: s.Keys.Version(), Now: time.Now, Random: rand.Uint32,
		Cluster: func() cluster.ID {
			if state := s.Mirror.State(); state != nil {
				return state.Cluster.ID
			}
			return ""
		},
	})
	return s.admitted(streams, s.Keys), s.admitted(etcdv2.Waits, old)
}

// keyMembers lists the servers as etcd has them.
func (s *Server) keyMembers(ctx context.Context, health bool) ([]keyspace.Member, error) {
	list, err := s.Keys.Members(ctx)
	if err != nil || !health || s.Voters == nil {
		return list, err
	}
	voters, _, err := s.Voters(ctx)
	for _, v := range voters {
		for i := range list {
			if list[i].Name == string(v.Node) {
				list[i].Healthy, list[i].Leader = v.Healthy, v.Leader
			}
		}
	}
	return list, err
}

// Loopback serves etcd's API to whoever is on this machine: they are the node, to the
// cluster.
func (s *Server) Loopback() http.Handler {
	mux := http.NewServeMux()
	v3, v2 := s.etcd()
	etcdRoutes(v3, v2, func(r route, handler http.HandlerFunc) { mux.HandleFunc(r.pattern(), handler) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(withCaller(r.Context(), pki.Caller{Kind: pki.Node, Node: s.Self})))
	})
}

// NewWorkerLoopback serves etcd's API to whoever is on the machine of a worker, by way
// of the servers. It passes on nothing else: they would take it for the node's doing.
func NewWorkerLoopback(servers *client.Client) http.Handler {
	mux := http.NewServeMux()
	carry := func(w http.ResponseWriter, r *http.Request) {
		if err := servers.Carry(w, r); err != nil {
			refuseEtcd(w, r, client.GRPCUnavailable, err)
		}
	}
	etcdRoutes(carry, carry, func(r route, handler http.HandlerFunc) { mux.HandleFunc(r.pattern(), handler) })
	return mux
}

// noKeySpace is said where there is none.
func noKeySpace() error {
	return cluster.Errorf(cluster.Unavailable, "this server has no key space for applications")
}

// admitted serves a request to the key space once its caller may have another, and for
// as long as the caller may ask at all.
func (s *Server) admitted(streams func(*http.Request) bool, handler http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		long := streams(r)
		leave, err := s.Keys.Enter(r.Context(), callerOf(r.Context()).String(), long)
		if err != nil {
			refuseEtcd(w, r, client.GRPCExhausted, err)
			return
		}
		defer leave()
		if long {
			ctx, stop := s.whileAllowed(r.Context())
			defer stop()
			r = r.WithContext(ctx)
		}
		handler.ServeHTTP(w, r)
	}
}

// refuseEtcd refuses in the words of the protocol that the caller speaks.
func refuseEtcd(w http.ResponseWriter, r *http.Request, code int, err error) {
	if client.IsGRPC(r) {
		client.RefuseGRPC(w, code, err)
		return
	}
	writeProblem(w, err)
}

// whileAllowed ends a context when the caller may not ask any more: a node may be
// removed while it listens.
func (s *Server) whileAllowed(parent context.Context) (context.Context, func()) {
	ctx, stop := context.WithCancel(parent)
	caller := callerOf(ctx)
	if caller.Kind != pki.Node || caller.Node == s.Self {
		return ctx, stop
	}
	check := loop.New("who listens to the key space", s.Log, func(context.Context) (time.Duration, error) {
		if authorize(anyMember, caller, "", s.roster()) != nil {
			stop()
		}
		return streamAlive, nil
	})
	go func() { _ = check.Run(ctx) }()
	return ctx, stop
}
