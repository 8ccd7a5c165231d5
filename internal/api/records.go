package api

import (
	"iter"

	"argosy/internal/cluster"
)

// records are what a snapshot holds of one unit's name.
type records struct {
	name      cluster.UnitName
	unit      *cluster.Unit      // nil if it was destroyed
	placement *cluster.Placement // nil if there is none
	// statuses are by node. Those of an earlier unit of this name are among them.
	statuses []cluster.Status
}

// recordsOf returns what a snapshot holds of a unit that is stored.
func recordsOf(state *cluster.State, u cluster.Unit) records {
	r := records{name: u.Name, unit: &u, statuses: statusesOf(state, u.Name)}
	if p, ok := findPlacement(state, u.Name); ok {
		r.placement = &p
	}
	return r
}

// everyUnit goes through what a snapshot holds, by the names of units: of those
// that are stored, and of those that nodes still have. The lists of a snapshot are
// sorted.
func everyUnit(state *cluster.State) iter.Seq[records] {
	return func(yield func(records) bool) {
		units, placements, statuses := state.Units, state.Placements, state.Statuses
		for len(units)+len(statuses) > 0 {
			var r records
			if len(statuses) == 0 || len(units) > 0 && units[0].Name <= statuses[0].Unit {
				r.name, r.unit, units = units[0].Name, &units[0], units[1:]
			} else {
				r.name = statuses[0].Unit
			}
			for len(placements) > 0 && placements[0].Unit < r.name {
				placements = placements[1:]
			}
			if len(placements) > 0 && placements[0].Unit == r.name {
				r.placement = &placements[0]
			}
			seen := 0
			for seen < len(statuses) && statuses[seen].Unit == r.name {
				seen++
			}
			r.statuses, statuses = statuses[:seen:seen], statuses[seen:]
			if !yield(r) {
				return
			}
		}
	}
}

// stamp tells the records of a unit from those of another snapshot: revisions only
// grow, so of equal stamps nothing was written since, and nothing deleted.
type stamp struct {
	unit, placement, status cluster.Revision // the latest of the statuses; 0 if there is none
	statuses                int
}

func (r records) stamp() stamp {
	s := stamp{statuses: len(r.statuses)}
	if r.unit != nil {
		s.unit = r.unit.Revision
	}
	if r.placement != nil {
		s.placement = r.placement.Revision
	}
	for i := range r.statuses {
		s.status = max(s.status, r.statuses[i].Revision)
	}
	return s
}
