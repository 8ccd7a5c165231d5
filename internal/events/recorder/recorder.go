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

// Pacing: snapshots are compared at most every pace, so that the cost does not
// grow with how fast things change; quiet is how long nothing may come before
// the counts of what was left out are looked at anyway.
const (
	pace  = 100 * time.Millisecond
	quiet = 5 * time.Second
	// gapMin is for how long the store must have been out of sight to be told
	// of: it gives a sign of life every 5 s, and a new leader takes a while.
	gapMin = 30 * time.Second
)

// Mirror is the server's copy of the store; mirror.Mirror is one.
type Mirror interface {
	Wait(ctx context.Context, after cluster.Revision) (*cluster.State, error)
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
	pace    loop.Pace
	limiter events.Limiter
	last    events.View
	heard   time.Time // when the store was last known to be in sight
}

// New makes a recorder.
func New(deps Deps) *Recorder { return &Recorder{deps: deps, pace: loop.Pace{Every: pace}} }

// Run records until ctx ends, and returns its error. The ring is closed then.
func (r *Recorder) Run(ctx context.Context) error {
	defer r.deps.Ring.Close()
	r.deps.Ring.Load()
	return loop.New("events", r.deps.Log, func(ctx context.Context) (time.Duration, error) {
		return time.Millisecond, r.step(ctx)
	}).Run(ctx)
}

// step waits for the next snapshot and records how it differs from the last.
// Before there was one, nothing is known of what happened, and that is said.
func (r *Recorder) step(ctx context.Context) error {
	if err := r.pace.Wait(ctx); err != nil {
		return err
	}
	var after cluster.Revision
	if r.last.State != nil {
		after = r.last.State.Revision
	}
	waiting, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	state, err := r.deps.Mirror.Wait(waiting, after)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	now := time.Now()
	if state == nil {
		state = r.last.State
	}
	if state == nil {
		return nil
	}
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
	return nil
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
