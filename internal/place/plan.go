package place

import (
	"cmp"
	"fmt"
	"strings"

	"argosy/internal/cluster"
)

// Plan returns what has to change so that every unit that is not inactive is
// where it should be.
//
// A state without nodes gives an empty proposal: it cannot be true of a live
// cluster, and an empty answer must never stop a unit. A unit whose node is
// lost stays assigned to it as long as no other node may take it: should the
// node only be cut off, the unit goes on running there.
func Plan(in Input) Proposal {
	if in.State == nil || len(in.State.Nodes) == 0 {
		return Proposal{}
	}
	p := newPass(in)
	p.run()
	return p.proposal()
}

// proposal returns what has to change.
func (p *pass) proposal() Proposal {
	var out Proposal
	for _, u := range p.units {
		if c, changed := p.change(u); changed {
			out.Changes = append(out.Changes, c)
		}
	}
	out.Deletes = p.deletes
	out.Next = p.next()
	return out
}

// run finds a place for every unit. First all that may stay are put where they
// are, so that a unit that is new or moves displaces nobody but by a higher
// priority; then the rest are placed.
func (p *pass) run() {
	for _, u := range p.order {
		p.keep(u)
	}
	p.stirred = false
	// Somebody may leave what another, whose turn was before, would have liked.
	for range roundsMax {
		p.freed = false
		for _, u := range p.order {
			if !u.settled || p.stirred || p.how.allTurns {
				p.settle(u)
			}
		}
		if !p.freed {
			return
		}
	}
}

// roundsMax bounds how often all units get their turn in one plan. What is left
// to do after that, which takes a chain of units that make room for each other,
// is for the next plan.
const roundsMax = 8

// keep puts a unit on those of its present nodes that may still have it.
func (p *pass) keep(u *unit) {
	if u.old == nil || u.obstacle != "" && !u.broken {
		return
	}
	for _, id := range u.old.Nodes {
		n, found := p.byID[id]
		if !found {
			u.jot().left = append(u.left, fmt.Sprintf("%s, which was removed from the cluster", id.Short()))
			continue
		}
		if !u.spec.Global && len(u.at) == 1 {
			u.jot().left = append(u.left, n.name+": it is no longer a global unit")
			continue
		}
		if u.due {
			p.giveUp(u, n)
			continue
		}
		if why := p.drives(u, n); why != "" {
			u.jot().left = append(u.left, fmt.Sprintf("%s, which %s", n.name, why))
			continue
		}
		p.put(u, n)
		u.settled = !u.spec.Global && !n.gone
	}
}

// drives says what drives a unit off a node that it is on, or "".
func (p *pass) drives(u *unit, n *node) string {
	if u.easy() {
		return ""
	}
	if c := p.sharedClass(u); c != nil && c.tierOf[n.index] != nil { // no static filter rejects it
		return p.why(p.filters.remaining, u, n)
	}
	return p.why(p.filters.staying, u, n)
}

// settle finds a place for what keep has not placed, or what has to leave since.
// Whoever a unit looks to comes before it, so it sees where that one went.
func (p *pass) settle(u *unit) {
	if len(u.at) > 0 && (len(u.peers) > 0 || len(u.near) > 0 || len(u.met) > 0) {
		p.follow(u)
	}
	switch {
	case u.obstacle != "":
	case u.spec.Global:
		p.spread(u)
	case len(u.at) == 0:
		p.place(u)
	case u.at[0].gone:
		p.rescue(u)
	}
}

// follow takes a unit off the nodes that its peers have left, or to which one
// came that replaces it.
func (p *pass) follow(u *unit) {
	for i := len(u.at) - 1; i >= 0 && !u.broken; i-- {
		n := u.at[i]
		if why := p.why(p.filters.following, u, n); why != "" {
			p.take(u, n)
			p.freed = true
			u.jot().left = append(u.left, fmt.Sprintf("%s, which %s", n.name, why))
		}
	}
}

