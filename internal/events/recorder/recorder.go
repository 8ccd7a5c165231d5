// Package recorder writes down what happens in the cluster: it compares the
// snapshots of a server's mirror one after the other and hands the events to
// the server's ring. It decides nothing and nothing depends on it: if it stood
// still, the cluster would not notice.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/events"
	"argosy/internal/events/ring"
	"argosy/internal/loop"
)

// Pacing: what comes within gather is looked at together, so that the cost does
// not grow with how fast things change, and so that this server has had the
// time to notice what made the leader act. Without any change it looks again
// after quiet: health changes, and counts of what was left out become due.
const (
	gather = 100 * time.Millisecond
	quiet  = 5 * time.Second
	// gapMin is for how long the store must have been out of sight to be told
	// of: it gives a sign of life every 5 s, and a new leader takes a while.
	gapMin = 30 * time.Second
)

// Mirror is the server's copy of the store; mirror.Mirror is one.
type Mirror interface {
	// State returns the newest snapshot, nil before there is one.
	State() *cluster.State
	// Past blocks until there is one later than a revision.
	Past(ctx context.Context, after cluster.Revision) error
	// Age is the time since the last sign that the copy is current.
	Age() time.Duration
}

// Deps are what a recorder works with.
type Deps struct {
	Node   cluster.NodeID
	Mirror Mirror
	Health func(cluster.NodeID) cluster.Health
	Ring   *ring.Ring
	Log    *slog.Logger
}

// Recorder compares and records. Make it with New; Run it once.
type Recorder struct {
	deps    Deps
	limiter events.Limiter
	last    events.View
	heard   time.Time // when the store was last known to be in sight
}

// New makes a recorder.
func New(deps Deps) *Recorder { return &Recorder{deps: deps} }

// Run records until ctx ends, and returns its error. The ring is closed then.
func (r *Recorder) Run(ctx context.Context) error {
	defer r.deps.Ring.Close()
	r.deps.Ring.Load()
	return loop.New("events", r.deps.Log, func(ctx context.Context) (time.Duration, error) {
		return gather, r.step(ctx)
	}).Run(ctx)
}

// step records how the newest snapshot differs from the last one, and waits
// until there is a newer.
func (r *Recorder) step(ctx context.Context) error {
	var seen cluster.Revision
	if state := r.deps.Mirror.State(); state != nil {
		r.record(state, time.Now())
		seen = state.Revision
	}
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	if err := r.deps.Mirror.Past(ctx, seen); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// record tells how a snapshot differs from the last one. Before there was one,
// nothing is known of what happened, and that is said.
func (r *Recorder) record(state *cluster.State, now time.Time) {
	view := events.View{State: state, Health: r.health(state), At: now}
	var found []cluster.Event
	if r.last.State == nil {
		found = []cluster.Event{r.own(view, cluster.EventLogBegins, "what happened before is not known here: its daemon was started")}
	} else {
		found = events.Diff(r.last, view)
		if away := now.Sub(r.heard); len(found) > 0 && away > gapMin {
			found = append([]cluster.Event{r.own(view, cluster.EventLogGap,
				fmt.Sprintf("did not hear of the cluster for %s; what has changed since is told now", away.Round(time.Second)))}, found...)
		}
	}
	r.last, r.heard = view, now.Add(-r.deps.Mirror.Age())
	r.deps.Ring.Append(r.limiter.Pass(found, state.Revision, now), state.Revision)
}

// health asks how the nodes' sessions are timed here.
func (r *Recorder) health(state *cluster.State) map[cluster.NodeID]cluster.Health {
	all := make(map[cluster.NodeID]cluster.Health, len(state.Nodes))
	for i := range state.Nodes {
		id := state.Nodes[i].Node.ID
		all[id] = r.deps.Health(id)
	}
	return all
}

// own makes an event about this server's own events. No other server has it.
func (r *Recorder) own(view events.View, kind cluster.EventKind, text string) cluster.Event {
	name := r.deps.Node.Short()
	for i := range view.State.Nodes {
		if n := &view.State.Nodes[i].Node; n.ID == r.deps.Node {
			name = n.Name
		}
	}
	return cluster.Event{
		ID:   fmt.Sprintf("%d.%s.@%s", view.State.Revision, kind, r.deps.Node),
		Time: view.At, Revision: view.State.Revision, Kind: kind, Node: r.deps.Node, NodeName: name, Text: name + ": " + text,
	}
}
