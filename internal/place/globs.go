package place

import (
	"cmp"
	"iter"
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

// glob is a text by which units demand things of others, with the units that it
// is about.
type glob struct {
	text string
	// means are the units whose name it matches, conflicting and replacing those
	// that name it in Conflicts or Away, and in Replaces.
	means, conflicting, replacing group
	visited                       bool // all units that it means; see walk
}

// globs are all texts that any unit uses, each of them once.
type globs struct {
	list   []*glob
	byText map[string]*glob
}

// of returns the glob of a text, which is new or not.
func (g *globs) of(text string) *glob {
	if last := len(g.list) - 1; last >= 0 && g.list[last].text == text {
		return g.list[last] // the instances of a template ask one after the other
	}
	have := g.byText[text]
	if have == nil {
		have = &glob{text: text}
		g.byText[text] = have
		g.list = append(g.list, have)
	}
	return have
}

// findMet tells the globs which units they mean, and the units which globs mean
// them. Units whose name begins with what precedes a glob's first special
// character stand next to each other, since units are sorted by name.
func (p *pass) findMet() {
	for _, glob := range p.globs.list {
		prefix := glob.text
		if meta := strings.IndexAny(prefix, `*?[\`); meta >= 0 {
			prefix = prefix[:meta]
		}
		for _, u := range p.units[p.seek(prefix):] {
			if !strings.HasPrefix(string(u.Name), prefix) {
				break
			}
			if Matches(glob.text, u.Name) {
				glob.means.units = append(glob.means.units, u)
				u.met = append(u.met, glob)
			}
		}
		for _, g := range []*group{&glob.means, &glob.conflicting, &glob.replacing} {
			g.close(p.how.fewUnits)
		}
	}
}

// group is some units of which it is asked who of them is on a node.
type group struct {
	units []*unit // by index, wherever they are
	// here are those placed, by node and by index; nil if there are few units, of
	// which each is looked at.
	here map[*node][]*unit
}

// close is called when all units of a group are known, and none of them is placed.
func (g *group) close(few int) {
	if len(g.units) > few {
		g.here = map[*node][]*unit{}
	}
}

// on returns those of the units that are on a node, by index.
func (g *group) on(n *node) iter.Seq[*unit] {
	return func(yield func(*unit) bool) {
		if g.here != nil {
			for _, u := range g.here[n] {
				if !yield(u) {
					return
				}
			}
			return
		}
		for _, u := range g.units {
			if u.on(n) && !yield(u) {
				return
			}
		}
	}
}

// other returns the first of the units on a node that is not u, nil if there is
// none.
func (g *group) other(n *node, u *unit) *unit {
	for there := range g.on(n) {
		if there != u {
			return there
		}
	}
	return nil
}

// nodes returns the nodes that any of the units is on, each once, in no order.
func (g *group) nodes() []*node {
	if g.here != nil {
		return slices.Collect(maps.Keys(g.here))
	}
	var all []*node
	for _, u := range g.units {
		all = append(all, u.at...)
	}
	slices.SortFunc(all, byIndex)
	return slices.Compact(all)
}

// put notes that one of the units came to a node.
func (g *group) put(u *unit, n *node) {
	if g.here == nil {
		return
	}
	there := g.here[n]
	if len(there) == 0 {
		at, _ := find(g.units, u) // mostly it stays alone: nothing is allocated
		g.here[n] = g.units[at : at+1 : at+1]
	} else if at, found := find(there, u); !found {
		g.here[n] = slices.Insert(there, at, u)
	}
}

// take notes that one of the units left a node.
func (g *group) take(u *unit, n *node) {
	there := g.here[n]
	at, found := find(there, u)
	switch {
	case found && len(there) == 1:
		delete(g.here, n)
	case found:
		g.here[n] = slices.Delete(there, at, at+1)
	}
}

func find(there []*unit, u *unit) (int, bool) {
	return slices.BinarySearchFunc(there, u, func(a, b *unit) int { return cmp.Compare(a.index, b.index) })
}

// groups calls do with each group that a unit is in.
func (u *unit) groups(do func(*group, *unit, *node), n *node) {
	for _, glob := range u.met {
		do(&glob.means, u, n)
	}
	for _, glob := range u.conflicts {
		do(&glob.conflicting, u, n)
	}
	for _, glob := range u.replaces {
		do(&glob.replacing, u, n)
	}
}
