package cluster

import "time"

// State is a snapshot of everything in the store at one revision, sorted, for
// the pure cores and for listings. It is never changed after it was built.
type State struct {
	Revision   Revision
	Cluster    Cluster
	Leader     Leader      // its revision is the fencing key of the leader's writes
	Nodes      []NodeState // by ID
	Units      []Unit      // by name
	Placements []Placement // by unit
	Statuses   []Status    // by unit, then node
	Members    []Member    // by node
	Tokens     []Token     // by ID
}

// NodeState is all that is known of one node.
type NodeState struct {
	Node    Node
	Report  Report
	Session Session
}

// Health of a node as the leader times it, on its own monotonic clock.
type Health string

// The states of a node's health.
const (
	Ready Health = "ready" // renewed within T_lost
	Lost  Health = "lost"  // silent for T_lost: ordinary units move
	Dead  Health = "dead"  // silent for T_dead: exclusive units move too
)

// Away reports whether nothing is known of what the node does now.
func (h Health) Away() bool { return h == Lost || h == Dead }

// Timings are the intervals that sessions rest on. Check refuses every
// combination under which an exclusive unit could run twice.
type Timings struct {
	Renew    time.Duration `json:"renew"`    // how often a node renews its session
	Valid    time.Duration `json:"valid"`    // T_valid: a permit lasts this long from the send of the renewal
	Watchdog time.Duration `json:"watchdog"` // W: systemd kills the permit process after this silence
	Stop     time.Duration `json:"stop"`     // S: the longest that systemd lets an exclusive unit take to stop
	Lost     time.Duration `json:"lost"`     // T_lost: ordinary units move
	Dead     time.Duration `json:"dead"`     // T_dead: the session is declared dead, exclusive units move
}

// DefaultTimings suit a local network.
func DefaultTimings() Timings {
	return Timings{
		Renew: 2 * time.Second, Valid: 10 * time.Second, Watchdog: 5 * time.Second,
		Stop: 6 * time.Second, Lost: 8 * time.Second, Dead: 25 * time.Second,
	}
}

// FastTimings move exclusive units in about 12 s; they want a quiet network.
func FastTimings() Timings {
	return Timings{
		Renew: time.Second, Valid: 4 * time.Second, Watchdog: 2 * time.Second,
		Stop: 2 * time.Second, Lost: 4 * time.Second, Dead: 10 * time.Second,
	}
}

// WideTimings are for nodes far apart or on slow disks.
func WideTimings() Timings {
	return Timings{
		Renew: 5 * time.Second, Valid: 30 * time.Second, Watchdog: 10 * time.Second,
		Stop: 15 * time.Second, Lost: 25 * time.Second, Dead: 65 * time.Second,
	}
}

// clockRateError bounds how much faster or slower a node's clock may run than
// the leader's: 5 %, ten times what chrony allows itself by default.
const clockRateError = 0.05

// DeadMin returns the smallest safe T_dead for the other timings:
// (Valid+Watchdog+Stop)(1+r)/(1-r), r the clock-rate error. The leader counts
// from when it saw the last renewal, which is after the node sent it; the node
// is silent at the latest Valid+Watchdog+Stop after it sent it.
func (t Timings) DeadMin() time.Duration {
	sum := float64(t.Valid + t.Watchdog + t.Stop)
	return time.Duration(sum * (1 + clockRateError) / (1 - clockRateError))
}

// Check returns an Invalid error with the arithmetic shown if the combination
// is unsafe or useless.
func (t Timings) Check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Renew", t.Renew}, {"Valid", t.Valid}, {"Watchdog", t.Watchdog}, {"Stop", t.Stop}, {"Lost", t.Lost}, {"Dead", t.Dead}} {
		if d.value <= 0 {
			return Errorf(Invalid, "timing %s must be more than zero, not %s", d.name, d.value)
		}
	}
	if least := t.DeadMin(); t.Dead < least {
		return Errorf(Invalid, "Dead=%s is unsafe: (Valid %s + Watchdog %s + Stop %s) x 1.05 / 0.95 = %s, and Dead must not be less",
			t.Dead, t.Valid, t.Watchdog, t.Stop, least.Round(time.Millisecond))
	}
	if t.Valid < 3*t.Renew {
		return Errorf(Invalid, "Valid=%s with Renew=%s: two lost renewals would end a permit; Valid must be at least 3 x Renew", t.Valid, t.Renew)
	}
	if t.Lost < 2*t.Renew {
		return Errorf(Invalid, "Lost=%s with Renew=%s: one lost renewal would move units; Lost must be at least 2 x Renew", t.Lost, t.Renew)
	}
	if t.Lost > t.Dead {
		return Errorf(Invalid, "Lost=%s is longer than Dead=%s", t.Lost, t.Dead)
	}
	return nil
}
