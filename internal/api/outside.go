package api

import (
	"context"
	"encoding/json"
	"net/http"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/systemd"
)

// What the daemons serve that are no servers: those of workers, and those that
// are in no cluster yet.

// UnformedDeps are what a node without a cluster works with.
type UnformedDeps struct {
	Self  cluster.NodeID
	Init  func(context.Context, wire.InitRequest) (wire.Identity, error)
	Join  func(context.Context, wire.JoinRequest) (wire.Identity, error)
	Reset func(context.Context) error
	// Waiting says what the node waits for, "" if for an administrator.
	Waiting func() string
}

// NewUnformed serves the unix socket of a node that is in no cluster.
func NewUnformed(deps UnformedDeps) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathStatus, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, unformedStatus(deps))
	})
	mux.HandleFunc("POST "+wire.PathInit, forming(deps.Init))
	mux.HandleFunc("POST "+wire.PathJoin, forming(deps.Join))
	mux.HandleFunc("POST "+wire.PathReset, func(w http.ResponseWriter, r *http.Request) { servePart(w, r, deps.Reset) })
	unformed := cluster.Errorf(cluster.Unavailable, "this node is in no cluster").WithHint("argosy init, or argosy join TOKEN")
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, unformed) })
	return refuseFleet(mux, unformed)
}

// NewStarting serves the unix socket of a node of a cluster until its daemon
// has taken its role up. That may take long: a store that is alone waits for
// its peers. Such a node must not be said to be in no cluster.
func NewStarting(self cluster.NodeID, own cluster.Cluster, reset func(context.Context) error) http.Handler {
	const starting = "the daemon of this node is starting, and waits for the store"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathStatus, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, wire.Status{Formed: true, Node: self, Cluster: own, Voters: []wire.Voter{}, Problems: []string{starting}})
	})
	mux.HandleFunc("POST "+wire.PathReset, func(w http.ResponseWriter, r *http.Request) { servePart(w, r, reset) })
	refuseForming(mux, func() cluster.ID { return own.ID })
	later := cluster.Errorf(cluster.Unavailable, starting).WithHint("try again in a moment; if that lasts: are the other servers up?")
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, later) })
	return refuseFleet(local(mux), later)
}

// NewUnformedRemote serves the network port of a node that waits for its
// peers: they may ask whether it is in a cluster, and nothing else.
func NewUnformedRemote(deps UnformedDeps) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathStatus, func(w http.ResponseWriter, r *http.Request) {
		if err := authorize(anyMember, callerOf(r.Context()), "", roster{}); err != nil {
			writeProblem(w, err)
			return
		}
		writeJSON(w, unformedStatus(deps))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, cluster.Errorf(cluster.Unavailable, "node %s is in no cluster yet", deps.Self))
	})
	return identify(mux)
}

func unformedStatus(deps UnformedDeps) wire.Status {
	status := wire.Status{Node: deps.Self, Voters: []wire.Voter{}}
	if waiting := deps.Waiting(); waiting != "" {
		status.Problems = []string{waiting}
	}
	return status
}

// forming serves a request that puts the node into a cluster.
func forming[I any](do func(context.Context, I) (wire.Identity, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in I
		if err := decodeBody(w, r, smallBodyMax, &in); err != nil {
			writeProblem(w, err)
			return
		}
		id, err := do(r.Context(), in)
		if err != nil {
			writeProblem(w, err)
			return
		}
		writeJSON(w, id)
	}
}

// refuseForming refuses to put a node into a second cluster, and names both.
func refuseForming(mux *http.ServeMux, own func() cluster.ID) {
	mux.HandleFunc("POST "+wire.PathInit, refuseInit(own))
	mux.HandleFunc("POST "+wire.PathJoin, refuseJoin(own))
}

func refuseInit(own func() cluster.ID) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := authorize(onlyLocal, callerOf(r.Context()), "", roster{}); err != nil {
			writeProblem(w, err)
			return
		}
		writeProblem(w, SecondCluster(own(), ""))
	}
}

func refuseJoin(own func() cluster.ID) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in wire.JoinRequest
		err := authorize(onlyLocal, callerOf(r.Context()), "", roster{})
		if err == nil {
			err = decodeBody(w, r, smallBodyMax, &in)
		}
		var token pki.Token
		if err == nil {
			token, err = pki.ParseToken(in.Token)
		}
		if err == nil {
			err = SecondCluster(own(), token.Cluster)
		}
		writeProblem(w, err)
	}
}