// spread puts a global unit on every node that may take it, or may once units of
// a lower priority have left it.
func (p *pass) spread(u *unit) {
	for _, t := range p.classOf(u).tiers {
		for _, n := range t.nodes {
			if !u.on(n) && (p.first(p.filters.dynamic, u, n).ok || u.asks() && p.clear(u, n)) {
				p.put(u, n)
			}
		}
	}
}

// place puts a unit on the best node, if any may take it.
func (p *pass) place(u *unit) {
	best, why := p.seat(u)
	if best == nil {
		return
	}
	switch {
	case best == u.tried:
		u.reason = fmt.Sprintf("tried again after it failed (%s) on %s: %s", u.failed.Failure(), best.name, why)
	case u.had(best):
		u.reason = "" // what drove it off is gone
	case len(u.left) > 0:
		u.reason = "moved from " + strings.Join(u.left, ", and from ") + ", to " + best.name + ": " + why
	default:
		u.reason = "placed on " + best.name + ": " + why
	}
	p.put(u, best)
}

// rescue moves a unit away from a node that is lost, if any other may take it.
func (p *pass) rescue(u *unit) {
	from := u.at[0]
	p.take(u, from)
	best, why := p.seat(u)
	if best == nil {
		p.put(u, from)
		return
	}
	u.reason = fmt.Sprintf("moved from %s, which is %s, to %s: %s", from.name, from.health, best.name, why)
	p.put(u, best)
	p.freed = true
}

// seat returns the node that a unit is to have, and why that one; nil if none
// may take it. If need be, units of a lower priority leave it.
func (p *pass) seat(u *unit) (n *node, why string) {
	if n, why = p.best(u); n == nil && u.asks() {
		n, why = p.preempt(u)
	}
	return n, why
}

// change compares where a unit is to be with the record of where it is.
func (p *pass) change(u *unit) (Change, bool) {
	was, reason, retry := cmp.Or(u.old, u.former), p.reason(u), p.retry(u)
	stays := u.stays()
	if stays && was.Global == u.spec.Global && was.Reason == reason && was.Retry.Equal(retry) {
		return Change{}, false
	}
	next := cluster.Placement{
		Unit: u.Name, UID: u.UID, Global: u.spec.Global,
		Nodes: ids(u.at), Reason: reason, Since: p.in.Now,
		Epoch: cluster.Epoch(p.in.State.Revision) + 1, Retry: retry,
	}
	if was != nil {
		// Epochs begin at the store's revision, so that they grow even when a
		// unit is destroyed and submitted again under the same name.
		next.Epoch = max(next.Epoch, was.Epoch+1)
		next.Revision = was.Revision
	}
	if stays {
		next.Epoch, next.Since = was.Epoch, was.Since
	}
	return Change{Placement: next, UnitRevision: u.Revision, PlacementRevision: next.Revision}, true
}

// stays begins the reason of a unit that is left on a lost node because no
// other may take it. The reason is dropped when the node is back.
const stays = "stays on "

// reason says why a unit is where it is. It is asked when all units have been
// placed, so that the next plan from the same state says the same.
func (p *pass) reason(u *unit) string {
	switch {
	case len(u.at) == 0 && u.obstacle != "":
		return u.obstacle
	case len(u.at) == 0:
		if wait := p.waitsFor(u); wait != "" {
			return wait
		}
		return p.rejections(u)
	case u.spec.Global:
		return "global, on " + p.rejections(u)
	case u.reason != "":
		return u.reason
	case u.waits():
		return waiting(u, u.at[0])
	case u.at[0].gone && !u.broken:
		return fmt.Sprintf("%s%s, which is %s: %s", stays, u.at[0].name, u.at[0].health, p.rejections(u))
	case u.stays() && !u.stale():
		return u.old.Reason
	}
	return "kept on " + u.at[0].name
}

func ids(nodes []*node) []cluster.NodeID {
	if len(nodes) == 0 {
		return nil
	}
	out := make([]cluster.NodeID, len(nodes))
	for i, n := range nodes {
		out[i] = n.id
	}
	return out
}
