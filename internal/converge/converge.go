// Package converge decides what a node does to its systemd: from the units
// that are to be here, the units that systemd shows, and what the node
// remembers of its own attempts, to ordered steps, each with a reason.
//
// It is pure: no I/O, no clock, no goroutine. Every unit is decided by itself,
// so that one that fails never delays another; the only step that units share
// is one reload of systemd.
//
// The phases are withdraw, stop, remove, write, reload, start. A unit is stopped before
// its file changes, so that whatever runs with a current file was started from
// it: this is what makes a crash between two steps harmless.
package converge

import (
	"cmp"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// Kind is what a step does.
type Kind string

// The kinds of step, in the order of their phases.
const (
	Withdraw    Kind = "withdraw" // what a unit offers, before it is stopped
	Stop        Kind = "stop"
	GiveUp      Kind = "give-up" // stops a unit that does not come up, and counts as a failed start
	Remove      Kind = "remove"
	Write       Kind = "write"
	Reload      Kind = "reload" // shared by all units that need it
	ResetFailed Kind = "reset-failed"
	Start       Kind = "start"
	Restart     Kind = "restart"
)

// phase orders kinds.
func (k Kind) phase() int {
	return slices.Index([]Kind{Withdraw, Stop, GiveUp, Remove, Write, Reload, ResetFailed, Start, Restart}, k)
}

// Stops reports whether the step ends what a unit does.
func (k Kind) Stops() bool { return k == Stop || k == Restart }

// Starts reports whether the step makes a process come into being.
func (k Kind) Starts() bool { return k == Start || k == Restart }

// Step is one thing to do, and why.
type Step struct {
	Kind   Kind
	Unit   cluster.UnitName // "" for the shared reload
	Reason string
}

// Input is all that a plan depends on. The order of its slices does not matter.
type Input struct {
	Want []cluster.Assignment
	// Seen holds what systemd says of each unit of Want and of all of ours. A
	// wanted unit that is missing here is taken as not known to systemd.
	Seen   []systemd.Unit
	Memory Memory
	Now    time.Time
	// Hold says why nothing may be done but to write files, "" if it may: what is
	// wanted may come from a cache and have moved elsewhere meanwhile.
	Hold string
	// Lag is how long systemd took to say what is seen.
	Lag time.Duration
	// Restarting is what was seen before of the units that are activating.
	Restarting Restarting
	// Announced are the units that others may be using; Sick are those that are to be
	// started again because of what they answer, each with what that is.
	Announced map[cluster.UnitName]bool
	Sick      map[cluster.UnitName]string
}

// Restarting holds how often units that were activating had started again by
// themselves when they were last looked at.
type Restarting map[cluster.UnitName]look

type look struct {
	restarts int
	at       time.Time
}

// Started notes that a unit was started; systemd counts from there.
func (r Restarting) Started(name cluster.UnitName, at time.Time) { r[name] = look{at: at} }

// Seen notes what systemd showed.
func (r Restarting) Seen(units []systemd.Unit, at time.Time) {
	for _, u := range units {
		if u.Active == "activating" {
			r[u.Name] = look{u.AutoRestarts, at}
		} else {
			delete(r, u.Name)
		}
	}
}

// Decision is what is to be done about one unit.
type Decision struct {
	Unit  cluster.UnitName
	Steps []Step // in order; empty if there is nothing to do now
	// Stops is set if the unit is to be stopped or started again: now, or when that is
	// tried once more.
	Stops bool
	// Problem says in plain words what keeps the unit from being as wanted.
	Problem string
	// Again is when the unit must be decided anew although nothing changed;
	// zero if never.
	Again time.Time
	// Settled is set if nothing is left to do: it is then what to remember.
	Settled *Known
	// Gone is set if the unit is not wanted and nothing of it is left.
	Gone bool
}

// Plan decides every unit that is wanted or ours, sorted by name.
func Plan(in Input) []Decision {
	want := make(map[cluster.UnitName]*cluster.Assignment, len(in.Want))
	seen := make(map[cluster.UnitName]systemd.Unit, len(in.Seen))
	names := make([]cluster.UnitName, 0, len(in.Want)+len(in.Seen))
	for i := range in.Want {
		want[in.Want[i].Name] = &in.Want[i]
		names = append(names, in.Want[i].Name)
	}
	for _, u := range in.Seen {
		seen[u.Name] = u
		names = append(names, u.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	decisions := make([]Decision, 0, len(names))
	for _, name := range names {
		u, ok := seen[name]
		if !ok {
			u = systemd.Unit{Name: name, Load: "not-found", Active: "inactive", Sub: "dead"}
		}
		d := decideUnit(want[name], u, in.Memory[name], in)
		d.Unit = name
		if in.Hold != "" {
			d = held(d, in.Hold)
		}
		if in.Announced[name] {
			d.Steps = withdrawn(d.Steps)
		}
		decisions = append(decisions, d)
	}
	return decisions
}

// held leaves only the writes that come before anything else.
func held(d Decision, why string) Decision {
	for i, s := range d.Steps {
		if s.Kind != Write && s.Kind != Reload {
			d.Steps, d.Stops = d.Steps[:i], false
			d.Problem = why
			break
		}
	}
	return d
}

// withdrawn has what a unit offers withdrawn before the step that ends it.
func withdrawn(steps []Step) []Step {
	if i := slices.IndexFunc(steps, func(s Step) bool { return s.Kind.Stops() }); i >= 0 {
		return slices.Insert(steps, i, Step{Kind: Withdraw, Unit: steps[i].Unit, Reason: steps[i].Reason})
	}
	return steps
}

// Steps flattens decisions into one list: by phase, then by name, with one
// reload at most.
func Steps(decisions []Decision) []Step {
	var steps []Step
	reload := false
	for _, d := range decisions {
		for _, s := range d.Steps {
			if s.Kind != Reload {
				steps = append(steps, s)
			} else if !reload {
				reload = true
				steps = append(steps, Step{Kind: Reload, Reason: s.Reason})
			}
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Kind.phase(), b.Kind.phase()), cmp.Compare(a.Unit, b.Unit))
	})
	return steps
}
