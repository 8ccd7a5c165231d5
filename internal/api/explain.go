package api

import (
	"context"
	"time"

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
