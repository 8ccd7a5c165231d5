package engine

import (
	"context"
	"encoding/json"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
)

// gatherSessions is how far apart the transactions of renewals are by default:
// the cost of being idle is then at most one write per server and second,
// however many nodes are connected to it.
const gatherSessions = time.Second

// Sessions renews the sessions of the nodes that are connected to this server.
// Its methods may be called concurrently.
type Sessions struct {
	store  store.Store
	mirror Mirror
	batch  *batcher[cluster.Session]
	// wrote holds what this server wrote and the mirror does not show yet.
	// Used by the committing loop only.
	wrote map[cluster.NodeID]cluster.Session
}

// NewSessions makes the renewer; gather is the least time between two
// transactions (default 1 s). Run starts it. Only Store, Mirror and Log of
// the ports are used.
func NewSessions(deps Deps, gather time.Duration) *Sessions {
	if gather == 0 {
		gather = gatherSessions
	}
	s := &Sessions{store: deps.Store, mirror: deps.Mirror, wrote: map[cluster.NodeID]cluster.Session{}}
	s.batch = &batcher[cluster.Session]{pace: loop.Pace{Every: gather}, commit: s.commit}
	s.batch.loop = loop.New("sessions", deps.Log, s.batch.step)
	return s
}

// Run commits renewals until ctx ends, and returns its error.
func (s *Sessions) Run(ctx context.Context) error { return s.batch.run(ctx) }

// Renew commits one renewal and returns the session as it is then. A session
// whose incarnation the store does not know is opened if it has heard nothing
// yet, and replaces the one before; any other is that of a daemon that was
// replaced.
//
// If the node has not heard the answer to the renewal before this one, nothing
// is stored, and the answer is that one's: its Seq is smaller than the one asked
// for. So a node that is heard and hears nothing is lost as soon as a silent
// one, and a renewal whose answer was lost is never taken for the next: the node
// counts its permit from when it sent this request, the leader from when it saw
// that number.
//
// Errors: NotFound (the node was removed from the cluster), Conflict (the
// incarnation was replaced or declared dead: fence and open a new one),
// Unavailable and Unknown (try again).
func (s *Sessions) Renew(ctx context.Context, session cluster.Session) (cluster.Session, error) {
	return s.batch.do(ctx, session)
}

// renewal is a request with what the store is to hold after it.
type renewal struct {
	req  *request[cluster.Session]
	next cluster.Session // its Revision is the one that is replaced
	node cluster.Revision
}

// commit commits a batch. Of several renewals of one node each is committed,
// in turn.
func (s *Sessions) commit(ctx context.Context, batch []*request[cluster.Session]) {
	for _, wave := range waves(batch, func(v cluster.Session) cluster.NodeID { return v.Node }) {
		s.commitWave(ctx, wave)
	}
}

// commitWave commits renewals of different nodes.
func (s *Sessions) commitWave(ctx context.Context, wave []*request[cluster.Session]) {
	var ready []renewal
	var writes []write
	for _, req := range wave {
		if r, ok := s.prepare(ctx, req); ok {
			ready = append(ready, r)
			writes = append(writes, r.write())
		}
	}
	for _, b := range pack(nil, writes) {
		rev, ok, err := s.try(ctx, b.txn)
		for _, i := range b.writes {
			r := ready[i]
			switch {
			case err != nil:
				r.req.answer(cluster.Session{}, err)
			case ok:
				s.done(r, rev)
			case len(b.writes) == 1:
				s.again(ctx, r, rev)
			default:
				// One of the batch was in the way; the others must not wait.
				s.alone(ctx, r, rev)
			}
		}
	}
}

