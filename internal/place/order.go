package place

import (
	"cmp"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// arrange finds the order in which units are placed: those of a higher priority
// first, then by name; but whoever another looks to comes before that one. A
// peer comes before its follower (MachineOf, Near), and who replaces before who
// is replaced. So every unit, when its turn comes, sees where those went, and
// one plan is enough. Units that follow each other in a circle can never be
// placed and are told so.
func (p *pass) arrange() {
	p.findCircles()
	first := p.units
	if slices.ContainsFunc(p.units, func(u *unit) bool { return u.spec.Priority != 0 }) {
		first = slices.Clone(p.units)
		slices.SortStableFunc(first, func(a, b *unit) int { return cmp.Compare(b.spec.Priority, a.spec.Priority) })
	}
	w := walk{p: p, marks: make([]mark, len(p.units))}
	p.order = make([]*unit, 0, len(p.units))
	for _, u := range first {
		w.visit(u, "")
	}
	for i, u := range p.order {
		u.rank = int32(i)
	}
}

// mark says how far a walk has come with a unit.
type mark int8

const (
	unseen mark = iota
	open
	done
)

// step is one unit on the path of a walk, and the demand that led to it.
type step struct {
	u   *unit
	via string
}

// walk visits units depth first, those that a unit looks to before itself.
type walk struct {
	p     *pass
	marks []mark
	path  []step
}

func (w *walk) visit(u *unit, via string) {
	switch w.marks[u.index] {
	case done:
		return
	case open:
		w.closeCircle(u, via)
		return
	case unseen:
	}
	w.marks[u.index] = open
	w.path = append(w.path, step{u, via})
	for _, peer := range u.peers {
		if peer != nil {
			w.visit(peer, "MachineOf")
		}
	}
	for _, glob := range u.near {
		w.near(u, glob)
	}
	for _, glob := range u.met {
		for _, replacer := range glob.replacing.units {
			if replacer != u && !letBe(replacer, u) {
				w.visit(replacer, "Replaces")
			}
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.marks[u.index] = done
	w.p.order = append(w.p.order, u)
}

// near visits all units that a glob of Near means.
func (w *walk) near(u *unit, glob *glob) {
	if glob.visited {
		return
	}
	whole := true
	for _, m := range glob.means.units {
		if m == u {
			whole = false
			continue
		}
		w.visit(m, "Near")
		whole = whole && w.marks[m.index] == done
	}
	glob.visited = whole
}

// closeCircle tells units that look to each other in a circle; u is met again.
func (w *walk) closeCircle(u *unit, via string) {
	at := slices.IndexFunc(w.path, func(s step) bool { return s.u == u })
	circle := slices.Clone(w.path[at:])
	circle[0].via = via
	var kinds, names []string
	for _, s := range circle {
		kinds, names = append(kinds, s.via), append(names, string(s.u.Name))
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	verb := " goes"
	if len(kinds) > 1 {
		verb = " go"
	}
	text := strings.Join(kinds, " and ") + verb + " round in a circle: " + strings.Join(append(names, string(u.Name)), " -> ")
	for _, s := range circle {
		if s.u.obstacle == "" {
			note := s.u.jot()
			note.obstacle, note.circular = text, true
		}
	}
}

// Circles returns the units that could be placed on no node whatever, because
// they and others look to each other in a circle, and says how. Units count
// whether they are active or not.
func Circles(units []cluster.Unit, specs func(cluster.Unit) (*Spec, error)) map[cluster.UnitName]string {
	state := &cluster.State{Units: slices.Clone(units)}
	for i := range state.Units {
		state.Units[i].Desired = cluster.Launched
	}
	circles := map[cluster.UnitName]string{}
	for _, u := range newPass(Input{State: state, Specs: specs}).units {
		if u.circular {
			circles[u.Name] = u.obstacle
		}
	}
	return circles
}

// letBe reports whether a unit that names another in Replaces lets it be
// nevertheless, because they replace each other, directly or in a circle.
func letBe(replacer, victim *unit) bool {
	return replacer.circle != 0 && replacer.circle == victim.circle
}

// findCircles numbers the circles of units that replace each other: the strongly
// connected components (Tarjan 1972) of those that have a Replaces.
func (p *pass) findCircles() {
	t := tarjan{p: p, index: map[*unit]int{}, low: map[*unit]int{}, on: map[*unit]bool{}}
	for _, u := range p.units {
		if _, seen := t.index[u]; !seen && len(u.replaces) > 0 {
			t.connect(u)
		}
	}
}

type tarjan struct {
	p          *pass
	index, low map[*unit]int
	on         map[*unit]bool
	stack      []*unit
	found      int
}

func (t *tarjan) connect(u *unit) {
	t.index[u], t.low[u] = len(t.index), len(t.index)
	t.stack, t.on[u] = append(t.stack, u), true
	for _, glob := range u.replaces {
		for _, v := range glob.means.units {
			if v == u || len(v.replaces) == 0 {
				continue // one that replaces nobody is part of no circle
			}
			if _, seen := t.index[v]; !seen {
				t.connect(v)
				t.low[u] = min(t.low[u], t.low[v])
			} else if t.on[v] {
				t.low[u] = min(t.low[u], t.index[v])
			}
		}
	}
	if t.low[u] != t.index[u] {
		return
	}
	at := slices.Index(t.stack, u)
	if len(t.stack)-at > 1 {
		t.found++
	}
	for _, member := range t.stack[at:] {
		t.on[member] = false
		if len(t.stack)-at > 1 {
			member.jot().circle = t.found
		}
	}
	t.stack = t.stack[:at]
}
