package place

import (
	"cmp"
	"fmt"
	"slices"

	"argosy/internal/cluster"
)

// pass is the working memory of one plan: the nodes and units as they are
// placed so far, and the indexes over them.
type pass struct {
	in      Input
	stored  []cluster.Unit // by name, inactive ones too
	nodes   []*node        // by ID
	units   []*unit        // by name; those that are not inactive
	found   int            // what seek found last
	order   []*unit        // in which they are placed
	byID    map[cluster.NodeID]*node
	deletes []Deletion
	failed  []*unit // that may be tried again
	trials  []*unit // that were
	filters filters
	classes map[string]*class
	asked   struct { // the class that was asked for last
		spec  *Spec
		class *class
	}
	globs   globs
	axes    map[string]*axis
	spreads map[spreadKey]*spread
	shelved bool    // there is a shelf
	moved   []*node // each node that a unit came to or left since, in turn
	freed   bool    // a unit has left a node since all had their turn
	// stirred is set once, after keep, a unit has left a node, or come to one where
	// it replaces others.
	stirred bool
	how     shortcuts
	// weakest and strongest are the lowest and the highest of 0 and the priorities
	// of the units that ask for CPU or memory. If they are the same, nobody makes room.
	weakest, strongest int
}

// shortcuts make a plan fast, and do not change it.
type shortcuts struct {
	// fewNodes is how many nodes are looked at one by one. Of more, the best is
	// found on a shelf.
	fewNodes int
	// fewUnits is how many units of a group are looked at one by one. Of more, those
	// on each node are remembered.
	fewUnits int
	// allTurns gives a unit its turn even if that can change nothing.
	allTurns bool
}

func newPass(in Input) *pass { return newPassBy(shortcuts{fewNodes: 32, fewUnits: 16}, in) }

func newPassBy(how shortcuts, in Input) *pass {
	p := &pass{
		in: in, how: how, filters: newFilters(), classes: map[string]*class{},
		axes: map[string]*axis{}, spreads: map[spreadKey]*spread{}, globs: globs{byText: map[string]*glob{}},
	}
	p.addNodes(in.State.Nodes)
	p.addUnits()
	p.findFailures()
	p.relate()
	p.arrange()
	p.chooseRetries()
	return p
}

// put places a unit on a node.
func (p *pass) put(u *unit, n *node) {
	at := len(u.at)
	for at > 0 && u.at[at-1].index > n.index {
		at--
	}
	u.at = slices.Insert(u.at, at, n)
	p.stirred = p.stirred || len(u.replaces) > 0
	p.count(u, n, 1)
	if p.strongest > p.weakest && u.asks() {
		n.asking = append(n.asking, u)
	}
	u.groups((*group).put, n)
}

// take removes a unit from a node.
func (p *pass) take(u *unit, n *node) {
	u.at = slices.DeleteFunc(u.at, func(have *node) bool { return have == n })
	u.settled, p.stirred = false, true
	p.count(u, n, -1)
	n.asking = slices.DeleteFunc(n.asking, func(have *unit) bool { return have == u })
	u.groups((*group).take, n)
}

// count notes that a unit came to a node, or left it.
func (p *pass) count(u *unit, n *node, by int) {
	n.load += by
	n.promised.CPU += int64(by) * u.spec.CPU
	n.promised.Memory += int64(by) * u.spec.Memory
	for _, s := range u.spreads {
		s.count(n, by)
	}
	if p.shelved {
		p.moved = append(p.moved, n)
	}
}

// waitsFor says which of the units that must be on the same node is not
// placed, or "".
func (p *pass) waitsFor(u *unit) string {
	for i, peer := range u.peers {
		name := u.spec.MachineOf[i]
		switch {
		case peer == nil && p.knows(name):
			return fmt.Sprintf("MachineOf=%s: that unit is inactive", name)
		case peer == nil:
			return fmt.Sprintf("MachineOf=%s: there is no such unit", name)
		case len(peer.at) == 0:
			return fmt.Sprintf("MachineOf=%s: that unit is pending itself", name)
		}
	}
	for _, near := range u.near {
		if !slices.ContainsFunc(near.means.units, func(m *unit) bool { return m != u && len(m.at) > 0 }) {
			return fmt.Sprintf("Near=%s: no such unit is placed", near.text)
		}
	}
	return ""
}

// hash is FNV-1a over a string, begun with the seed.
func hash(seed uint64, s string) uint64 {
	h := uint64(14695981039346656037) ^ mix(seed)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of splitmix64: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// inTurn sorts nodes by a hash of their ID: what is equal in all else goes to
// the first in this order, which another seed makes another one.
func inTurn(nodes []*node, seed uint64) {
	byHash := slices.Clone(nodes)
	for _, n := range byHash {
		n.hash = hash(seed, string(n.id))
	}
	slices.SortFunc(byHash, func(a, b *node) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.id, b.id)) })
	for i, n := range byHash {
		n.turn = i
	}
}
