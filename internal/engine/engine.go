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
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/metrics"
	"argosy/internal/quorum"
	"argosy/internal/specs"
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
	Node cluster.NodeID
	// Timings are used while the cluster's record has none.
	// Default: cluster.DefaultTimings.
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
	// Metrics counts what a leader does; may be nil.
	Metrics *metrics.Engine
	Log     *slog.Logger
}

// Limits on how long one call may take, and how often the leader plans.
const (
	commitMax = 5 * time.Second
	mirrorMax = 2 * time.Second
	// planEvery gathers the changes of a burst into one plan; the first change
	// after a quiet time is planned at once.
	planEvery = 30 * time.Millisecond
	// idlePoll is how often time is looked at when nothing else happens.
	idlePoll = time.Second
)

// Engine is one server's candidate for the leadership. All methods may be
// called concurrently.
type Engine struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	pace    loop.Pace
	specs   specs.Cache
	lead    *loop.Loop
	servers *loop.Loop
	swept   sweptFor  // leading loop only
	settled planInput // what the last plan without a change was made from; leading loop only
	plans   atomic.Int64
	server  serverInput // what the servers' loop was last woken for; leading loop only

	mu      sync.Mutex
	live    liveness
	term    term
	sighted sighting
}

// New makes an engine; Run starts it.
func New(cfg Config, deps Deps) *Engine {
	if cfg.Timings == (cluster.Timings{}) {
		cfg.Timings = cluster.DefaultTimings()
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Minute
	}
	if cfg.PeerPort == 0 {
		cfg.PeerPort = wire.PortEtcdPeer
	}
	e := &Engine{
		cfg: cfg, deps: deps, log: deps.Log.With("part", "engine"),
		pace: loop.Pace{Every: planEvery}, live: newLiveness(),
	}
	e.lead = loop.New("engine", deps.Log, e.step)
	e.servers = loop.New("servers", deps.Log, e.stepServers)
	return e
}

// Run campaigns and leads until ctx ends, and returns its error.
func (e *Engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.lead.Run(ctx) })
	// The voting set has a loop of its own: a member that does not answer must
	// not hold up the placing of units.
	group.Go(func() error { return e.servers.Run(ctx) })
	group.Go(func() error { return e.follow(ctx) })
	err := group.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.term = term{}
	return err
}

// follow wakes the loop at every new revision.
func (e *Engine) follow(ctx context.Context) error {
	var after cluster.Revision
	for {
		state, err := e.deps.Mirror.Wait(ctx, after)
		if err != nil {
			return err
		}
		after = state.Revision
		e.lead.Wake()
	}
}

// Health returns how this server times a node: "" if it is not known.
func (e *Engine) Health(id cluster.NodeID) cluster.Health {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live.health(id)
}

// Leading reports whether this server is the leader, as far as it knows. A
// leader that was deposed a moment ago may still think so; its writes fail.
func (e *Engine) Leading() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.term.held.Revision != 0
}

// LeadingSince returns when this server became the leader, by its clock; zero
// while it is not, as far as it knows.
func (e *Engine) LeadingSince() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term.held.Revision == 0 {
		return time.Time{}
	}
	return e.term.since
}

// Plans returns how many placements were planned; rounds in which nothing that
// placing depends on has changed plan none.
func (e *Engine) Plans() int64 { return e.plans.Load() }

// step is one round: look at the clock and the mirror, then lead or campaign.
func (e *Engine) step(ctx context.Context) (time.Duration, error) {
	if err := e.pace.Wait(ctx); err != nil {
		return 0, err
	}
	state := e.deps.Mirror.State()
	if state == nil {
		return loop.Never, nil
	}
	now := time.Now()
	e.mu.Lock()
	e.live.observe(state, e.timings(state), now, e.deps.Mirror.Age())
	e.term.follow(state, e.cfg.Node)
	held, since := e.term.held, e.term.since
	e.mu.Unlock()

	if held.Revision != 0 {
		again, err := e.leadRound(ctx, round{state: state, now: now, leader: held, since: since})
		if err == nil {
			e.deps.Metrics.Round(time.Since(now))
		}
		return again, err
	}
	return e.campaign(ctx, state, now)
}

// timings returns the cluster's own timings, by which every node counts.
func (e *Engine) timings(state *cluster.State) cluster.Timings {
	if t := state.Cluster.Timings; t.Check() == nil {
		return t
	}
	return e.cfg.Timings
}

// commit commits a transaction with a limit on its time.
func commit(ctx context.Context, s store.Store, txn store.Txn) (cluster.Revision, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commitMax)
	defer cancel()
	return s.Commit(ctx, txn)
}

// catchUp waits until the mirror shows a revision, so that the next plan sees
// what was written. That it does not is no error: the plan's guards will tell.
func catchUp(ctx context.Context, m Mirror, rev cluster.Revision) *cluster.State {
	ctx, cancel := context.WithTimeout(ctx, mirrorMax)
	defer cancel()
	state, err := m.Wait(ctx, rev-1)
	if err != nil {
		return m.State()
	}
	return state
}
