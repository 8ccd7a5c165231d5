package place

import (
	"cmp"
	"fmt"
	"slices"
)

// preempt returns a node on which units of a lower priority make room for a
// unit, after taking those off it; nil if there is none. They are placed anew
// when their turn comes, which is later: only units after u in the order of
// placing give way, so that one plan is enough.
//
// Of several nodes that is taken on which the least important have to go, and
// then the fewest.
func (p *pass) preempt(u *unit) (*node, string) {
	if u.spec.Priority <= p.weakest {
		return nil, ""
	}
	var best *node
	var leaving []*unit
	for _, t := range p.classOf(u).tiers {
		for _, n := range t.nodes {
			victims := p.victims(u, n)
			if len(victims) > 0 && (best == nil || gentler(n, victims, best, leaving)) {
				best, leaving = n, victims
			}
		}
		if best != nil {
			break
		}
	}
	if best == nil {
		return nil, ""
	}
	p.evict(leaving, best, u)
	return best, fmt.Sprintf("%d of lower priority made room", len(leaving))
}

// clear makes room for a unit on one node, if units of a lower priority can.
func (p *pass) clear(u *unit, n *node) bool {
	if u.spec.Priority <= p.weakest {
		return false
	}
	leaving := p.victims(u, n)
	p.evict(leaving, n, u)
	return len(leaving) > 0
}

// evict takes units off a node where another needs the room.
func (p *pass) evict(leaving []*unit, n *node, u *unit) {
	for _, v := range leaving {
		p.freed = true
		p.take(v, n)
		v.jot().left = append(v.left, fmt.Sprintf("%s, where %s of priority %d needs the room", n.name, u.Name, u.spec.Priority))
	}
}

// victims returns the units that would have to leave a node for u, the least
// important first; none if that would not help.
func (p *pass) victims(u *unit, n *node) []*unit {
	var weaker []*unit
	for _, v := range n.asking {
		if v.spec.Priority < u.spec.Priority && v.rank > u.rank {
			weaker = append(weaker, v)
		}
	}
	slices.SortFunc(weaker, func(a, b *unit) int {
		return cmp.Or(cmp.Compare(a.spec.Priority, b.spec.Priority), cmp.Compare(b.rank, a.rank))
	})
	for i, v := range weaker {
		p.take(v, n)
		if p.first(p.filters.dynamic, u, n).ok {
			weaker = p.spare(u, n, weaker[:i+1])
			for _, v := range weaker {
				p.put(v, n)
			}
			return weaker
		}
	}
	for _, v := range weaker {
		p.put(v, n)
	}
	return nil
}

// spare puts back those of the units taken off a node that need not go, the
// most important first, and returns the others.
func (p *pass) spare(u *unit, n *node, taken []*unit) []*unit {
	var out []*unit
	for _, v := range slices.Backward(taken) {
		p.put(v, n)
		if !p.first(p.filters.dynamic, u, n).ok {
			p.take(v, n)
			out = append(out, v)
		}
	}
	slices.Reverse(out)
	return out
}

// gentler reports whether fewer or less important units leave a than b.
func gentler(a *node, fromA []*unit, b *node, fromB []*unit) bool {
	top := func(list []*unit) int { return list[len(list)-1].spec.Priority }
	return cmp.Or(cmp.Compare(top(fromA), top(fromB)), cmp.Compare(len(fromA), len(fromB)),
		cmp.Compare(a.load, b.load), cmp.Compare(a.turn, b.turn)) < 0
}
