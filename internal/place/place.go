// Package place decides which node runs which unit. It is the only place where
// constraints, conflicts and global units are looked at: its result is data,
// and nobody decides any of it a second time.
//
// Plan is a pure function of a snapshot. What is placed validly stays where it
// is; a unit moves only if its node was removed, is lost or no longer satisfies
// its constraints. Filters say which nodes may take a unit, and why the others
// may not; scores choose among those that may.
package place

import (
	"time"

	"argosy/internal/cluster"
)

// Input is all that a plan depends on. The order of the slices in State does
// not matter.
type Input struct {
	State *cluster.State
	// Health is how the leader times the nodes. A node that is missing here
	// has not been heard of yet: it keeps what it has and takes nothing new.
	Health map[cluster.NodeID]cluster.Health
	// Specs returns the constraints of a unit: ParseSpec, or a cache of it.
	Specs func(cluster.Unit) (*Spec, error)
	// Now becomes the Since of placements that change.
	Now time.Time
	// Seed breaks ties between equally loaded nodes; see SeedOf.
	Seed uint64
}

// Proposal is what has to change, each item with the revisions that it was
// computed from. An empty proposal means that everything is where it should be.
type Proposal struct {
	Changes []Change   // sorted by unit
	Deletes []Deletion // sorted by unit
	// Next is when to plan again although nothing has changed: a unit that
	// failed is due to be tried again. Zero: never.
	Next time.Time
}

// Empty reports whether there is nothing to do.
func (p Proposal) Empty() bool { return len(p.Changes) == 0 && len(p.Deletes) == 0 }

// Change is a placement to be written.
type Change struct {
	// Placement is the record as it is to be; its Reason says why.
	Placement cluster.Placement
	// UnitRevision and PlacementRevision are those of the records that the
	// change was computed from; 0 means that there was no placement.
	UnitRevision      cluster.Revision
	PlacementRevision cluster.Revision
}

// Deletion is a placement that has no reason to exist any more.
type Deletion struct {
	Unit cluster.UnitName
	// UnitRevision is 0 if the unit does not exist.
	UnitRevision      cluster.Revision
	PlacementRevision cluster.Revision
	Reason            string
}

// SeedOf makes all servers of one cluster break ties in the same way.
func SeedOf(id cluster.ID) uint64 { return hash(0, string(id)) }
