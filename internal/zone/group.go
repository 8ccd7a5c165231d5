package zone

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// point is an endpoint with what the zone makes of it.
type point struct {
	endpoint         cluster.Endpoint
	label            string // its own, within the service
	target           string // its own name
	weight, priority uint16
}

// text is what its TXT record says.
func (p point) text() []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(p.endpoint.Parameters)) {
		all = append(all, key+"="+p.endpoint.Parameters[key])
	}
	return all
}

// group is the endpoints that are found by one name. Only those that are healthy are in
// it; that there is a group at all makes its name known.
type group struct {
	// label and protocol are set in the group of a single endpoint.
	label, protocol string

	points  []point
	v4, v6  pool
	reached pool // points, shuffled by their weights
}

func (g *group) add(p point) {
	if p.endpoint.Healthy && p.endpoint.Address.IsValid() {
		g.points = append(g.points, p)
	}
}

// finish makes the pools. Addresses are of the endpoints that come first by priority,
// each address once, with the weights of all its endpoints.
func (g *group) finish() {
	slices.SortFunc(g.points, comparePoints)
	weights := map[netip.Addr]int{}
	var order []netip.Addr
	for _, p := range g.points {
		g.reached.add(netip.Addr{}, int(p.weight))
		if p.priority != g.points[0].priority {
			continue
		}
		address := p.endpoint.Address.Unmap()
		if _, known := weights[address]; !known {
			order = append(order, address)
		}
		weights[address] += int(p.weight)
	}
	slices.SortFunc(order, netip.Addr.Compare)
	for _, address := range order {
		if address.Is4() {
			g.v4.add(address, weights[address])
		} else {
			g.v6.add(address.WithZone(""), weights[address])
		}
	}
}

// targets returns the endpoints for SRV, at most so many: those of a better priority
// first, and among equals in an order that the seed and the weights give.
func (g *group) targets(seed uint64, most int) []point {
	if len(g.points) <= 1 {
		return g.points
	}
	out := make([]point, 0, min(len(g.points), most))
	for _, at := range g.reached.pick(nil, seed, min(len(g.points), most)) {
		out = append(out, g.points[at])
	}
	slices.SortStableFunc(out, func(a, b point) int { return int(a.priority) - int(b.priority) })
	return out
}

// texts returns what endpoints say of themselves, each thing once.
func (g *group) texts(most int) (all [][]string) {
	seen := map[string]bool{}
	for _, p := range g.points {
		text := p.text()
		if key := strings.Join(text, "\x00"); len(text) > 0 && !seen[key] && len(all) < most {
			seen[key] = true
			all = append(all, text)
		}
	}
	return all
}
