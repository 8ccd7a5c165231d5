package api

import (
	"cmp"
	"slices"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// shown returns the views of all units, those included that were destroyed and
// that nodes still have: "destroy" waits for the last of them, and what runs is
// shown for as long as it runs. They have no desired state.
func (v views) shown() []wire.UnitView {
	list := v.units()
	stored := len(list)
	for _, s := range v.state.Statuses {
		if u, ok := findUnit(v.state, s.Unit); ok && u.Name == s.Unit {
			continue
		}
		if last := len(list) - 1; last < stored || list[last].Name != s.Unit {
			list = append(list, wire.UnitView{Unit: cluster.Unit{Name: s.Unit, UID: s.UID, Hash: s.Hash}})
		}
		view := &list[len(list)-1]
		s = v.current(s)
		view.Statuses = append(view.Statuses, s)
		view.State = stateOf(*view)
		view.Problem = "it was destroyed, and " + v.name(s.Node) + " still has it"
		if s.Active == cluster.ActiveUnknown {
			view.Problem = "it was destroyed, but " + s.Problem
		}
	}
	slices.SortFunc(list, func(a, b wire.UnitView) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
