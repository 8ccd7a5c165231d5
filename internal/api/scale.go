package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
	"argosy/internal/unitfile"
)

// scaleUnits makes the instances of a template as many as asked for. Numbers
// are stable: those from 1 on stay, the greatest go first.
func (s *Server) scaleUnits(ctx context.Context, in *body[wire.ScaleRequest]) (*body[wire.DesiredAnswer], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	template, changes, err := scaling(state, in.Body, time.Now().UTC())
	if err != nil {
		return nil, problemOf(err)
	}
	if err := s.checkScaledCircles(state, template, changes); err != nil {
		return nil, problemOf(err)
	}
	rev, err := s.write(ctx, state.Revision, changes, store.ChangedAt(store.UnitKey(template.Name), template.Revision))
	if err != nil {
		return nil, problemOf(err)
	}
	return &body[wire.DesiredAnswer]{wire.DesiredAnswer{Revision: rev, Units: outcomes(changes)}}, nil
}

// checkScaledCircles refuses new instances that would look to each other, or to
// what is stored and stays, in a circle.
func (s *Server) checkScaledCircles(state *cluster.State, template cluster.Unit, changes []change) error {
	gone := map[cluster.UnitName]bool{}
	var made []cluster.Unit
	for _, c := range changes {
		switch c.outcome.Done {
		case doneCreated:
			made = append(made, cluster.Unit{Name: c.outcome.Name, Text: template.Text})
		case doneDestroyed:
			gone[c.outcome.Name] = true
		}
	}
	if len(made) == 0 {
		return nil
	}
	stay := slices.DeleteFunc(slices.Clone(state.Units), func(u cluster.Unit) bool { return gone[u.Name] })
	return s.checkCircles(stay, made)
}

// scaling decides what a request to scale does to each instance, in the order
// of their numbers.
func scaling(state *cluster.State, req wire.ScaleRequest, now time.Time) (template cluster.Unit, changes []change, err error) {
	if err := cluster.CheckUnitName(req.Template); err != nil {
		return template, nil, err
	}
	if !req.Template.IsTemplate() {
		return template, nil, cluster.Errorf(cluster.Invalid, "%s is no template: only templates have replicas", req.Template).
			WithHint(fmt.Sprintf("submit the file as %s@.%s", req.Template.Stem(), req.Template.Type()))
	}
	if req.Replicas < 0 || req.Replicas > unitfile.ReplicasMax {
		return template, nil, cluster.Errorf(cluster.Invalid, "%d replicas: from 0 to %d", req.Replicas, unitfile.ReplicasMax)
	}
	template, stored := findUnit(state, req.Template)
	if !stored {
		return template, nil, noUnit(req.Template)
	}
	numbered := numberedInstances(state, req.Template)
	for n := 1; n <= req.Replicas; n++ {
		name := req.Template.Instantiate(strconv.Itoa(n))
		u, exists := numbered[n]
		delete(numbered, n)
		c, err := replica(template, name, u, exists, now)
		if err != nil {
			return template, nil, err
		}
		changes = append(changes, c)
	}
	var beyond []int
	for n := range numbered {
		beyond = append(beyond, n)
	}
	slices.Sort(beyond)
	for _, n := range beyond {
		changes = append(changes, destruction(numbered[n]))
	}
	if len(changes) > unitsMax {
		return template, nil, cluster.Errorf(cluster.Invalid, "%d units in one request; the limit is %d", len(changes), unitsMax)
	}
	return template, changes, nil
}

// replica makes one instance, or launches it if it is there.
func replica(template cluster.Unit, name cluster.UnitName, u cluster.Unit, exists bool, now time.Time) (change, error) {
	switch {
	case !exists:
		if err := checkUnit(name, template.Text); err != nil {
			return change{}, err
		}
		return set(cluster.Unit{
			Name: name, UID: newUID(), Text: template.Text, Hash: template.Hash, Desired: cluster.Launched, Created: now,
		}, 0, doneCreated), nil
	case u.Desired != cluster.Launched:
		old := u.Revision
		u.Desired = cluster.Launched
		return set(u, old, "changed"), nil
	case u.Hash != template.Hash:
		return unchanged(name, fmt.Sprintf("%s has another text than its template, and keeps it", name)), nil
	}
	return unchanged(name, ""), nil
}

// numberedInstances returns the instances of a template whose names are numbers
// as scaling writes them.
func numberedInstances(state *cluster.State, template cluster.UnitName) map[int]cluster.Unit {
	all := map[int]cluster.Unit{}
	for _, u := range state.Units {
		if u.Name.Template() != template {
			continue
		}
		if n, err := strconv.Atoi(u.Name.Instance()); err == nil && n > 0 && strconv.Itoa(n) == u.Name.Instance() {
			all[n] = u
		}
	}
	return all
}
