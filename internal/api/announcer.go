package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// announcer derives the catalog from what a server knows, whenever somebody looks.
type announcer struct {
	server *Server
	feed   *feed

	mu   sync.Mutex
	from basis
	at   time.Time     // of the last look
	took time.Duration // the last derivation
}

// basis is what a catalog was derived from.
type basis struct {
	state   *cluster.State
	healths map[cluster.NodeID]cluster.Health
}

// same reports whether the same catalog follows from two of them. The lists of a
// mirror are shared between snapshots until they change; sessions do all the time.
func (b basis) same(as basis) bool {
	return as.state != nil && shared(b.state.Units, as.state.Units) && shared(b.state.Placements, as.state.Placements) &&
		shared(b.state.Statuses, as.state.Statuses) && slices.EqualFunc(b.state.Nodes, as.state.Nodes, func(m, n cluster.NodeState) bool {
		return m.Node.ID == n.Node.ID && m.Node.Name == n.Node.Name && m.Session.BootID == n.Session.BootID &&
			m.Report.Address == n.Report.Address && b.healths[m.Node.ID] == as.healths[n.Node.ID]
	})
}

// lookPace is the least time between two looks for those who follow; it is longer if a
// look takes long, so that looks take a quarter of a core at most. Many followers are
// awake at any time while much changes, and each look derives the whole catalog: without
// a pause there would be one for each change. Who finds nothing new looks again soon.
const lookPace = 10 * time.Millisecond

// look brings the feed up to what is known. Those who follow are woken together, and
// one look is enough for all of them.
func (a *announcer) look(follows bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := a.server.Mirror.State()
	switch since := time.Since(a.at); {
	case state == a.from.state && since < streamPace:
		return nil
	case follows && a.from.state != nil && since < max(lookPace, 4*a.took):
		return nil
	}
	a.at = time.Now()
	now := basis{state, make(map[cluster.NodeID]cluster.Health, len(state.Nodes))}
	for _, n := range state.Nodes {
		now.healths[n.Node.ID] = a.server.Health(n.Node.ID)
	}
	before := a.from
	a.from = now
	if now.same(before) {
		a.feed.confirm(state.Revision)
		return nil
	}
	all := catalog.All(state, func(id cluster.NodeID) cluster.Health { return now.healths[id] })
	a.took = time.Since(a.at)
	return a.feed.put(state.Revision, all)
}

// seen returns the revision after which there may be something new to look at.
func (a *announcer) seen() cluster.Revision {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.from.state.Revision
}

func (a *announcer) wait(ctx context.Context, number int64, pace *loop.Pace) error {
	// In this order: what another reader finds meanwhile in the records is either past
	// the number or of a later revision. What it finds in the health of nodes alone may
	// wait for the next revision; some session is renewed all the time.
	rev := a.seen()
	select {
	case <-a.feed.past(number):
		return pace.Wait(ctx)
	default:
	}
	_, err := a.server.next(ctx, rev, pace)
	return err
}

func (a *announcer) age() time.Duration { return a.server.Mirror.Age() }

func (a *announcer) quorum(ctx context.Context) bool { return a.server.quorum.check(ctx) == nil }

func (a *announcer) cutOff() error { return a.server.cutOff() }
