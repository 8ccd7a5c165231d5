// Package catalog derives what services there are, and where, from a snapshot of the
// cluster. Nothing of it is stored, so nothing of it can be left over: a node says in
// the status of a unit what the unit offers there, in the same record that says
// whether it runs, and whatever makes the record untrue makes its offers untrue.
//
// It is pure.
package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"argosy/internal/cluster"
)

// Announce returns the offers of a unit as its node tells of them: those of its file,
// healthy as long as systemd says that the unit is active, and its node knows of no
// other reason why it cannot be used.
func Announce(offers []cluster.Offer, s cluster.Status, reason string) []cluster.Offer {
	if len(offers) == 0 {
		return nil
	}
	told := slices.Clone(offers)
	reason = cmp.Or(whyNot(s), reason)
	for i := range told {
		told[i].Healthy, told[i].Reason = reason == "", reason
	}
	return told
}

// whyNot says why a unit that systemd says this of cannot be used, "" if it can.
func whyNot(s cluster.Status) string {
	switch {
	case cluster.Works(s.Active):
		return ""
	case s.Failed():
		return "the unit failed: " + s.Failure()
	}
	return fmt.Sprintf("the unit is %s (%s)", s.Active, s.Sub)
}

// Of returns the services of a cluster, by name. A unit's offer is an endpoint for as
// long as the unit exists and its node has not booted since it told of it, and a
// healthy one if moreover it is wanted, it is placed on that very node, and the node
// is heard of.
func Of(state *cluster.State, health func(cluster.NodeID) cluster.Health) []cluster.Service {
	d := derivation{state: state, health: health, nodes: map[cluster.NodeID]*node{}, services: map[string][]cluster.Endpoint{}}
	for i := range state.Statuses {
		if s := &state.Statuses[i]; len(s.Offers) > 0 {
			d.endpoints(s)
		}
	}
	var services []cluster.Service
	for _, name := range slices.Sorted(maps.Keys(d.services)) {
		all := d.services[name]
		// Statuses are in the order of units and nodes, and their offers in theirs, so that
		// as a rule there is nothing to sort.
		if !slices.IsSortedFunc(all, cluster.Endpoint.Compare) {
			slices.SortFunc(all, cluster.Endpoint.Compare)
		}
		services = append(services, cluster.Service{Name: name, Endpoints: slices.Clip(all)})
	}
	return services
}

// derivation derives endpoints from one snapshot.
type derivation struct {
	state    *cluster.State
	health   func(cluster.NodeID) cluster.Health
	nodes    map[cluster.NodeID]*node
	services map[string][]cluster.Endpoint
	// units and placements are where the records of the last unit are, if there are any.
	// All lists are in the order of units, so that one is found after the other.
	last              cluster.UnitName
	units, placements int
}

// at goes on to the records of a unit, and returns them, nil what is not there.
func (d *derivation) at(name cluster.UnitName) (u *cluster.Unit, p *cluster.Placement) {
	if name < d.last {
		d.units, d.placements = 0, 0
	}
	d.last = name
	for d.units < len(d.state.Units) && d.state.Units[d.units].Name < name {
		d.units++
	}
	for d.placements < len(d.state.Placements) && d.state.Placements[d.placements].Unit < name {
		d.placements++
	}
	if d.units < len(d.state.Units) && d.state.Units[d.units].Name == name {
		u = &d.state.Units[d.units]
	}
	if d.placements < len(d.state.Placements) && d.state.Placements[d.placements].Unit == name {
		p = &d.state.Placements[d.placements]
	}
	return u, p
}

// node is what matters of a node.
type node struct {
	known  bool
	record cluster.NodeState
	lost   string // why nothing there can be used, "" if it can
}

// endpoints adds what one status offers.
func (d *derivation) endpoints(s *cluster.Status) {
	unit, placement := d.at(s.Unit)
	n := d.node(s.Node)
	if unit == nil || !n.known || unit.UID != s.UID || !sameBoot(s.BootID, n.record.Session.BootID) {
		return
	}
	reason := unwanted(unit, placement, s.Node)
	if n.lost != "" {
		reason = n.lost
	}
	for _, offer := range s.Offers {
		if reason != "" {
			offer.Healthy, offer.Reason = false, reason
		}
		offer.Parameters = Parameters(offer.Parameters, unit.Parameters[offer.Service])
		d.services[offer.Service] = append(d.services[offer.Service], cluster.Endpoint{
			Offer: offer, Unit: s.Unit, Node: s.Node, NodeName: n.record.Node.Name, Address: n.record.Report.Address,
		})
	}
}

// Parameters returns those of a file with those that were given since laid over them.
func Parameters(file, since map[string]string) map[string]string {
	if len(since) == 0 {
		return file
	}
	all := maps.Clone(since)
	for key, value := range file {
		if _, given := since[key]; !given {
			all[key] = value
		}
	}
	return all
}

// sameBoot reports whether what was seen in one boot may still be so in another; not
// every record names one.
func sameBoot(seen, now string) bool { return seen == now || seen == "" || now == "" }

// unwanted says why a unit is not to run on a node, "" if it is.
func unwanted(u *cluster.Unit, p *cluster.Placement, on cluster.NodeID) string {
	if u.Desired != cluster.Launched {
		return "the unit is not to be launched" // what runs all the same is to stop, or a socket started it: that may publish
	}
	if p == nil || p.UID != u.UID || !p.On(on) {
		return "the unit is not placed there any more"
	}
	return ""
}

// node returns what matters of a node, and asks for its health once.
func (d *derivation) node(id cluster.NodeID) *node {
	if n := d.nodes[id]; n != nil {
		return n
	}
	n := &node{}
	d.nodes[id] = n
	at, found := slices.BinarySearchFunc(d.state.Nodes, id, func(s cluster.NodeState, id cluster.NodeID) int { return cmp.Compare(s.Node.ID, id) })
	if !found {
		return n
	}
	n.known, n.record = true, d.state.Nodes[at]
	if h := d.health(id); h.Away() {
		n.lost = fmt.Sprintf("%s is %s", n.record.Node.Name, h)
	}
	return n
}
