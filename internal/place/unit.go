package place

import (
	"cmp"
	"slices"
	"sort"

	"argosy/internal/cluster"
)

// unit is a unit that wants a place. There are many of them, and a plan looks at
// each several times: what is said of few is noted apart.
type unit struct {
	*cluster.Unit
	*demands
	*note
	spec    *Spec
	at      []*node // by ID
	index   int32   // by name
	rank    int32   // in the order of placing
	broken  bool    // its constraints cannot be read
	settled bool    // its turn changes nothing unless p.stirred
	class   *class
	old     *cluster.Placement // the record of where this very unit is
	met     []*glob            // globs of any unit that mean this one
	peers   []*unit            // of MachineOf; nil where there is no such unit
	reason  string             // why it was put where it is, in this pass
}

// note is what is said of few units. All others share one that is blank; see jot.
type note struct {
	shared bool
	former *cluster.Placement // the record of a unit of this name that was destroyed
	left   []string           // which nodes it had to leave, and why
	// obstacle is why it cannot be placed on any node whatever, circular whether
	// that is a circle of units.
	obstacle string
	circular bool
	// circle is the number of the circle of units that replace each other which
	// it is part of, 0 if of none.
	circle int
	// A unit that failed after its own Restart= was spent: what its node says,
	// whether it is tried again now, which nodes are avoided then, and the node
	// that it leaves in this pass.
	failed *cluster.Status
	due    bool
	avoid  []cluster.NodeID
	tried  *node
	// onTrial is set of one that was tried again, as long as it is not known how
	// that ended.
	onTrial bool
}

// jot returns the note of this unit alone, to write on.
func (u *unit) jot() *note {
	if u.shared {
		u.note = &note{}
	}
	return u.note
}

func (u *unit) on(n *node) bool {
	if len(u.at) <= 1 {
		return len(u.at) == 1 && u.at[0] == n
	}
	_, found := slices.BinarySearchFunc(u.at, n, byIndex)
	return found
}

// before returns the nodes that the unit is on by its record; none of one that has
// become global since, or ordinary.
func (u *unit) before() []cluster.NodeID {
	if u.old == nil || u.old.Global != u.spec.Global {
		return nil
	}
	return u.old.Nodes
}

// had reports whether the unit is on the node by its record.
func (u *unit) had(n *node) bool { return slices.Contains(u.before(), n.id) }

// asks reports whether the unit is to be promised anything.
func (u *unit) asks() bool { return u.spec.CPU > 0 || u.spec.Memory > 0 }

// wishes reports whether the unit prefers to be near others, or away from them.
func (u *unit) wishes() bool { return len(u.wantNear)+len(u.wantAway) > 0 }

// free reports whether nothing but the static filters can keep the unit from a
// node.
func (u *unit) free() bool {
	return len(u.avoid) == 0 && len(u.met) == 0 && len(u.conflicts) == 0 && len(u.near) == 0 && len(u.peers) == 0 &&
		!u.asks() && len(u.spreads) == 0
}

// easy reports whether no filter can drive the unit off a node that it is on:
// most units demand nothing. Nor does anything say that a unit must leave whose
// constraints cannot be read.
func (u *unit) easy() bool {
	return u.broken || u.free() && u.spec.MachineID == "" && len(u.spec.Metadata) == 0 && len(u.spec.Require) == 0
}

// stays reports whether the unit is where its record has it.
func (u *unit) stays() bool {
	if u.old == nil || len(u.old.Nodes) != len(u.at) {
		return false
	}
	for i, n := range u.at {
		if u.old.Nodes[i] != n.id {
			return false
		}
	}
	return true
}

