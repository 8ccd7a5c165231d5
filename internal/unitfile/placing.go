package unitfile

import "argosy/internal/cluster"

// Placing is what a unit asks of the node it runs on: the options of [X-Fleet],
// specifiers expanded. Lists are sorted and hold nothing twice, so that equal
// demands are equal values. The zero value asks for nothing.
type Placing struct {
	// Global asks for a copy on every node that the other options allow.
	Global bool
	// MachineID is the one node that may run the unit: all 32 digits of its
	// ID or the first 8, "" for any.
	MachineID string
	// MachineOf are units that must be placed on the same node, all of them.
	MachineOf []cluster.UnitName
	// Metadata are demands on the labels of the node, by key: all must be met.
	Metadata []Requirement
	// Conflicts are globs (path.Match) of unit names that must not be on the
	// same node. Either side's glob forbids; a unit's own name is skipped.
	Conflicts []string
	// Replaces are globs of units that leave the node when this one comes.
	Replaces []string
}

// Requirement is a demand on one label: its value must be one of these.
type Requirement struct {
	Key    string
	Values []string // sorted, not empty
}

// PlacingOf reads the placing options of a unit and says what is wrong with
// them. What could be understood is in the Placing even then.
func PlacingOf(name cluster.UnitName, f *File) (Placing, []Finding) { return Placing{}, nil }
