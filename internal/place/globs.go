package place

import (
	"cmp"
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
	// byPrefix finds those that have special characters by what precedes the
	// first, which tells most of them apart from a name; lengths are those of
	// the prefixes.
	byPrefix map[string][]int
	lengths  []int
}

// glob is one of them, with the units whose name it matches.
type glob struct {
	text    string
	members []*unit           // all, by index
	here    map[*node][]*unit // those placed, by index
}

func newGlobs() *globs { return &globs{numbers: map[string]int{}, byPrefix: map[string][]int{}} }

// number returns the number of a text, which is new or not.
func (g *globs) number(text string) int {
	if number, known := g.numbers[text]; known {
		return number
	}
	number := len(g.list)
	g.numbers[text] = number
	g.list = append(g.list, &glob{text: text, here: map[*node][]*unit{}})
	if meta := strings.IndexAny(text, `*?[\`); meta >= 0 {
		g.byPrefix[text[:meta]] = append(g.byPrefix[text[:meta]], number)
		if !slices.Contains(g.lengths, meta) {
			g.lengths = append(g.lengths, meta)
		}
	}
	return number
}

// introduce tells the globs of a unit, and the unit which globs mean it. Units
// come in the order of their names, after all globs are known.
func (g *globs) introduce(u *unit) {
	name := string(u.Name)
	if number, known := g.numbers[name]; known {
		u.met = append(u.met, number)
	}
	for _, length := range g.lengths {
		if length > len(name) {
			continue
		}
		for _, number := range g.byPrefix[name[:length]] {
			if text := g.list[number].text; text != name && Matches(text, u.Name) {
				u.met = append(u.met, number)
			}
		}
	}
	for _, number := range u.met {
		g.list[number].members = append(g.list[number].members, u)
	}
}

// other returns the first unit, by name, that a glob means on a node, and that
// is not u; nil if there is none.
func (g *globs) other(number int, n *node, u *unit) *unit {
	for _, there := range g.list[number].here[n] {
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
	if at, found := find(by[n], u); !found {
		by[n] = slices.Insert(by[n], at, u)
	}
}

func remove(by map[*node][]*unit, u *unit, n *node) {
	if at, found := find(by[n], u); found {
		by[n] = slices.Delete(by[n], at, at+1)
	}
}
