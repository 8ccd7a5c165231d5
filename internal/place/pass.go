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
	nodes    []*node // by ID
	units    []*unit // by name; those that are not inactive
	order    []*unit // in which they are placed
	byID     map[cluster.NodeID]*node
	byName   map[cluster.UnitName]*unit
	inactive map[cluster.UnitName]cluster.Revision
	filters  []filter // static, then dynamic
	static   []filter
	dynamic  []filter
	classes  map[string]*class
	globs    *globs
	conflict *relation
	replace  *relation
	spreads  map[spreadKey]*spread
	freed    bool // a unit has left a node since all had their turn
}

// unit is a unit that wants a place.
type unit struct {
	*cluster.Unit
	index  int // by name
	rank   int // in the order of placing
	spec   *Spec
	broken bool // its constraints cannot be read
	class  *class
	record *cluster.Placement // as stored
	old    *cluster.Placement // the record, if it is of this very unit
	at     []*node            // by ID
	left   []string           // which nodes it had to leave, and why
	reason string             // why it was put where it is, in this pass
	// obstacle is why it cannot be placed on any node whatever, circular whether
	// that is a circle of units.
	obstacle string
	circular bool
	// A unit that failed after its own Restart= was spent: what its node says,
	// which nodes are avoided, and the node that it leaves in this pass.
	failed *cluster.Status
	avoid  []cluster.NodeID
	tried  *node

	// What its demands come to, as numbers of globs.
	met                      []int // globs of any unit that mean this one
	conflicts, replaces      []int
	near, wantNear, wantAway []int
	spreads                  []*spread
	// circle is the number of the circle of units that replace each other which
	// it is part of, 0 if of none.
	circle int
}

func (u *unit) on(n *node) bool { return slices.Contains(u.at, n) }

// had reports whether the unit is on the node by its record.
func (u *unit) had(n *node) bool {
	return u.old != nil && u.old.Global == u.spec.Global && u.old.On(n.id)
}

// asks reports whether the unit is to be promised anything.
func (u *unit) asks() bool { return u.spec.CPU > 0 || u.spec.Memory > 0 }

// free reports whether nothing but the static filters can keep the unit from a
// node.
func (u *unit) free() bool {
	return len(u.avoid) == 0 && len(u.met) == 0 && len(u.conflicts) == 0 && len(u.near) == 0 && len(u.spec.MachineOf) == 0 &&
		!u.asks() && len(u.spreads) == 0 && len(u.wantNear) == 0 && len(u.wantAway) == 0
}

func newPass(in Input) *pass {
	p := &pass{in: in, filters: filters(), classes: map[string]*class{}, spreads: map[spreadKey]*spread{}}
	for _, f := range p.filters {
		if f.static {
			p.static = append(p.static, f)
		} else {
			p.dynamic = append(p.dynamic, f)
		}
	}
	p.addNodes(in.State.Nodes)
	p.addUnits()
	p.findFailures()
	p.relate()
	p.arrange()
	return p
}

// sorted returns a list in order; those of a snapshot are already.
func sorted[T any](list []T, compare func(a, b *T) int) []T {
	byValue := func(a, b T) int { return compare(&a, &b) }
	if slices.IsSortedFunc(list, byValue) {
		return list
	}
	return slices.SortedFunc(slices.Values(list), byValue)
}

// addUnits takes the units that are not inactive, each with its placement.
func (p *pass) addUnits() {
	state := p.in.State
	stored := sorted(state.Units, func(a, b *cluster.Unit) int { return cmp.Compare(a.Name, b.Name) })
	records := sorted(state.Placements, func(a, b *cluster.Placement) int { return cmp.Compare(a.Unit, b.Unit) })
	p.byName = make(map[cluster.UnitName]*unit, len(stored))
	p.inactive = map[cluster.UnitName]cluster.Revision{}
	p.units = make([]*unit, 0, len(stored))
	slab := make([]unit, len(stored))
	places := make([]*node, len(stored)) // most units have one
	for i := range stored {
		for len(records) > 0 && records[0].Unit < stored[i].Name {
			records = records[1:]
		}
		if stored[i].Desired == cluster.Inactive {
			p.inactive[stored[i].Name] = stored[i].Revision
			continue
		}
		u := &slab[i]
		*u = unit{Unit: &stored[i], index: len(p.units), at: places[i : i : i+1]}
		if len(records) > 0 && records[0].Unit == u.Name {
			if u.record = &records[0]; u.record.UID == u.UID {
				u.old = u.record
			}
		}
		p.constrain(u)
		p.units = append(p.units, u)
		p.byName[u.Name] = u
	}
}

