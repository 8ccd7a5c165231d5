package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"argosy/internal/api/fleetv1"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// withFleet adds fleet's HTTP API to what a unix socket serves. That API knows
// no identities, so it is on no other listener.
func withFleet(next, fleet http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range fleetv1.Prefixes() {
		mux.Handle(prefix, fleet)
	}
	mux.Handle("/", next)
	return mux
}

// refuseFleet adds fleet's HTTP API to the socket of a node that cannot serve
// it, and says why in the form that its callers read.
func refuseFleet(next http.Handler, why error) http.Handler {
	return withFleet(next, fleetv1.Refuse(why, statusOf))
}

// fleetOps are the operations of this server as package fleetv1 calls them. They
// are the handlers of our own routes.
type fleetOps struct{ *Server }

var _ fleetv1.Operations = fleetOps{}

// plain turns what handlers hand to the framework back into our own errors.
func plain(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return cluster.Errorf(cluster.ParseKind(p.Code), "%s", p.Detail).WithHint(p.Hint)
	}
	return err
}

// Units implements fleetv1.Operations.
func (f fleetOps) Units(_ context.Context, after cluster.UnitName, most int) ([]wire.UnitView, error) {
	state, err := f.state()
	if err != nil {
		return nil, err
	}
	first, found := slices.BinarySearchFunc(state.Units, after, func(u cluster.Unit, n cluster.UnitName) int { return cmp.Compare(u.Name, n) })
	if found {
		first++
	}
	v := f.views(state)
	var list []wire.UnitView
	for _, u := range state.Units[first:min(first+most, len(state.Units))] {
		list = append(list, v.unit(u))
	}
	return list, nil
}

// Unit implements fleetv1.Operations.
func (f fleetOps) Unit(ctx context.Context, name cluster.UnitName) (wire.UnitView, error) {
	got, err := f.getUnit(ctx, &nameInput{name})
	if err != nil {
		return wire.UnitView{}, plain(err)
	}
	return got.Body, nil
}

// Statuses implements fleetv1.Operations.
func (f fleetOps) Statuses(_ context.Context, q fleetv1.StatusQuery) ([]cluster.Status, error) {
	state, err := f.state()
	if err != nil {
		return nil, err
	}
	all := state.Statuses
	if q.Unit != "" {
		all = statusesOf(state, q.Unit)
	}
	first, found := slices.BinarySearchFunc(all, q, func(s cluster.Status, q fleetv1.StatusQuery) int {
		return cmp.Or(cmp.Compare(s.Unit, q.AfterUnit), cmp.Compare(s.Node, q.AfterNode))
	})
	if found {
		first++
	}
	v := f.views(state)
	var list []cluster.Status
	for _, s := range all[first:] {
		if len(list) == q.Most {
			break
		}
		// What is said of an earlier unit of the name is not said of this one,
		// and what a node said that is lost went away with it, as in fleet.
		u, stored := findUnit(state, s.Unit)
		if stored && u.UID != s.UID || q.Node != "" && s.Node != q.Node || v.away(s.Node) {
			continue
		}
		list = append(list, v.current(s))
	}
	return list, nil
}

// Nodes implements fleetv1.Operations.
func (f fleetOps) Nodes(context.Context) ([]wire.NodeView, error) {
	state, err := f.state()
	if err != nil {
		return nil, err
	}
	return f.views(state).nodes(), nil
}

// Submit implements fleetv1.Operations.
func (f fleetOps) Submit(ctx context.Context, request wire.SubmitRequest) error {
	_, err := f.submitUnits(ctx, &body[wire.SubmitRequest]{request})
	return plain(err)
}

// SetDesired implements fleetv1.Operations.
func (f fleetOps) SetDesired(ctx context.Context, request wire.DesiredRequest) error {
	_, err := f.setDesired(ctx, &body[wire.DesiredRequest]{request})
	return plain(err)
}

// Destroy implements fleetv1.Operations.
func (f fleetOps) Destroy(ctx context.Context, name cluster.UnitName) error {
	_, err := f.destroyUnits(ctx, &body[wire.NamesRequest]{wire.NamesRequest{Names: []cluster.UnitName{name}}})
	return plain(err)
}

// Label implements fleetv1.Operations.
func (f fleetOps) Label(ctx context.Context, patch map[cluster.NodeID]map[string]string) error {
	return f.label(ctx, patch)
}
