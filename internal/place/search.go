package place

import (
	"fmt"
	"slices"
	"strconv"
)

// search looks for the best of the nodes that may take a unit.
type search struct {
	p     *pass
	u     *unit
	class *class
	best  *node
	top   rating
	fit   int // how many may take it; -1 if not all were looked at
}

// best returns the best of the nodes that may take the unit, and why it is.
// One that failed goes where it failed before only if no other node is left.
func (p *pass) best(u *unit) (*node, string) {
	for {
		s := search{p: p, u: u, class: p.classOf(u)}
		s.run()
		if s.best != nil {
			return s.best, s.why()
		}
		if len(u.avoid) == 0 {
			return nil, ""
		}
		u.avoid = u.avoid[:len(u.avoid)-1]
	}
}

func (s *search) run() {
	some, bound := s.beside()
	switch {
	case bound:
		s.each(some)
	case s.class.fit <= s.p.how.fewNodes:
		for _, t := range s.class.tiers {
			if s.each(t.nodes); s.best != nil {
				break
			}
		}
	default:
		s.shelves()
	}
}

// beside returns the nodes of units that the unit has to be beside; false if
// there are no such units.
func (s *search) beside() (nodes []*node, bound bool) {
	switch {
	case len(s.u.peers) > 0 && s.u.peers[0] == nil:
		return nil, true
	case len(s.u.peers) > 0:
		return s.u.peers[0].at, true
	case len(s.u.near) > 0:
		return s.u.near[0].means.nodes(), true
	}
	return nil, false
}

// each looks at some nodes one by one.
func (s *search) each(some []*node) {
	for _, n := range some {
		t := s.class.tierOf[n.index]
		if t == nil || !s.may(n, s.p.filters.dynamic) {
			continue
		}
		s.fit++
		r := s.p.rate(s.u, n, t.weight)
		r.wish = s.p.wish(s.u, n)
		s.offer(n, r)
	}
}

// may reports whether a node may take the unit, as far as some filters say.
func (s *search) may(n *node, filters []filter) bool {
	return !s.u.avoids(n) && s.p.first(filters, s.u, n).ok
}

func (s *search) offer(n *node, r rating) {
	if s.best == nil || r.better(s.top) {
		s.best, s.top = n, r
	}
}

// shelves looks at the nodes of the class by what they have in common; but one
// by one at those where the unit was, and at those with units that it would be
// near, or away from.
func (s *search) shelves() {
	for _, id := range s.u.before() {
		if n := s.p.byID[id]; n != nil {
			s.each([]*node{n})
		}
	}
	for _, wanted := range [][]*glob{s.u.wantNear, s.u.wantAway} {
		for _, glob := range wanted {
			s.each(glob.means.nodes())
		}
	}
	if s.fit = -1; s.u.free() {
		s.fit = s.class.fit
	}
	for _, t := range s.class.tiers {
		if s.best == nil || t.weight >= s.top.preferred {
			s.browse(t)
		}
	}
}

// browse looks through the shelf of a tier. What can be said of all nodes of a
// bin is said once, and the first in turn that may take the unit stands for it.
func (s *search) browse(t *tier) {
	wishes := s.u.wishes()
	for _, c := range s.p.shelf(t, s.u.axes).cells {
		for _, b := range c.bins {
			at := slices.IndexFunc(b.nodes, func(n *node) bool { return !s.u.had(n) })
			if at < 0 {
				continue
			}
			r := s.p.rate(s.u, b.nodes[at], t.weight)
			if s.best != nil && !r.better(s.top) || !s.p.first(s.p.filters.pooled, s.u, b.nodes[at]).ok {
				continue
			}
			for _, n := range b.nodes[at:] {
				if s.may(n, s.p.filters.single) && (!wishes || s.p.wish(s.u, n) == 0) {
					r.turn = n.turn
					s.offer(n, r)
					break
				}
			}
		}
	}
}

// why says why the node was chosen among those that fit.
func (s *search) why() string {
	lowest := s.class.tiers[len(s.class.tiers)-1]
	preferring := s.top.preferred > lowest.weight
	if s.fit == 1 && !preferring {
		return "the only node that fits"
	}
	quality := "least loaded"
	switch {
	case len(s.u.spreads) > 0:
		quality = "best spread"
	case s.u.wishes():
		quality = "best by its wishes"
	case s.u.asks():
		quality = "least promised"
	}
	which := "nodes that fit"
	if preferring {
		which += " and are preferred"
	}
	count := "the"
	if s.fit >= 0 && !preferring || s.class.fit <= s.p.how.fewNodes {
		count = strconv.Itoa(s.fit)
	}
	return fmt.Sprintf("%s of %s %s (%d units)", quality, count, which, s.best.load)
}
