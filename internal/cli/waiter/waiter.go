// Package waiter decides when what a command asked for has come about. It is
// fed with the messages of the cluster's watch and says what to tell the user
// of each unit, which units are done, and which failed.
//
// It is a pure state machine: no clock, no connection. It is level-triggered:
// only the state of a unit counts, never that a message came, so a watch may be
// lost and begun anew at any time.
package waiter

import (
	"slices"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// Goal is what is awaited of every unit.
type Goal int

// The goals.
const (
	Loaded    Goal = iota + 1 // known to the systemd of the nodes it is placed on
	Launched                  // active there, or ended well
	Restarted                 // the same, in a new main process
	Stopped                   // running nowhere
	Unloaded                  // on no node
	Destroyed                 // gone from every node and from the cluster
)

// Unit is one unit that is awaited.
type Unit struct {
	Name cluster.UnitName
	// Before is the unit as it was before the request, or zero if it was not
	// there. What it says of a failure or a main process is old.
	Before wire.UnitView
	// Changed is false if the request found the unit as wanted: then what was
	// true before is true now.
	Changed bool
}

// Verdict says how far a unit is.
type Verdict int

// The verdicts. Failed is final, and so is Reached unless the unit is young.
const (
	Waiting Verdict = iota + 1
	Reached
	Failed
)

// Event is a change of a unit's state, for the user.
type Event struct {
	Unit    cluster.UnitName
	State   string // "active (running) on node-2", "pending"
	Reason  string // why, or ""
	Log     []string
	Verdict Verdict

	// young units have only just begun to run: systemd calls a simple service
	// active as soon as its process exists, and that may end at once.
	young bool
}

// Tally counts the units by verdict.
type Tally struct{ Waiting, Reached, Failed int }

// Waiter follows units to a goal. It is not safe for concurrent use.
type Waiter struct {
	goal     Goal
	since    cluster.Revision
	units    []Unit
	index    map[cluster.UnitName]int
	last     []Event // by index; the last event of each
	tally    Tally
	revision cluster.Revision
	views    map[cluster.UnitName]wire.UnitView
	nodes    map[cluster.NodeID]wire.NodeView
}

// New makes a waiter for units. since is the revision of the request's answer:
// what is older does not show its effect yet.
func New(goal Goal, since cluster.Revision, units []Unit) *Waiter {
	w := &Waiter{
		goal: goal, since: since, units: units,
		index: make(map[cluster.UnitName]int, len(units)),
		last:  make([]Event, len(units)),
		tally: Tally{Waiting: len(units)},
	}
	for i, unit := range units {
		w.index[unit.Name] = i
		w.last[i] = Event{Unit: unit.Name, State: "waiting", Reason: "no word from the cluster yet", Verdict: Waiting}
	}
	w.forget()
	return w
}

// forget drops what is known of the cluster.
func (w *Waiter) forget() {
	w.views = map[cluster.UnitName]wire.UnitView{}
	w.nodes = map[cluster.NodeID]wire.NodeView{}
}

// Apply takes a message of the watch and returns what changed, in the order of
// the units.
func (w *Waiter) Apply(change wire.Change) []Event {
	if change.Full {
		w.forget()
	}
	for _, node := range change.Nodes {
		w.nodes[node.ID] = node
	}
	touched := map[int]bool{}
	for _, view := range change.Units {
		if i, ok := w.index[view.Name]; ok {
			w.views[view.Name] = view
			touched[i] = true
		}
	}
	for _, name := range change.GoneUnits {
		if i, ok := w.index[name]; ok {
			delete(w.views, name)
			touched[i] = true
		}
	}
	// The first message that is new enough makes all that came before it count.
	caughtUp := w.revision < w.since && change.Revision >= w.since
	w.revision = max(w.revision, change.Revision)
	var events []Event
	for i := range w.units {
		if touched[i] || change.Full || caughtUp {
			if event, ok := w.look(i); ok {
				events = append(events, event)
			}
		}
	}
	return events
}

// look judges one unit anew and returns the event if it says something new.
func (w *Waiter) look(i int) (Event, bool) {
	unit, last := w.units[i], w.last[i]
	final := last.Verdict == Failed || last.Verdict == Reached && !last.young
	if final || unit.Changed && w.revision < w.since {
		return Event{}, false
	}
	j := judge{goal: w.goal, unit: unit, nodes: w.nodes}
	if view, ok := w.views[unit.Name]; ok {
		j.view = &view
	}
	event := j.event()
	event.Unit = unit.Name
	if event.State == last.State && event.Reason == last.Reason && event.Verdict == last.Verdict {
		return Event{}, false
	}
	w.last[i] = event
	*w.tally.of(last.Verdict)--
	*w.tally.of(event.Verdict)++
	return event, true
}

// of returns the count of a verdict.
func (t *Tally) of(v Verdict) *int {
	switch v {
	case Reached:
		return &t.Reached
	case Failed:
		return &t.Failed
	case Waiting:
	}
	return &t.Waiting
}

// Young reports whether some unit that has reached the goal has only just begun
// to run. Whoever goes on for a moment sees those that end again at once.
func (w *Waiter) Young() bool {
	return slices.ContainsFunc(w.last, func(e Event) bool { return e.Verdict == Reached && e.young })
}

// Done reports whether no unit is awaited any more.
func (w *Waiter) Done() bool { return w.tally.Waiting == 0 }

// Tally returns how many units have got how far.
func (w *Waiter) Tally() Tally { return w.tally }

// Unsettled returns the last event of each unit that is still awaited.
func (w *Waiter) Unsettled() []Event {
	var events []Event
	for _, event := range w.last {
		if event.Verdict == Waiting {
			events = append(events, event)
		}
	}
	return events
}