// addUnits takes the units that are not inactive, each with its placement, and
// notes the placements that no unit has a use for any more.
func (p *pass) addUnits() {
	p.stored = sorted(p.in.State.Units, func(a, b *cluster.Unit) int { return cmp.Compare(a.Name, b.Name) })
	records := sorted(p.in.State.Placements, func(a, b *cluster.Placement) int { return cmp.Compare(a.Unit, b.Unit) })
	p.units = make([]*unit, 0, len(p.stored))
	slab := make([]unit, len(p.stored))
	places := make([]*node, len(p.stored)) // most units have one
	none, blank := &demands{}, &note{shared: true}
	for i := range p.stored {
		stored := &p.stored[i]
		for len(records) > 0 && records[0].Unit < stored.Name {
			p.drop(&records[0], "the unit was destroyed", 0)
			records = records[1:]
		}
		var record *cluster.Placement
		if len(records) > 0 && records[0].Unit == stored.Name {
			record, records = &records[0], records[1:]
		}
		if stored.Desired == cluster.Inactive {
			if record != nil {
				p.drop(record, "the unit is inactive", stored.Revision)
			}
			continue
		}
		u := &slab[i]
		u.Unit, u.demands, u.note, u.index, u.at = stored, none, blank, int32(len(p.units)), places[i:i:i+1]
		if record != nil && record.UID == u.UID {
			u.old = record
			if p.justTried(record) {
				u.jot().onTrial = true
				p.trials = append(p.trials, u)
			}
		} else if record != nil {
			u.jot().former = record
		}
		p.constrain(u)
		p.units = append(p.units, u)
	}
	for i := range records {
		p.drop(&records[i], "the unit was destroyed", 0)
	}
}

// sorted returns a list in order; those of a snapshot are already.
func sorted[T any](list []T, compare func(a, b *T) int) []T {
	for i := 1; i < len(list); i++ {
		if compare(&list[i-1], &list[i]) > 0 {
			return slices.SortedFunc(slices.Values(list), func(a, b T) int { return compare(&a, &b) })
		}
	}
	return list
}

// drop notes that a placement has no reason to exist any more. The revision is
// that of the unit, 0 if there is none.
func (p *pass) drop(record *cluster.Placement, why string, revision cluster.Revision) {
	p.deletes = append(p.deletes, Deletion{
		Unit: record.Unit, UnitRevision: revision, PlacementRevision: record.Revision, Reason: why,
	})
}

// find returns the unit of a name, nil if there is none that is not inactive.
func (p *pass) find(name cluster.UnitName) *unit {
	at := p.seek(string(name))
	if at == len(p.units) || p.units[at].Name != name {
		return nil
	}
	return p.units[at]
}

// seek returns the index of the first unit whose name is not before a text. What
// is sought in the order of names is found in few steps: it gallops on from what
// it found last.
func (p *pass) seek(text string) int {
	before := func(i int) bool { return string(p.units[i].Name) < text }
	low, high := 0, len(p.units)
	if p.found < high && before(p.found) {
		low = p.found + 1
		for step := 1; low+step < high; step *= 2 {
			if !before(low + step) {
				high = low + step
				break
			}
			low += step
		}
	} else if p.found < high {
		high = p.found
	}
	p.found = low + sort.Search(high-low, func(i int) bool { return !before(low + i) })
	return p.found
}

// knows reports whether a unit is stored, be it inactive.
func (p *pass) knows(name cluster.UnitName) bool {
	_, found := slices.BinarySearchFunc(p.stored, name, func(u cluster.Unit, name cluster.UnitName) int { return cmp.Compare(u.Name, name) })
	return found
}

// constrain reads the constraints of a unit. A unit that is placed already
// stays where it is even if they cannot be read.
func (p *pass) constrain(u *unit) {
	spec, err := p.in.Specs(*u.Unit)
	if err != nil {
		u.broken, u.jot().obstacle = true, err.Error()
		u.spec = &Spec{Global: u.old != nil && u.old.Global}
		return
	}
	if u.Name.IsTemplate() {
		u.jot().obstacle = "a template is not placed itself; start an instance of it"
	}
	u.spec = spec
}
