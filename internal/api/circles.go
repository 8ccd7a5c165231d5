package api

import (
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

// checkCircles refuses units that would look to each other in a circle, those
// that are stored included: none of them could ever be placed. written are the
// units as they are to be stored, stored all that there are so far.
func (s *Server) checkCircles(stored, written []cluster.Unit) error {
	specs := map[cluster.UnitName]*place.Spec{}
	for _, u := range written {
		spec := placing(u.Name, u.Text)
		specs[u.Name] = &spec
	}
	if !s.looks(stored, specs) { // most units look to nobody
		return nil
	}
	all := slices.Clone(written)
	for _, u := range stored {
		if specs[u.Name] == nil {
			all = append(all, u)
		}
	}
	circles := place.Circles(all, func(u cluster.Unit) (*place.Spec, error) {
		if spec := specs[u.Name]; spec != nil {
			return spec, nil
		}
		return s.specs.Of(u)
	})
	var reasons []string
	for _, u := range written {
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

// looks reports whether any of the units that are to be written looks to another:
// because it says so, or because a stored one replaces it, which it then gives
// way to. Whoever is only looked to closes no circle.
func (s *Server) looks(stored []cluster.Unit, written map[cluster.UnitName]*place.Spec) bool {
	for _, spec := range written {
		if len(spec.MachineOf)+len(spec.Near)+len(spec.Replaces) > 0 {
			return true
		}
	}
	for _, u := range stored {
		spec, err := s.specs.Of(u)
		if err != nil {
			continue // it replaces nobody
		}
		for _, glob := range spec.Replaces {
			for name := range written {
				if place.Matches(glob, name) {
					return true
				}
			}
		}
	}
	return false
}
