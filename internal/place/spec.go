package place

import (
	"argosy/internal/cluster"
)

// Spec is what a unit demands of the node that runs it, from [X-Fleet] and
// [X-Argosy] of its file. The zero Spec fits every node.
type Spec struct {
	// MachineID is the full ID of the only node allowed, or its first eight
	// digits; "" allows all.
	MachineID string
	// Metadata must hold all together.
	Metadata []Require
	// Conflicts are globs (path.Match) of unit names that must not be on the
	// same node. They count in both directions; the unit's own name is skipped.
	Conflicts []string
	// MachineOf names units that must be on the same node.
	MachineOf []cluster.UnitName
	// Global units run on every node that the rest of the spec allows.
	Global bool
}

// Require is satisfied by a node whose label Key has one of Values.
type Require struct {
	Key    string
	Values []string
}

// ParseSpec reads the constraints of a unit from its text.
func ParseSpec(cluster.Unit) (Spec, error) { return Spec{}, nil }
