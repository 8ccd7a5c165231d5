package place

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"argosy/internal/unitfile"
)

// class is what the static filters say of all nodes, for all units that make
// equal demands.
type class struct {
	// tiers are the nodes that pass, by how well the labels that the units
	// prefer are met; the best come first.
	tiers    []*tier
	tierOf   []*tier // by index of the node; nil if it does not pass
	fit      int     // nodes in all tiers
	rejected map[verdict]int
}

// tier is the nodes of a class that meet equally much of what units prefer.
type tier struct {
	nodes   []*node // by ID
	weight  int     // of the preferences that they meet
	shelves []*shelf
}

// classOf returns the class of a unit.
func (p *pass) classOf(u *unit) *class {
	if u.class != nil {
		return u.class
	}
	if p.asked.spec != u.spec || p.asked.class == nil { // units that are next to each other often share one
		p.asked.spec, p.asked.class = u.spec, p.classBy(classKey(u.spec), u)
	}
	u.class = p.asked.class
	return u.class
}

// sharedClass returns the class of a unit that shares its spec with the one that
// was asked for before it, nil for others: to make a class all nodes are looked at,
// which is not worth it for a unit that only stays where it is.
func (p *pass) sharedClass(u *unit) *class {
	if u.class == nil && p.asked.spec != u.spec {
		p.asked.spec, p.asked.class = u.spec, nil
		return nil
	}
	return p.classOf(u)
}

// classBy returns the class of a key, which is that of the unit.
func (p *pass) classBy(key string, u *unit) *class {
	if have := p.classes[key]; have != nil {
		return have
	}
	c := &class{rejected: map[verdict]int{}, tierOf: make([]*tier, len(p.nodes))}
	p.classes[key] = c
	byWeight := map[int]*tier{}
	for _, n := range p.nodes {
		v := p.first(p.filters.static, u, n)
		if !v.ok {
			c.rejected[v]++
			continue
		}
		c.fit++
		weight := preferred(u.spec, n)
		t := byWeight[weight]
		if t == nil {
			t = &tier{weight: weight}
			byWeight[weight] = t
		}
		t.nodes = append(t.nodes, n)
		c.tierOf[n.index] = t
	}
	for _, weight := range slices.Backward(slices.Sorted(maps.Keys(byWeight))) {
		c.tiers = append(c.tiers, byWeight[weight])
	}
	return c
}

// classKey is equal for units whose demands on labels are.
func classKey(s *Spec) string {
	if s.MachineID == "" && len(s.Metadata) == 0 && len(s.Require) == 0 && len(s.Prefer) == 0 {
		return ""
	}
	var key strings.Builder
	key.WriteString(s.MachineID)
	write := func(kind string, all []unitfile.Requirement) {
		for _, r := range all {
			key.WriteString("\x00" + kind + r.Key + "\x00" + strconv.Itoa(int(r.Op)))
			for _, value := range r.Values {
				key.WriteString("\x00" + value)
			}
		}
	}
	write("m", s.Metadata)
	write("r", s.Require)
	for _, p := range s.Prefer {
		write("p"+strconv.Itoa(p.Weight), p.Labels)
	}
	return key.String()
}

// preferred returns the weight of the preferences that a node meets.
func preferred(s *Spec, n *node) (weight int) {
	for _, p := range s.Prefer {
		if !slices.ContainsFunc(p.Labels, func(r unitfile.Requirement) bool { return !r.Met(n.label) }) {
			weight += p.Weight
		}
	}
	return weight
}