// constrain reads the constraints of a unit. A unit that is placed already
// stays where it is even if they cannot be read.
func (p *pass) constrain(u *unit) {
	spec, err := p.in.Specs(*u.Unit)
	if err != nil {
		u.broken, u.obstacle = true, err.Error()
		u.spec = &Spec{Global: u.old != nil && u.old.Global}
		return
	}
	if u.Name.IsTemplate() {
		u.obstacle = "a template is not placed itself; start an instance of it"
	}
	u.spec = spec
}

// relate builds the indexes over what units demand of each other.
func (p *pass) relate() {
	p.globs = newGlobs()
	numbers := func(texts []string) []int {
		var all []int
		for _, text := range texts {
			all = append(all, p.globs.number(text))
		}
		return all
	}
	for _, u := range p.units {
		s := u.spec
		u.conflicts, u.replaces = numbers(s.Conflicts), numbers(s.Replaces)
		for _, away := range s.Away {
			if number := p.globs.number(away.Glob); away.Soft {
				u.wantAway = append(u.wantAway, number)
			} else {
				u.conflicts = append(u.conflicts, number)
			}
		}
		for _, near := range s.Near {
			if number := p.globs.number(near.Glob); near.Soft {
				u.wantNear = append(u.wantNear, number)
			} else {
				u.near = append(u.near, number)
			}
		}
		p.joinSpreads(u)
	}
	p.conflict, p.replace = newRelation(len(p.globs.list)), newRelation(len(p.globs.list))
	for _, u := range p.units {
		if len(p.globs.list) > 0 {
			p.globs.introduce(u)
		}
		p.conflict.names(u, u.conflicts)
		p.replace.names(u, u.replaces)
	}
}

// put places a unit on a node.
func (p *pass) put(u *unit, n *node) {
	at, _ := slices.BinarySearchFunc(u.at, n, func(a, b *node) int { return cmp.Compare(a.index, b.index) })
	u.at = slices.Insert(u.at, at, n)
	n.load++
	if u.asks() {
		n.cpu, n.memory = n.cpu+u.spec.CPU, n.memory+u.spec.Memory
		n.asking = append(n.asking, u)
	}
	p.globs.put(u, n)
	p.conflict.put(u, u.conflicts, n)
	p.replace.put(u, u.replaces, n)
	for _, s := range u.spreads {
		s.count(n, 1)
	}
}

// take removes a unit from a node.
func (p *pass) take(u *unit, n *node) {
	u.at = slices.DeleteFunc(u.at, func(have *node) bool { return have == n })
	n.load--
	if u.asks() {
		n.cpu, n.memory = n.cpu-u.spec.CPU, n.memory-u.spec.Memory
		n.asking = slices.DeleteFunc(n.asking, func(have *unit) bool { return have == u })
	}
	p.globs.take(u, n)
	p.conflict.take(u, u.conflicts, n)
	p.replace.take(u, u.replaces, n)
	for _, s := range u.spreads {
		s.count(n, -1)
	}
}

// waitsFor says which of the units that must be on the same node is not
// placed, or "".
func (p *pass) waitsFor(u *unit) string {
	for _, name := range u.spec.MachineOf {
		peer, active := p.byName[name]
		switch {
		case !active:
			if _, stored := p.inactive[name]; stored {
				return fmt.Sprintf("MachineOf=%s: that unit is inactive", name)
			}
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