// try commits a transaction of renewals, or gives up after half the interval of
// renewals: one that was lost with etcd's leader must not hold up all that come
// after it, and a renewal can be repeated.
func (s *Sessions) try(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	limit := cluster.DefaultTimings().Renew / 2
	if state := s.mirror.State(); state != nil && state.Cluster.Timings.Renew > 0 {
		limit = state.Cluster.Timings.Renew / 2
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return commit(ctx, s.store, txn)
}

// alone commits one renewal after the batch it was in was refused.
func (s *Sessions) alone(ctx context.Context, r renewal, refused cluster.Revision) {
	if rev, answered := s.single(ctx, r); !answered {
		s.again(ctx, r, max(rev, refused))
	}
}

// single commits one renewal and answers it, unless something was in its way,
// as of a revision.
func (s *Sessions) single(ctx context.Context, r renewal) (rev cluster.Revision, answered bool) {
	w := r.write()
	rev, ok, err := s.try(ctx, store.Txn{If: w.conds, Then: w.ops})
	switch {
	case err != nil:
		r.req.answer(cluster.Session{}, err)
	case ok:
		s.done(r, rev)
	}
	return rev, err != nil || ok
}

// again commits one renewal once more, computed from what was in its way.
func (s *Sessions) again(ctx context.Context, r renewal, refused cluster.Revision) {
	delete(s.wrote, r.next.Node)
	catchUp(ctx, s.mirror, refused)
	r, ok := s.prepare(ctx, r.req)
	if !ok {
		return
	}
	if _, answered := s.single(ctx, r); !answered {
		r.req.answer(cluster.Session{}, cluster.Errorf(cluster.Unavailable, "the session of node %s changed meanwhile", r.next.Node.Short()))
	}
}

func (r renewal) write() write {
	return write{
		conds: []store.Cond{
			store.ChangedAt(store.NodeKey(r.next.Node), r.node),
			store.ChangedAt(store.SessionKey(r.next.Node), r.next.Revision),
		},
		ops: []store.Op{store.PutSession(r.next)},
	}
}

func (s *Sessions) done(r renewal, rev cluster.Revision) {
	r.next.Revision = rev
	s.wrote[r.next.Node] = r.next
	r.req.answer(r.next, nil)
}

// prepare computes what a renewal makes of the session that there is. If that is
// nothing it answers the request, and reports false.
func (s *Sessions) prepare(ctx context.Context, req *request[cluster.Session]) (renewal, bool) {
	node, next, err := s.next(ctx, req.value)
	if err != nil || next.Seq < req.value.Seq {
		req.answer(next, err)
		return renewal{}, false
	}
	return renewal{req: req, next: next, node: node.Revision}, true
}

// next returns a node and the session that is to follow on the one it has.
func (s *Sessions) next(ctx context.Context, asked cluster.Session) (cluster.Node, cluster.Session, error) {
	node, current, err := s.current(ctx, asked.Node)
	if err != nil {
		return node, cluster.Session{}, err
	}
	next, err := renewed(current, asked)
	if cluster.KindOf(err) == cluster.Conflict {
		// The node will fence itself, so this must be the store's own word:
		// the mirror may not show yet what another server wrote for the node.
		if current, err = readSession(ctx, s.store, asked.Node); err == nil {
			next, err = renewed(current, asked)
		}
	}
	return node, next, err
}

// current returns a node and its session as of now: the mirror's, or what was
// written since. A node that the mirror does not know may just have joined
// through another server, so the store is asked.
func (s *Sessions) current(ctx context.Context, id cluster.NodeID) (cluster.Node, cluster.Session, error) {
	state := s.mirror.State()
	if state == nil {
		return cluster.Node{}, cluster.Session{}, cluster.Errorf(cluster.Unavailable, "this server has not read the cluster's state yet")
	}
	for written, session := range s.wrote {
		if session.Revision <= state.Revision {
			delete(s.wrote, written)
		}
	}
	n, found := find(state, id)
	if !found {
		node, err := lookUp(ctx, s.store, id)
		return node, s.wrote[id], err
	}
	if session, newer := s.wrote[id]; newer {
		return n.Node, session, nil
	}
	return n.Node, n.Session, nil
}

// lookUp reads a node's record from the store, or says that it was removed.
func lookUp(ctx context.Context, s store.Store, id cluster.NodeID) (cluster.Node, error) {
	items, err := list(ctx, s, store.NodeKey(id))
	if err != nil {
		return cluster.Node{}, err
	}
	for _, item := range items {
		if item.Key == store.NodeKey(id) {
			return cluster.Node{ID: id, Revision: item.Changed}, nil
		}
	}
	return cluster.Node{}, cluster.Errorf(cluster.NotFound, "node %s was removed from the cluster", id.Short()).
		WithHint("to make it join again: argosy reset, then argosy join with a new token")
}

// readSession reads a node's session from the store; the zero Session if there
// is none.
func readSession(ctx context.Context, s store.Store, id cluster.NodeID) (cluster.Session, error) {
	items, err := list(ctx, s, store.SessionKey(id))
	if err != nil {
		return cluster.Session{}, err
	}
	var session cluster.Session
	for _, item := range items {
		if item.Key != store.SessionKey(id) {
			continue
		}
		if err := json.Unmarshal(item.Value, &session); err != nil {
			return cluster.Session{}, cluster.Errorf(cluster.Internal, "session of node %s: %w", id.Short(), err)
		}
		session.Revision = item.Changed
	}
	return session, nil
}

// renewed returns the session that follows on the current one when asked for
// another, or why there is none. It is the current one, whose Seq is smaller
// than what was asked for, while the node has not heard of that.
func renewed(current, asked cluster.Session) (cluster.Session, error) {
	next := asked
	next.Dead, next.Epoch, next.Revision = false, current.Epoch, current.Revision
	same := asked.Incarnation == current.Incarnation
	switch {
	case asked.Incarnation == "":
		return next, cluster.Errorf(cluster.Invalid, "a session needs an incarnation")
	case asked.Seq <= asked.Heard:
		return next, cluster.Errorf(cluster.Invalid, "renewal %d of a session cannot have heard of renewal %d", asked.Seq, asked.Heard)
	case same && current.Dead:
		return next, cluster.Errorf(cluster.Conflict, "the session of node %s was declared dead: it was silent for too long", asked.Node.Short()).
			WithHint("open a new session after everything exclusive has stopped")
	case same && asked.Heard < current.Seq:
		return current, nil
	case same, asked.Heard == 0:
		return next, nil
	case current.Incarnation != "":
		return next, cluster.Errorf(cluster.Conflict, "the session of node %s was replaced by that of a daemon that started later", asked.Node.Short())
	}
	return next, cluster.Errorf(cluster.Conflict, "the session of node %s is gone from the store", asked.Node.Short()).
		WithHint("open a new session")
}
