package place

import (
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// Spec is what a unit demands of the node that runs it. The zero Spec fits
// every node.
type Spec = unitfile.Placing

// ParseSpec reads the constraints of a unit from its text. A unit
// with constraints that make no sense is refused when it is submitted, so an
// error here means that an upgrade became stricter.
func ParseSpec(unit cluster.Unit) (*Spec, error) {
	file, err := unitfile.Parse(string(unit.Name), []byte(unit.Text))
	if err != nil {
		return nil, err
	}
	spec, findings := unitfile.PlacingOf(unit.Name, file)
	if err := unitfile.Refusal(unit.Name, findings); err != nil {
		return nil, err
	}
	return &spec, nil
}
