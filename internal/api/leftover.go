package api

import (
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// leftover returns the view of a unit that was destroyed and that nodes still
// have: "destroy" waits for the last of them, and what runs is shown for as long as
// it runs. It has no desired state.
func (v views) leftover(statuses []cluster.Status) wire.UnitView {
	first := statuses[0]
	view := wire.UnitView{Unit: cluster.Unit{Name: first.Unit, UID: first.UID, Hash: first.Hash}}
	for _, s := range statuses {
		s = v.current(s)
		view.Statuses = append(view.Statuses, s)
		view.Problem = "it was destroyed, and " + v.name(s.Node) + " still has it"
		if s.Active == cluster.ActiveUnknown {
			view.Problem = "it was destroyed, but " + s.Problem
		}
	}
	view.State = stateOf(view)
	return view
}
