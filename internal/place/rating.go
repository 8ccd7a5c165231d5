package place

import "cmp"

// rating is how well a node suits a unit. What stands first counts first.
type rating struct {
	preferred int     // weight of the preferences for labels that it meets
	crowd     int     // instances in the node's domains of the unit's Spread
	wish      int     // units there that it wants near, less those that it wants away
	share     float64 // of the node's CPU or memory that would be promised, if it asks for any
	load      int     // units
	turn      int     // another one for each node
}

// better reports whether r suits better than s.
func (r rating) better(s rating) bool {
	switch {
	case r.preferred != s.preferred:
		return r.preferred > s.preferred
	case r.crowd != s.crowd:
		return r.crowd < s.crowd
	case r.wish != s.wish:
		return r.wish > s.wish
	case r.share != s.share:
		return r.share < s.share
	}
	return cmp.Or(cmp.Compare(r.load, s.load), cmp.Compare(r.turn, s.turn)) < 0
}

// rate rates a node of a tier for a unit, the wishes for other units aside: but
// for the turn, it is the same for all nodes of a bin.
func (p *pass) rate(u *unit, n *node, preferred int) rating {
	r := rating{preferred: preferred, load: n.load, turn: n.turn}
	for _, s := range u.spreads {
		count, there := s.on(n)
		if !there {
			count = len(p.units) // worse than any domain
		}
		r.crowd += count
	}
	if u.spec.CPU > 0 && n.milli > 0 {
		r.share = float64(n.promised.CPU+u.spec.CPU) / float64(n.milli)
	}
	if u.spec.Memory > 0 && n.bytes > 0 {
		r.share = max(r.share, float64(n.promised.Memory+u.spec.Memory)/float64(n.bytes))
	}
	return r
}

// wish returns how many of the globs that a unit wants near mean a unit on a
// node, less those that it wants away.
func (p *pass) wish(u *unit, n *node) (count int) {
	for _, glob := range u.wantNear {
		if glob.means.other(n, u) != nil {
			count++
		}
	}
	for _, glob := range u.wantAway {
		if glob.means.other(n, u) != nil {
			count--
		}
	}
	return count
}
