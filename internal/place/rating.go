package place

import (
	"cmp"
	"fmt"
)

// rating is how well a node suits a unit, apart from the labels that it prefers
// (see class.tiers). What stands first counts first; what is equal in all goes
// by the tie, which is another one for each unit.
type rating struct {
	crowd int     // instances in the node's domains of the unit's Spread
	wish  int     // units there that it wants near, less those that it wants away
	share float64 // of the node's CPU or memory that would be promised, if it asks for any
	load  int     // units
	tie   uint64
}

// better reports whether r suits better than s.
func (r rating) better(s rating) bool {
	return cmp.Or(cmp.Compare(s.crowd, r.crowd), cmp.Compare(r.wish, s.wish), cmp.Compare(s.share, r.share),
		cmp.Compare(s.load, r.load), cmp.Compare(r.tie, s.tie)) > 0
}

// rate rates a node for a unit; hash is the unit's.
func (p *pass) rate(u *unit, n *node, hash uint64) rating {
	r := rating{load: n.load, tie: mix(hash ^ n.hash)}
	for _, s := range u.spreads {
		count, there := s.on(n)
		if !there {
			count = len(p.units) // worse than any domain
		}
		r.crowd += count
	}
	for _, number := range u.wantNear {
		if p.globs.other(number, n, u) != nil {
			r.wish++
		}
	}
	for _, number := range u.wantAway {
		if p.globs.other(number, n, u) != nil {
			r.wish--
		}
	}
	if u.spec.CPU > 0 && n.milli() > 0 {
		r.share = float64(n.cpu+u.spec.CPU) / float64(n.milli())
	}
	if u.spec.Memory > 0 && n.bytes() > 0 {
		r.share = max(r.share, float64(n.memory+u.spec.Memory)/float64(n.bytes()))
	}
	return r
}

// best returns the best of the nodes that may take the unit, and why it is.
// One that failed goes where it failed before only if no other node is left.
func (p *pass) best(u *unit) (*node, string) {
	c := p.classOf(u)
	for {
		for i, tier := range c.tiers {
			n, fit := p.bestOf(u, tier)
			if n != nil {
				return n, choice(u, n, fit, i < len(c.tiers)-1)
			}
		}
		if len(u.avoid) == 0 {
			return nil, ""
		}
		u.avoid = u.avoid[:len(u.avoid)-1]
	}
}

// bestOf returns the best of some nodes, and how many of them may take the unit.
func (p *pass) bestOf(u *unit, nodes []*node) (best *node, fit int) {
	var top rating
	own := hash(p.in.Seed, string(u.Name))
	if u.free() {
		for _, n := range nodes {
			if best != nil && n.load > top.load {
				continue
			}
			if r := (rating{load: n.load, tie: mix(own ^ n.hash)}); best == nil || r.better(top) {
				best, top = n, r
			}
		}
		return best, len(nodes)
	}
	for _, n := range nodes {
		if u.avoids(n) || !p.first(p.dynamic, u, n).ok {
			continue
		}
		fit++
		if r := p.rate(u, n, own); best == nil || r.better(top) {
			best, top = n, r
		}
	}
	return best, fit
}

// choice says why a node was chosen among those that fit.
func choice(u *unit, n *node, fit int, preferring bool) string {
	if fit == 1 && !preferring {
		return "the only node that fits"
	}
	quality := "least loaded"
	switch {
	case len(u.spreads) > 0:
		quality = "best spread"
	case len(u.wantNear)+len(u.wantAway) > 0:
		quality = "best by its wishes"
	case u.asks():
		quality = "least promised"
	}
	which := "nodes that fit"
	if preferring {
		which = "nodes that fit and are preferred"
	}
	return fmt.Sprintf("%s of %d %s (%d units)", quality, fit, which, n.load)
}
