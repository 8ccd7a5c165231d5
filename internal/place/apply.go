package place

import (
	"cmp"
	"slices"

	"argosy/internal/cluster"
)

// Apply returns the state as it is after the whole proposal was committed in
// one transaction. The state that was given is left as it is.
func Apply(state *cluster.State, proposal Proposal) *cluster.State {
	next := *state
	next.Revision++
	placements := make(map[cluster.UnitName]cluster.Placement, len(state.Placements))
	for _, p := range state.Placements {
		placements[p.Unit] = p
	}
	for _, c := range proposal.Changes {
		c.Placement.Revision = next.Revision
		placements[c.Placement.Unit] = c.Placement
	}
	for _, d := range proposal.Deletes {
		delete(placements, d.Unit)
	}
	next.Placements = make([]cluster.Placement, 0, len(placements))
	for _, p := range placements {
		next.Placements = append(next.Placements, p)
	}
	slices.SortFunc(next.Placements, func(a, b cluster.Placement) int { return cmp.Compare(a.Unit, b.Unit) })
	return &next
}
