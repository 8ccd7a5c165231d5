package place

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// Matches reports whether a glob in a unit's demands means another unit: by its
// exact name (which may contain backslashes), or as a glob. A malformed glob
// means no unit; it is refused when the unit is submitted.
func Matches(pattern string, name cluster.UnitName) bool {
	if pattern == string(name) {
		return true
	}
	ok, err := path.Match(pattern, string(name))
	return err == nil && ok
}

// globs answers "which units on this node does that glob mean?" without looking
// at all units. Each text that any unit uses is one glob, known by its number.
type globs struct {
	list    []*glob
	numbers map[string]int
}

// glob is one of them, with the units whose name it matches.
type glob struct {
	text    string
	members []*unit           // all, by index
	here    map[*node][]*unit // those placed, by index
}

func newGlobs() *globs { return &globs{numbers: map[string]int{}} }

// number returns the number of a text, which is new or not.
func (g *globs) number(text string) int {
	if last := len(g.list) - 1; last >= 0 && g.list[last].text == text {
		return last // the instances of a template ask one after the other
	}
	number, known := g.numbers[text]
	if !known {
		number = len(g.list)
		g.numbers[text] = number
		g.list = append(g.list, &glob{text: text, here: map[*node][]*unit{}})
	}
	return number
}

// findMet tells the globs which units they mean, and the units which globs mean
// them. Units whose name begins with what precedes a glob's first special
// character stand next to each other, since units are sorted by name.
func (p *pass) findMet() {
	for number, glob := range p.globs.list {
		prefix := glob.text
		if meta := strings.IndexAny(prefix, `*?[\`); meta >= 0 {
			prefix = prefix[:meta]
		}
		for _, u := range p.units[p.seek(prefix):] {
			if !strings.HasPrefix(string(u.Name), prefix) {
				break
			}
			if Matches(glob.text, u.Name) {
				glob.members = append(glob.members, u)
				u.met = append(u.met, number)
			}
		}
	}
}

// nodes returns the nodes with a unit that a glob means, in no order.
func (g *globs) nodes(number int) []*node { return slices.Collect(maps.Keys(g.list[number].here)) }

// other returns the first unit, by name, that a glob means on a node, and that
// is not u; nil if there is none.
func (g *globs) other(number int, n *node, u *unit) *unit {
	return other(g.list[number].here[n], u)
}

// other returns the first of some units that is not u, nil if there is none.
func other(units []*unit, u *unit) *unit {
	for _, there := range units {
		if there != u {
			return there
		}
	}
	return nil
}

func (g *globs) put(u *unit, n *node) {
	for _, number := range u.met {
		insert(g.list[number].here, u, n)
	}
}

func (g *globs) take(u *unit, n *node) {
	for _, number := range u.met {
		remove(g.list[number].here, u, n)
	}
}

// relation is a demand that units make of others by globs, and that binds both:
// Conflicts, Replaces. For each glob it knows who made it.
type relation struct {
	namers [][]*unit           // by number of the glob, by index
	here   []map[*node][]*unit // those placed
}

func newRelation(globs int) *relation {
	return &relation{make([][]*unit, globs), make([]map[*node][]*unit, globs)}
}

// names notes that a unit made a demand.
func (r *relation) names(u *unit, numbers []int) {
	for _, number := range numbers {
		r.namers[number] = append(r.namers[number], u)
		if r.here[number] == nil {
			r.here[number] = map[*node][]*unit{}
		}
	}
}

func (r *relation) put(u *unit, numbers []int, n *node) {
	for _, number := range numbers {
		insert(r.here[number], u, n)
	}
}

func (r *relation) take(u *unit, numbers []int, n *node) {
	for _, number := range numbers {
		remove(r.here[number], u, n)
	}
}

func find(there []*unit, u *unit) (int, bool) {
	return slices.BinarySearchFunc(there, u, func(a, b *unit) int { return cmp.Compare(a.index, b.index) })
}

func insert(by map[*node][]*unit, u *unit, n *node) {
	there := by[n]
	if len(there) == 0 {
		by[n] = u.alone[:]
	} else if at, found := find(there, u); !found {
		by[n] = slices.Insert(there, at, u)
	}
}

func remove(by map[*node][]*unit, u *unit, n *node) {
	at, found := find(by[n], u)
	switch {
	case found && len(by[n]) == 1:
		delete(by, n)
	case found:
		by[n] = slices.Delete(by[n], at, at+1)
	}
}
