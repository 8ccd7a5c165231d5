package place

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// conflicts answers "which unit on this node conflicts with that one?" without
// looking at all units: for each pattern that any unit names it knows, node by
// node, who is meant by the pattern and who named it.
type conflicts struct {
	patterns []pattern
	own      [][]int // by unit: the patterns that it names
	met      [][]int // by unit: the patterns that mean it
}

type pattern struct {
	meant map[int][]*unit // by node: units whose name it matches, by name
	named map[int][]*unit // by node: units that name it, by name
}

func newConflicts(units []*unit) *conflicts {
	c := &conflicts{own: make([][]int, len(units)), met: make([][]int, len(units))}
	exact := map[string]int{}
	type glob struct {
		text, prefix string
		index        int
	}
	var globs []glob
	for _, u := range units {
		for _, text := range u.spec.Conflicts {
			index, known := exact[text]
			if !known {
				index = len(c.patterns)
				exact[text] = index
				c.patterns = append(c.patterns, pattern{meant: map[int][]*unit{}, named: map[int][]*unit{}})
				if meta := strings.IndexAny(text, `*?[\`); meta >= 0 {
					globs = append(globs, glob{text, text[:meta], index})
				}
			}
			c.own[u.index] = append(c.own[u.index], index)
		}
	}
	for _, u := range units {
		name := string(u.Name)
		index, known := exact[name]
		if known {
			c.met[u.index] = append(c.met[u.index], index)
		}
		for _, g := range globs {
			// Most globs are told apart by what precedes the first special
			// character, which is far cheaper than to match them.
			if strings.HasPrefix(name, g.prefix) && g.text != name && Matches(g.text, u.Name) {
				c.met[u.index] = append(c.met[u.index], g.index)
			}
		}
	}
	return c
}

// Matches reports whether a pattern of Conflicts means a unit: by its exact
// name (which may contain backslashes), or as a glob. A malformed glob means
// no unit; it is refused when the unit is submitted.
func Matches(pattern string, name cluster.UnitName) bool {
	if pattern == string(name) {
		return true
	}
	ok, err := path.Match(pattern, string(name))
	return err == nil && ok
}

// with returns the first unit, by name, that is on the node and conflicts with
// u, or nil.
func (c *conflicts) with(u *unit, n *node) *unit {
	var first *unit
	look := func(there []*unit) {
		for _, other := range there {
			if other != u {
				if first == nil || other.index < first.index {
					first = other
				}
				return // they are sorted
			}
		}
	}
	for _, i := range c.own[u.index] {
		look(c.patterns[i].meant[n.index])
	}
	for _, i := range c.met[u.index] {
		look(c.patterns[i].named[n.index])
	}
	return first
}

func (c *conflicts) put(u *unit, n *node) {
	for _, i := range c.met[u.index] {
		insert(c.patterns[i].meant, u, n)
	}
	for _, i := range c.own[u.index] {
		insert(c.patterns[i].named, u, n)
	}
}

func (c *conflicts) take(u *unit, n *node) {
	for _, i := range c.met[u.index] {
		remove(c.patterns[i].meant, u, n)
	}
	for _, i := range c.own[u.index] {
		remove(c.patterns[i].named, u, n)
	}
}

func find(there []*unit, u *unit) (int, bool) {
	return slices.BinarySearchFunc(there, u, func(a, b *unit) int { return cmp.Compare(a.index, b.index) })
}

func insert(by map[int][]*unit, u *unit, n *node) {
	if at, found := find(by[n.index], u); !found {
		by[n.index] = slices.Insert(by[n.index], at, u)
	}
}

func remove(by map[int][]*unit, u *unit, n *node) {
	if at, found := find(by[n.index], u); found {
		by[n.index] = slices.Delete(by[n.index], at, at+1)
	}
}
