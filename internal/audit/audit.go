// Package audit is the list of what must always be true of a cluster. It is
// checked after every step of the simulator and before every commit of the
// leader.
package audit

import (
	"cmp"
	"slices"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

// Finding is one invariant that does not hold.
type Finding struct {
	// Rule is the invariant's short name, Subject the unit, node or other
	// record that breaks it.
	Rule    string `json:"rule"`
	Subject string `json:"subject"`
	// Message says it in a sentence.
	Message string `json:"message"`
	// Passing findings are true for a moment after a user or operator changed
	// something, until the leader has followed. They count only at rest.
	Passing bool `json:"passing,omitempty"`
}

// String returns the finding on one line.
func (f Finding) String() string { return f.Rule + ": " + f.Message }

// Lasting returns the findings that must never be, not even for a moment.
func Lasting(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Passing })
}

// Check returns every invariant that a snapshot breaks, sorted.
func Check(state *cluster.State) []Finding { return CheckWith(state, place.ParseSpec) }

// CheckWith is Check with a source of the units' constraints, for callers that
// keep them parsed.
func CheckWith(state *cluster.State, specs func(cluster.Unit) (*place.Spec, error)) []Finding {
	c := newCheck(state, specs)
	c.order()
	c.placements()
	c.conflicts()
	c.room()
	c.demands()
	c.reports()
	c.members()
	c.tokens()
	return sorted(c.findings)
}

func sorted(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Message, b.Message))
	})
	return findings
}