// SecondCluster refuses to put a node of one cluster into another; other is ""
// if it would be a new one.
func SecondCluster(own, other cluster.ID) error {
	const hint = "argosy leave first, or argosy reset if that cluster is gone"
	switch other {
	case "":
		return cluster.Errorf(cluster.Exists, "this node is in cluster %s already; it cannot form another", own).WithHint(hint)
	case own:
		return cluster.Errorf(cluster.Exists, "this node is in cluster %s already, which is the token's", own)
	}
	return cluster.Errorf(cluster.Exists, "this node is in cluster %s; the token is for cluster %s", own, other).WithHint(hint)
}

// WorkerDeps are what a worker's daemon works with.
type WorkerDeps struct {
	Self    cluster.NodeID
	Cluster cluster.Cluster
	// Servers calls the servers under the node's own identity.
	Servers *client.Client
	// Keys calls them for the key space, on a connection of its own.
	Keys    *client.Client
	Journal systemd.Journal
	// IsServer tells whether a node is a server: those may read journals and
	// open terminals here.
	IsServer  func(cluster.NodeID) bool
	Terminals *Terminals
	// Services is the node's copy of the catalog.
	Services *Copy
	// Leave and Reset part the node from its cluster.
	Leave, Reset func(context.Context) error
}

// NewWorker serves the unix socket of a worker. It answers itself where services
// are; what else any member may read goes to a server, under the node's identity.
// Nothing else does: a server would take it for the node's own doing.
func NewWorker(deps WorkerDeps) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathStatus, func(w http.ResponseWriter, r *http.Request) { workerStatus(w, r, deps) })
	mux.Handle("GET "+wire.PathServices, deps.Services)
	mux.HandleFunc("POST "+wire.PathLeave, func(w http.ResponseWriter, r *http.Request) { servePart(w, r, deps.Leave) })
	mux.HandleFunc("POST "+wire.PathReset, func(w http.ResponseWriter, r *http.Request) { servePart(w, r, deps.Reset) })
	refuseForming(mux, func() cluster.ID { return deps.Cluster.ID })
	denied := refusal(pki.Caller{Kind: pki.Node, Node: deps.Self})
	for _, path := range []string{wire.PathMetrics, wire.PathOpenAPI} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := deps.Servers.Forward(w, r); err != nil {
				writeProblem(w, err)
			}
		})
	}
	for _, call := range []string{"GET " + wire.PathKeys, "POST " + wire.PathKeys, "GET " + wire.PathKeysWatch} {
		mux.HandleFunc(call, func(w http.ResponseWriter, r *http.Request) {
			if err := deps.Keys.Carry(w, r); err != nil {
				writeProblem(w, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, denied) })
	return refuseFleet(local(mux), denied)
}

// workerStatus shows a server's page; without a server, what the node knows.
func workerStatus(w http.ResponseWriter, r *http.Request, deps WorkerDeps) {
	ctx, cancel := context.WithTimeout(r.Context(), statusMax)
	defer cancel()
	page, err := deps.Servers.StatusOfAny(ctx)
	if err != nil {
		page = wire.Status{
			Formed: true, Cluster: deps.Cluster, Stale: true, Voters: []wire.Voter{},
			Problems: []string{"no server answers: " + err.Error()},
		}
	}
	page.Node, page.Role = deps.Self, cluster.Worker
	writeJSON(w, page)
}

// NewWorkerRemote serves the network port of a worker: servers read the
// journals of its units there, and open terminals for operators.
func NewWorkerRemote(deps WorkerDeps) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathNodeLog, func(w http.ResponseWriter, r *http.Request) {
		if err := authorize(servers, callerOf(r.Context()), "", roster{member: deps.IsServer}); err != nil {
			writeProblem(w, err)
			return
		}
		serveOwnJournal(w, r, deps.Journal)
	})
	mux.HandleFunc("POST "+wire.PathOwnTerminal, func(w http.ResponseWriter, r *http.Request) {
		known := func() roster { return roster{member: deps.IsServer} }
		if err := authorize(servers, callerOf(r.Context()), deps.Self, known()); err != nil {
			writeProblem(w, err)
			return
		}
		serveOwnTerminal(w, r, deps.Terminals, known)
	})
	mux.HandleFunc("GET "+wire.PathStatus, func(w http.ResponseWriter, r *http.Request) {
		if err := authorize(anyMember, callerOf(r.Context()), "", roster{}); err != nil {
			writeProblem(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(wire.Status{Formed: true, Node: deps.Self, Role: cluster.Worker, Cluster: deps.Cluster, Voters: []wire.Voter{}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, cluster.Errorf(cluster.Unavailable, "node %s is a worker; ask a server", deps.Self))
	})
	return identify(mux)
}
