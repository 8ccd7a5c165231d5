package engine

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
)

// term is what this server knows of its own leadership. The zero value is a
// follower that has never campaigned.
type term struct {
	held  cluster.Leader // the record that this process wrote; Revision 0: none
	since time.Time      // when it was won, on the monotonic clock
	// tried is a record whose commit had an unknown outcome.
	tried cluster.Leader
}

// sighting is when this server first saw an election record.
type sighting struct {
	revision cluster.Revision
	at       time.Time
}

// follow compares the leadership that is held with the record.
func (t *term) follow(state *cluster.State, self cluster.NodeID) {
	record := state.Leader
	won := t.tried.Term != 0 && record.Node == self && record.Term == t.tried.Term && record.Since.Equal(t.tried.Since)
	if won {
		// The commit of the campaign was not answered, but it happened.
		t.held, t.since = record, time.Now()
		t.tried = cluster.Leader{}
	}
	deposed := state.Revision >= t.held.Revision && record.Revision != t.held.Revision
	if deposed || !member(state, self) {
		t.held = cluster.Leader{}
	}
}

func member(state *cluster.State, id cluster.NodeID) bool {
	_, found := find(state, id)
	return found
}

// find returns a node of a snapshot, whose nodes are sorted.
func find(state *cluster.State, id cluster.NodeID) (cluster.NodeState, bool) {
	at, found := slices.BinarySearchFunc(state.Nodes, id, func(n cluster.NodeState, id cluster.NodeID) int {
		return cmp.Compare(n.Node.ID, id)
	})
	if !found {
		return cluster.NodeState{}, false
	}
	return state.Nodes[at], true
}

// campaign takes the leadership over if nobody has it, and says when to look
// again.
func (e *Engine) campaign(ctx context.Context, state *cluster.State, now time.Time) (time.Duration, error) {
	reason, wait := e.vacancy(state, now)
	if reason == "" {
		return wait, nil
	}
	leader := cluster.Leader{Node: e.cfg.Node, Term: state.Leader.Term + 1, Since: now.UTC().Round(0)}
	rev, ok, err := commit(ctx, e.deps.Store, store.Txn{
		If:   []store.Cond{store.ChangedAt(store.KeyLeader, state.Leader.Revision)},
		Then: []store.Op{store.PutLeader(leader)},
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case cluster.KindOf(err) == cluster.Unknown:
		e.term.tried = leader
		return 0, err
	case err != nil:
		return 0, err
	case !ok: // another server was faster; the mirror will show it
		return idlePoll, nil
	}
	leader.Revision = rev
	e.term = term{held: leader, since: now}
	e.log.Info("leading", "term", leader.Term, "because", reason)
	return time.Millisecond, nil
}

// vacancy says why this server should take over now; or "" and when to look
// again.
func (e *Engine) vacancy(state *cluster.State, now time.Time) (reason string, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !member(state, e.cfg.Node) || !mayLead(state, e.cfg.Node) {
		return "", loop.Never // woken by the change that makes it one
	}
	leader := state.Leader
	switch {
	case !e.live.fresh:
		return "", idlePoll
	case leader.Revision == 0:
		return "the cluster has had no leader", 0
	case leader.Node == e.cfg.Node && e.term.held.Revision < leader.Revision:
		// Only one daemon runs on a node, so this record is of the process
		// before this one.
		return "the daemon was restarted", 0
	case leader.Node == e.cfg.Node:
		return "", idlePoll // won, and the mirror is about to show it
	}
	turn := e.turn(leader.Term)
	if !member(state, leader.Node) {
		return "the leader's node was removed", 0
	}
	limit := e.leaderLost() + turn
	// A new leader gets the whole time to be heard: after an outage that
	// silenced everybody, the silence of before says nothing about it.
	if leader.Revision != e.sighted.revision {
		e.sighted = sighting{leader.Revision, now}
	}
	reign := now.Sub(e.sighted.at)
	if e.live.silentFor(leader.Node, now, limit) && reign >= limit {
		return "the leader was silent for " + limit.String(), 0
	}
	left := limit - min(e.live.silent(leader.Node, now), reign)
	return "", max(min(left, idlePoll), planEvery)
}

// mayLead reports whether a server is a voter. While no membership is
// recorded, as in a simulation, every server may lead.
func mayLead(state *cluster.State, id cluster.NodeID) bool {
	for _, m := range state.Members {
		if m.Node == id {
			return m.State == cluster.MemberVoter
		}
	}
	return len(state.Members) == 0
}

// leaderLost is how long the leader may be silent.
func (e *Engine) leaderLost() time.Duration {
	if e.cfg.LeaderLost != 0 {
		return e.cfg.LeaderLost
	}
	return e.live.timings.Renew * 5 / 2
}

// turn delays the servers by different times, different ones in each term, so
// that they do not all campaign at once. If two do, one of them wins.
func (e *Engine) turn(term int64) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(e.cfg.Node))
	h.Write([]byte{byte(term), byte(term >> 8)})
	return time.Duration(h.Sum32()%16) * 50 * time.Millisecond
}
