package api

import (
	"context"
	"strings"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/place"
)

// explainUnit says why a unit is where it is, node by node. It plans anew, as
// the leader does, from what this server sees.
func (s *Server) explainUnit(_ context.Context, in *nameInput) (*body[place.Explanation], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	if _, ok := findUnit(state, in.Name); !ok {
		return nil, problemOf(noUnit(in.Name))
	}
	health := make(map[cluster.NodeID]cluster.Health, len(state.Nodes))
	for _, n := range state.Nodes {
		health[n.Node.ID] = s.Health(n.Node.ID)
	}
	return &body[place.Explanation]{place.Explain(place.Input{
		State: state, Health: health, Specs: s.specs.Of, Now: time.Now(), Seed: place.SeedOf(state.Cluster.ID),
	}, in.Name)}, nil
}

// checkCircles refuses units that would look to each other in a circle, those
// that are stored included: none of them could ever be placed.
func checkCircles(stored []cluster.Unit, submitted []wire.SubmitUnit) error {
	looks := false
	anew := map[cluster.UnitName]bool{}
	var units []cluster.Unit
	for _, u := range submitted {
		anew[u.Name] = true
		units = append(units, cluster.Unit{Name: u.Name, Text: u.Text})
		spec := placing(u.Name, u.Text)
		looks = looks || len(spec.MachineOf)+len(spec.Near)+len(spec.Replaces) > 0
	}
	if !looks { // most units look to nobody, and who is looked to closes no circle by itself
		return nil
	}
	for _, u := range stored {
		if !anew[u.Name] {
			units = append(units, u)
		}
	}
	circles := place.Circles(units, place.ParseSpec)
	var reasons []string
	for _, u := range submitted {
		if circle := circles[u.Name]; circle != "" {
			reasons = append(reasons, string(u.Name)+": "+circle)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return cluster.Errorf(cluster.Invalid, "%s", strings.Join(reasons, "\n")).
		WithHint("units in a circle all wait for each other: take MachineOf=, Near= or Replaces= out of one of them")
}
