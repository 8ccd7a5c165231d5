package api

import (
	"slices"
	"sync"

	"argosy/internal/cluster"
	"argosy/internal/mirror"
)

// dealer says what is placed on each node. The streams of all nodes look at each
// snapshot; the first that does sorts the placements by node, once for all of
// them, and the others find theirs. Its methods may be called concurrently.
type dealer struct {
	mirror *mirror.Mirror

	mu      sync.Mutex
	state   *cluster.State // that was dealt last
	hands   map[cluster.NodeID]hand
	servers []string
	ids     []cluster.NodeID
}

// hand is what is placed on one node, and what it was made from. It is shared
// with those who got it, and never changed.
type hand struct {
	made  []cards
	units []cluster.Assignment
}

// cards are a unit and its placement, as they were written.
type cards struct {
	name            cluster.UnitName
	unit, placement cluster.Revision
}

// slice returns what is placed on a node by the newest snapshot; false if the
// node is in it no more.
func (d *dealer) slice(node cluster.NodeID) (cluster.Slice, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state := d.mirror.State(); state != d.state {
		if d.state == nil || !shared(d.state.Units, state.Units) || !shared(d.state.Placements, state.Placements) {
			d.hands = deal(state, d.hands)
		}
		d.servers, d.ids = serverAddresses(state), serverIDs(state)
		d.state = state
	}
	slice := cluster.Slice{
		Node: node, Generation: d.state.Revision, Units: d.hands[node].units, Servers: d.servers, ServerIDs: d.ids,
	}
	if m, ok := findMember(d.state, node); ok {
		slice.Member = &m
	}
	_, there := findNode(d.state, node)
	return slice, there
}

// shared reports whether two lists of snapshots are one: the mirror shares those
// in which nothing has changed.
func shared[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// deal sorts the units by the nodes that they are placed on. A node whose units
// are those of before keeps its hand. It is pure.
func deal(state *cluster.State, before map[cluster.NodeID]hand) map[cluster.NodeID]hand {
	type pair struct{ unit, placement int }
	dealt := map[cluster.NodeID][]pair{}
	at := 0
	for i := range state.Placements {
		p := &state.Placements[i]
		for at < len(state.Units) && state.Units[at].Name < p.Unit {
			at++
		}
		if at == len(state.Units) {
			break
		}
		u := &state.Units[at]
		if u.Name != p.Unit || u.UID != p.UID || u.Desired == cluster.Inactive {
			continue // the leader is about to withdraw the placement
		}
		for _, node := range p.Nodes {
			dealt[node] = append(dealt[node], pair{at, i})
		}
	}
	hands := make(map[cluster.NodeID]hand, len(dealt))
	for node, pairs := range dealt {
		made := make([]cards, len(pairs))
		for i, c := range pairs {
			made[i] = cards{state.Units[c.unit].Name, state.Units[c.unit].Revision, state.Placements[c.placement].Revision}
		}
		if was := before[node]; slices.Equal(was.made, made) {
			hands[node] = was
			continue
		}
		units := make([]cluster.Assignment, len(pairs))
		for i, c := range pairs {
			units[i] = cluster.Assign(state.Units[c.unit], state.Placements[c.placement])
		}
		hands[node] = hand{made, units}
	}
	return hands
}
