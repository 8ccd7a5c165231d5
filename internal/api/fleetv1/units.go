package fleetv1

import (
	"net/http"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// unit is a unit as fleet's API shows it.
type unit struct {
	Name         cluster.UnitName `json:"name"`
	Options      []option         `json:"options"`
	DesiredState cluster.Desired  `json:"desiredState"`
	CurrentState cluster.Desired  `json:"currentState"`
	// MachineID is the node that the unit is placed on; a global unit has none,
	// as in fleet.
	MachineID cluster.NodeID `json:"machineID,omitempty"`
}

func unitOf(view wire.UnitView) (unit, error) {
	options, err := optionsOf(view.Name, view.Text)
	u := unit{Name: view.Name, Options: options, DesiredState: view.Desired, CurrentState: view.State}
	if p := view.Placement; p != nil && !p.Global && len(p.Nodes) == 1 {
		u.MachineID = p.Nodes[0]
	}
	return u, err
}

type unitPage struct {
	Units         []unit `json:"units"`
	NextPageToken string `json:"nextPageToken,omitempty"`
}

func (a *api) listUnits(r *http.Request) (answer, error) {
	after, err := pageOf(r, "units")
	if err != nil {
		return answer{}, err
	}
	views, err := a.ops.Units(r.Context(), after.unit, pageMax+1)
	if err != nil {
		return answer{}, err
	}
	got := unitPage{Units: []unit{}}
	views, got.NextPageToken = page(views, func(v wire.UnitView) row { return row{list: "units", unit: v.Name} })
	for _, view := range views {
		u, err := unitOf(view)
		if err != nil {
			// One text that was not stored through us must not hide all the
			// others; asked for by name, the unit says what is wrong with it.
			u.Options = []option{}
		}
		got.Units = append(got.Units, u)
	}
	return answer{http.StatusOK, got}, nil
}

// unitName reads the name in a path.
func unitName(r *http.Request) (cluster.UnitName, error) {
	name := cluster.UnitName(r.PathValue("name"))
	return name, cluster.CheckUnitName(name)
}

func (a *api) getUnit(r *http.Request) (answer, error) {
	name, err := unitName(r)
	if err != nil {
		return answer{}, err
	}
	view, err := a.ops.Unit(r.Context(), name)
	if err != nil {
		return answer{}, err
	}
	u, err := unitOf(view)
	return answer{http.StatusOK, u}, err
}

func (a *api) deleteUnit(r *http.Request) (answer, error) {
	name, err := unitName(r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.ops.Destroy(r.Context(), name)
}

// putUnit creates a unit, replaces one whose options differ (201), or changes
// the desired state of one (204).
func (a *api) putUnit(r *http.Request) (answer, error) {
	name, err := unitName(r)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Name         cluster.UnitName `json:"name"`
		Options      []option         `json:"options"`
		DesiredState cluster.Desired  `json:"desiredState"`
	}
	if err := decode(r, &in, "application/json"); err != nil {
		return answer{}, err
	}
	if in.Name != "" && in.Name != name {
		return answer{}, cluster.Errorf(cluster.Invalid, "the path names %s, the body %s", name, clip(string(in.Name)))
	}
	writes, err := a.differs(r, name, in.Options)
	switch {
	case err != nil:
		return answer{}, err
	case writes:
		text, err := textOf(name, in.Options)
		if err != nil {
			return answer{}, err
		}
		submitted := wire.SubmitUnit{Name: name, Text: text, Desired: in.DesiredState}
		return answer{status: http.StatusCreated}, a.ops.Submit(r.Context(), wire.SubmitRequest{Units: []wire.SubmitUnit{submitted}, Replace: true})
	case in.DesiredState == "":
		return answer{}, cluster.Errorf(cluster.Conflict, "%s is there already, and no desiredState is given", name)
	}
	return answer{status: http.StatusNoContent}, a.ops.SetDesired(r.Context(), wire.DesiredRequest{Names: []cluster.UnitName{name}, Desired: in.DesiredState})
}

// differs reports whether a unit is to be written: because there is none, or
// with other options than the ones given. Without any the stored ones are meant.
func (a *api) differs(r *http.Request, name cluster.UnitName, options []option) (bool, error) {
	view, err := a.ops.Unit(r.Context(), name)
	switch {
	case cluster.KindOf(err) == cluster.NotFound && err != nil && len(options) == 0:
		return false, cluster.Errorf(cluster.Conflict, "there is no unit %s, and no options are given to make it of", name)
	case err != nil && cluster.KindOf(err) == cluster.NotFound:
		return true, nil
	case err != nil, len(options) == 0:
		return false, err
	}
	stored, err := optionsOf(name, view.Text)
	if err != nil {
		return true, nil // a stored text that nobody can read may be replaced
	}
	if len(stored) != len(options) {
		return true, nil
	}
	for i, o := range options {
		if plain, err := plainOption(i, o); err != nil || plain != stored[i] {
			return true, err
		}
	}
	return false, nil
}
