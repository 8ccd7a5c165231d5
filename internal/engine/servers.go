package engine

import (
	"context"
	"net/netip"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/quorum"
	"argosy/internal/store"
)

// How often the leader compares the voting set with etcd: often while it
// changes, since a learner tells nobody that it is in sync, else seldom.
const (
	serversBusy = 250 * time.Millisecond
	serversIdle = 15 * time.Second
)

// serverInput is what the voting set depends on, as far as it changes often.
type serverInput struct {
	term         int64
	nodes, ready int
	members      cluster.Revision
	count        int
}

// wakeServers wakes the servers' loop if what it depends on has changed.
func (e *Engine) wakeServers(state *cluster.State, health map[cluster.NodeID]cluster.Health) {
	now := serverInput{term: state.Leader.Term, nodes: len(state.Nodes), count: len(state.Members)}
	for _, h := range health {
		if h == cluster.Ready {
			now.ready++
		}
	}
	for _, m := range state.Members {
		now.members = max(now.members, m.Revision)
	}
	if now != e.server {
		e.server = now
		e.servers.Wake()
	}
}

// stepServers is one round of keeping the voting set as it should be.
func (e *Engine) stepServers(ctx context.Context) (time.Duration, error) {
	e.mu.Lock()
	held, fresh := e.term.held, e.live.fresh
	e.mu.Unlock()
	state := e.deps.Mirror.State()
	if e.deps.Members == nil || held.Revision == 0 || state == nil || state.Revision < held.Revision {
		return loop.Never, nil // the leading loop wakes this one
	}
	if !fresh {
		return serversBusy, nil
	}
	members, err := e.listMembers(ctx)
	if err != nil {
		return 0, err
	}
	steps := quorum.Plan(e.quorumInput(state, members, time.Now()))
	for _, s := range steps {
		e.log.Info("servers", "step", s.Kind, "node", s.Member.Node, "because", s.Reason)
		rev, err := e.carryOut(ctx, held, s)
		if cluster.KindOf(err) == cluster.Unavailable && s.Kind == quorum.Promote {
			return serversBusy, nil // not in sync yet
		}
		if err != nil {
			return 0, err
		}
		catchUp(ctx, e.deps.Mirror, rev)
	}
	for _, m := range state.Members {
		if m.State != cluster.MemberVoter {
			return serversBusy, nil
		}
	}
	if len(steps) > 0 {
		return serversBusy, nil
	}
	return serversIdle, nil
}

func (e *Engine) listMembers(ctx context.Context) ([]quorum.MemberInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, commitMax)
	defer cancel()
	return e.deps.Members.List(ctx)
}

func (e *Engine) quorumInput(state *cluster.State, members []quorum.MemberInfo, now time.Time) quorum.Input {
	in := quorum.Input{Members: state.Members, Etcd: members, Self: e.cfg.Node, Now: now.UTC().Round(0), Grace: e.cfg.Grace}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range state.Nodes {
		node := quorum.Node{ID: n.Node.ID, Joined: n.Node.Joined, Health: e.live.health(n.Node.ID)}
		if n.Report.Address.IsValid() {
			node.PeerURL = "https://" + netip.AddrPortFrom(n.Report.Address, e.cfg.PeerPort).String()
		}
		if node.Health != cluster.Ready {
			node.Silent = e.live.silent(n.Node.ID, now)
		}
		in.Nodes = append(in.Nodes, node)
	}
	return in
}

// carryOut does one step. The record is written first, guarded by the
// leadership: etcd's own membership calls know nothing of our leader, so one
// that was deposed stops at the record.
func (e *Engine) carryOut(ctx context.Context, held cluster.Leader, s quorum.Step) (cluster.Revision, error) {
	m := s.Member
	switch s.Kind {
	case quorum.Record:
		return e.record(ctx, held, &m)
	case quorum.Forget:
		return e.forget(ctx, held, m)
	case quorum.AddLearner:
		if _, err := e.record(ctx, held, &m); err != nil {
			return 0, err
		}
		id, err := e.addLearner(ctx, m.PeerURL)
		if err != nil {
			return 0, err
		}
		m.MemberID, m.State = id, cluster.MemberLearner
		return e.record(ctx, held, &m)
	case quorum.Promote:
		if err := e.promote(ctx, m.MemberID); err != nil {
			return 0, err
		}
		return e.record(ctx, held, &m)
	case quorum.Remove:
		if _, err := e.record(ctx, held, &m); err != nil {
			return 0, err
		}
		if err := e.remove(ctx, m.MemberID); err != nil && cluster.KindOf(err) != cluster.NotFound {
			return 0, err
		}
		return e.forget(ctx, held, m)
	}
	return 0, cluster.Errorf(cluster.Internal, "servers: unknown step %q", s.Kind)
}

// record writes a member's record and notes its new revision. A member that no
// record names has none; the leadership is proven all the same.
func (e *Engine) record(ctx context.Context, held cluster.Leader, m *cluster.Member) (cluster.Revision, error) {
	if m.Node == "" {
		return e.fenced(ctx, held, nil, nil)
	}
	rev, err := e.fenced(ctx, held,
		[]store.Cond{store.ChangedAt(store.MemberKey(m.Node), m.Revision)}, []store.Op{store.PutMember(*m)})
	if err == nil {
		m.Revision = rev
	}
	return rev, err
}

func (e *Engine) forget(ctx context.Context, held cluster.Leader, m cluster.Member) (cluster.Revision, error) {
	if m.Node == "" {
		return e.fenced(ctx, held, nil, nil)
	}
	return e.fenced(ctx, held,
		[]store.Cond{store.ChangedAt(store.MemberKey(m.Node), m.Revision)}, []store.Op{store.Delete(store.MemberKey(m.Node))})
}

// fenced commits as the leader; being refused is an error.
func (e *Engine) fenced(ctx context.Context, held cluster.Leader, conds []store.Cond, ops []store.Op) (cluster.Revision, error) {
	txn := store.Txn{If: append([]store.Cond{store.ChangedAt(store.KeyLeader, held.Revision)}, conds...), Then: ops}
	rev, ok, err := commit(ctx, e.deps.Store, txn)
	if err != nil {
		return 0, err
	}
	if !ok {
		catchUp(ctx, e.deps.Mirror, rev)
		return 0, cluster.Errorf(cluster.Conflict, "servers: the record or the leadership changed meanwhile")
	}
	return rev, nil
}

func (e *Engine) addLearner(ctx context.Context, peerURL string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, commitMax)
	defer cancel()
	return e.deps.Members.AddLearner(ctx, peerURL)
}

func (e *Engine) promote(ctx context.Context, id uint64) error {
	ctx, cancel := context.WithTimeout(ctx, commitMax)
	defer cancel()
	return e.deps.Members.Promote(ctx, id)
}

func (e *Engine) remove(ctx context.Context, id uint64) error {
	ctx, cancel := context.WithTimeout(ctx, commitMax)
	defer cancel()
	return e.deps.Members.Remove(ctx, id)
}
