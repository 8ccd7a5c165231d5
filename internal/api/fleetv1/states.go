package fleetv1

import (
	"net/http"

	"argosy/internal/cluster"
)

// state is what a node says of a unit, as fleet's API shows it.
type state struct {
	Name               cluster.UnitName `json:"name"`
	Hash               cluster.Hash     `json:"hash"`
	MachineID          cluster.NodeID   `json:"machineID"`
	SystemdLoadState   string           `json:"systemdLoadState"`
	SystemdActiveState string           `json:"systemdActiveState"`
	SystemdSubState    string           `json:"systemdSubState"`
}

func stateOf(s cluster.Status) state {
	return state{s.Unit, s.Hash, s.Node, s.Load, s.Active, s.Sub}
}

type statePage struct {
	States        []state `json:"states"`
	NextPageToken string  `json:"nextPageToken,omitempty"`
}

func (a *api) listStates(r *http.Request) (answer, error) {
	after, err := pageOf(r, "states")
	if err != nil {
		return answer{}, err
	}
	statuses, err := a.ops.Statuses(r.Context(), StatusQuery{
		AfterUnit: after.unit, AfterNode: after.node, Most: pageMax + 1,
		Unit: cluster.UnitName(r.URL.Query().Get("unitName")), Node: cluster.NodeID(r.URL.Query().Get("machineID")),
	})
	if err != nil {
		return answer{}, err
	}
	got := statePage{States: []state{}}
	statuses, got.NextPageToken = page(statuses, func(s cluster.Status) row { return row{"states", s.Unit, s.Node} })
	for _, s := range statuses {
		got.States = append(got.States, stateOf(s))
	}
	return answer{http.StatusOK, got}, nil
}

// getState shows one state of a unit. fleet showed an arbitrary one; this is
// that of the node with the smallest ID.
func (a *api) getState(r *http.Request) (answer, error) {
	name, err := unitName(r)
	if err != nil {
		return answer{}, err
	}
	statuses, err := a.ops.Statuses(r.Context(), StatusQuery{Unit: name, Most: 1})
	if err != nil {
		return answer{}, err
	}
	if len(statuses) == 0 {
		return answer{}, cluster.Errorf(cluster.NotFound, "no node says anything of %s", name)
	}
	return answer{http.StatusOK, stateOf(statuses[0])}, nil
}
