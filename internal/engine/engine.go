// Package engine is the part of a server that leads: it campaigns for the
// leadership, and while it has it, turns each new state of the cluster into
// placements through the pure cores place, audit and quorum.
//
// Every write of a leader is one transaction guarded by the revision of the
// election record and by the revisions of what the write was computed from. A
// leader that was paused, cut off or deposed therefore writes nothing.
//
// Sessions and Statuses are the other writers of a server, on behalf of the
// nodes that are connected to it.
package engine

import (
	"context"
	"log/slog"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/quorum"
	"argosy/internal/store"
)

// Mirror is the local copy of the store that the engine reads.
type Mirror interface {
	// State returns the newest snapshot, nil before there is one.
	State() *cluster.State
	// Age is the time since the last sign that the snapshot is current.
	Age() time.Duration
	// Wait blocks until there is a snapshot of a revision later than after.
	Wait(ctx context.Context, after cluster.Revision) (*cluster.State, error)
}

// Members is etcd's membership. The errors are *cluster.Error: Unavailable
// (try again later; a learner that is not in sync yet is that too), NotFound,
// Exists (the peer URL is a member already).
type Members interface {
	List(ctx context.Context) ([]quorum.MemberInfo, error)
	AddLearner(ctx context.Context, peerURL string) (uint64, error)
	Promote(ctx context.Context, id uint64) error
	Remove(ctx context.Context, id uint64) error
}

// Config holds the engine's values. The zero value of a field means its
// default.
type Config struct {
	// Node is the server that the engine runs on.
	Node    cluster.NodeID
	Timings cluster.Timings
	// LeaderLost is how long the session of the leader's node must be silent
	// before another server takes over. Default: 2.5 x Timings.Renew (5 s).
	LeaderLost time.Duration
	// Grace is how long a voter must be silent before a worker replaces it.
	// Default: 5 min.
	Grace time.Duration
	// PeerPort is where etcd listens for its peers on each node.
	// Default: wire.PortEtcdPeer.
	PeerPort uint16
}

// Deps holds what the engine works with.
type Deps struct {
	Store  store.Store
	Mirror Mirror
	// Members may be nil: the voting set is then left alone.
	Members Members
	Log     *slog.Logger
}

// Engine is one server's candidate for the leadership. All methods may be
// called concurrently.
type Engine struct {
	cfg  Config
	deps Deps
}

// New makes an engine; Run starts it.
func New(cfg Config, deps Deps) *Engine { return &Engine{cfg: cfg, deps: deps} }

// Run campaigns and leads until ctx ends, and returns its error.
func (e *Engine) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Health returns how this server times a node: "" if it is not known.
func (e *Engine) Health(cluster.NodeID) cluster.Health { return "" }

// Leading reports whether this server is the leader, as far as it knows.
func (e *Engine) Leading() bool { return false }

// Sessions renews the sessions of the nodes that are connected to this server.
type Sessions struct{ deps Deps }

// NewSessions makes the renewer; gather is the least time between two
// transactions (default 1 s). Run starts it.
func NewSessions(deps Deps, gather time.Duration) *Sessions { return &Sessions{deps: deps} }

// Run commits renewals until ctx ends, and returns its error.
func (s *Sessions) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Renew commits one renewal and returns the session as it is now. Errors:
// NotFound (the node was removed from the cluster), Conflict (the incarnation
// was replaced or declared dead: fence and open a new one), Unavailable.
func (s *Sessions) Renew(ctx context.Context, session cluster.Session) (cluster.Session, error) {
	return session, nil
}

// Statuses writes what the nodes that are connected to this server observe.
type Statuses struct{ deps Deps }

// NewStatuses makes the writer; gather is the least time between two rounds
// (default 30 ms). Run starts it.
func NewStatuses(deps Deps, gather time.Duration) *Statuses { return &Statuses{deps: deps} }

// Run commits statuses until ctx ends, and returns its error.
func (s *Statuses) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Update writes an update of one node's statuses. After an error the node
// must send a full update. Errors: NotFound (the node was removed), Denied (a
// status of another node), Conflict (another server wrote meanwhile),
// Unavailable.
func (s *Statuses) Update(ctx context.Context, node cluster.NodeID, update wire.StatusUpdate) error {
	return nil
}
