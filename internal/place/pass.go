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
	in       Input
	stored   []cluster.Unit // by name, inactive ones too
	nodes    []*node        // by ID
	units    []*unit        // by name; those that are not inactive
	found    int            // what seek found last
	order    []*unit        // in which they are placed
	byID     map[cluster.NodeID]*node
	deletes  []Deletion
	failed   []*unit // that may be tried again
	filters  filters
	classes  map[string]*class
	globs    *globs
	conflict *relation
	replace  *relation
	axes     map[string]*axis
	spreads  map[spreadKey]*spread
	moved    []*node // each node that a unit came to or left, in turn; see shelf
	freed    bool    // a unit has left a node since all had their turn
	few      int     // see fewNodes
	// weakest is the lowest priority of the units that ask for CPU or memory.
	weakest int
}

func newPass(in Input) *pass {
	p := &pass{
		in: in, few: fewNodes, filters: newFilters(), classes: map[string]*class{},
		axes: map[string]*axis{}, spreads: map[spreadKey]*spread{},
	}
	p.addNodes(in.State.Nodes)
	p.addUnits()
	p.findFailures()
	p.relate()
	p.arrange()
	return p
}

// relate builds the indexes over what units demand of each other.
func (p *pass) relate() {
	p.globs = newGlobs()
	for _, u := range p.units {
		if u.asks() {
			p.weakest = min(p.weakest, u.spec.Priority)
		}
		if s := u.spec; len(s.MachineOf)+len(s.Conflicts)+len(s.Replaces)+len(s.Away)+len(s.Near)+len(s.Spread) > 0 {
			u.demands = p.demandsOf(u)
		}
	}
	p.findMet()
	p.conflict, p.replace = newRelation(len(p.globs.list)), newRelation(len(p.globs.list))
	for _, u := range p.units {
		p.conflict.names(u, u.conflicts)
		p.replace.names(u, u.replaces)
	}
}

// demandsOf finds out what a unit asks of others.
func (p *pass) demandsOf(u *unit) *demands {
	s := u.spec
	d := &demands{}
	for _, name := range s.MachineOf {
		d.peers = append(d.peers, p.find(name))
	}
	for _, text := range s.Conflicts {
		d.conflicts = append(d.conflicts, p.globs.number(text))
	}
	for _, text := range s.Replaces {
		d.replaces = append(d.replaces, p.globs.number(text))
	}
	for _, away := range s.Away {
		if number := p.globs.number(away.Glob); away.Soft {
			d.wantAway = append(d.wantAway, number)
		} else {
			d.conflicts = append(d.conflicts, number)
		}
	}
	for _, near := range s.Near {
		if number := p.globs.number(near.Glob); near.Soft {
			d.wantNear = append(d.wantNear, number)
		} else {
			d.near = append(d.near, number)
		}
	}
	for _, domain := range s.Spread {
		d.axes = append(d.axes, p.axis(domain.Label))
		d.spreads = append(d.spreads, p.spreadOf(u, domain.Label))
	}
	return d
}

// put places a unit on a node.
func (p *pass) put(u *unit, n *node) {
	at := len(u.at)
	for at > 0 && u.at[at-1].index > n.index {
		at--
	}
	u.at = slices.Insert(u.at, at, n)
	p.count(u, n, 1)
	if u.asks() {
		n.asking = append(n.asking, u)
	}
	p.globs.put(u, n)
	p.conflict.put(u, u.conflicts, n)
	p.replace.put(u, u.replaces, n)
}

// take removes a unit from a node.
func (p *pass) take(u *unit, n *node) {
	u.at = slices.DeleteFunc(u.at, func(have *node) bool { return have == n })
	p.count(u, n, -1)
	if u.asks() {
		n.asking = slices.DeleteFunc(n.asking, func(have *unit) bool { return have == u })
	}
	p.globs.take(u, n)
	p.conflict.take(u, u.conflicts, n)
	p.replace.take(u, u.replaces, n)
}

// count notes that a unit came to a node, or left it.
func (p *pass) count(u *unit, n *node, by int) {
	n.load += by
	n.promised.CPU += int64(by) * u.spec.CPU
	n.promised.Memory += int64(by) * u.spec.Memory
	for _, s := range u.spreads {
		s.count(n, by)
	}
	p.moved = append(p.moved, n)
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
	for _, number := range u.near {
		near := p.globs.list[number]
		if !slices.ContainsFunc(near.members, func(m *unit) bool { return m != u && len(m.at) > 0 }) {
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
