package place

import (
	"cmp"
	"fmt"
	"slices"
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
	p := planned(in)
	var out Proposal
	for _, u := range p.units {
		if c, changed := p.change(u); changed {
			out.Changes = append(out.Changes, c)
		}
	}
	out.Deletes = p.deletions(in.State)
	return out
}

// planned returns the pass after every unit has found its place. First all
// that may stay are put where they are, so that a unit that is new or moves
// never displaces another; then the rest are placed, peers before followers.
func planned(in Input) *pass {
	p := newPass(in)
	order := p.order()
	for _, u := range order {
		p.keep(u)
	}
	for _, u := range order {
		p.settle(u)
	}
	return p
}

// keep puts a unit on those of its present nodes that may still have it.
func (p *pass) keep(u *unit) {
	if u.old == nil || u.obstacle != "" && !u.broken {
		return
	}
	for _, id := range u.old.Nodes {
		n, found := p.byID[id]
		if !found {
			u.left = append(u.left, fmt.Sprintf("%s, which was removed from the cluster", id.Short()))
			continue
		}
		if !u.spec.Global && len(u.at) == 1 {
			u.left = append(u.left, n.name+": it is no longer a global unit")
			continue
		}
		if v := p.staying(u, n); !v.ok {
			u.left = append(u.left, fmt.Sprintf("%s, which %s", n.name, v.phrase(1)))
			continue
		}
		p.put(u, n)
	}
}

// staying says whether a unit may stay on a node, the node's health aside. A
// unit whose constraints cannot be read stays: nothing says that it must not.
func (p *pass) staying(u *unit, n *node) verdict {
	if u.broken {
		return yes()
	}
	for _, f := range p.filters {
		if f.placingOnly {
			continue
		}
		if v := f.check(p, u, n); !v.ok {
			return v
		}
	}
	return yes()
}

// settle finds a place for what keep has not placed. Peers come before their
// followers, so a unit that follows one sees where that one went.
func (p *pass) settle(u *unit) {
	if len(u.spec.MachineOf) > 0 {
		for _, n := range slices.Clone(u.at) {
			if v := checkMachineOf(p, u, n); !v.ok {
				p.take(u, n)
				u.left = append(u.left, fmt.Sprintf("%s, which %s", n.name, v.phrase(1)))
			}
		}
	}
	switch {
	case u.obstacle != "":
	case u.spec.Global:
		p.spread(u)
	case len(u.at) == 0:
		p.place(u)
	case u.at[0].gone():
		p.rescue(u)
	}
}

// spread puts a global unit on every node that may take it.
func (p *pass) spread(u *unit) {
	for _, n := range p.classOf(u).nodes {
		if !u.on(n) && p.first(p.dynamic, u, n).ok {
			p.put(u, n)
		}
	}
}

// place puts a unit on the best node, if any may take it.
func (p *pass) place(u *unit) {
	best, fit := p.best(u)
	if best == nil {
		return
	}
	verb := "placed on "
	if len(u.left) > 0 {
		verb = "moved from " + strings.Join(u.left, ", and from ") + ", to "
	}
	u.reason = verb + choice(best, fit)
	p.put(u, best)
}

// rescue moves a unit away from a node that is lost, if any other may take it.
func (p *pass) rescue(u *unit) {
	from := u.at[0]
	best, fit := p.best(u)
	if best == nil {
		return
	}
	u.reason = fmt.Sprintf("moved from %s, which is %s, to %s", from.name, from.health, choice(best, fit))
	p.take(u, from)
	p.put(u, best)
}

// choice says why a node was chosen among those that fit.
func choice(n *node, fit int) string {
	if fit == 1 {
		return n.name + ": the only node that fits"
	}
	return fmt.Sprintf("%s: least loaded of %d nodes that fit (%d units)", n.name, fit, n.load)
}

// best returns the node with the highest score among those that may take the
// unit, and how many they are. Ties go to the largest hash of (seed, unit,
// node), so that they spread differently for each unit.
func (p *pass) best(u *unit) (best *node, fit int) {
	var bestScore float64
	var bestTie uint64
	for _, n := range p.classOf(u).nodes {
		if !p.first(p.dynamic, u, n).ok {
			continue
		}
		fit++
		score, tie := p.score(u, n), mix(u.hash^n.hash)
		if best == nil || score > bestScore || score == bestScore && tie > bestTie {
			best, bestScore, bestTie = n, score, tie
		}
	}
	return best, fit
}

// change compares where a unit is to be with the record of where it is.
func (p *pass) change(u *unit) (Change, bool) {
	next := cluster.Placement{
		Unit: u.Name, UID: u.UID, Global: u.spec.Global,
		Nodes: ids(u.at), Reason: p.reason(u), Since: p.in.Now,
		Epoch: cluster.Epoch(p.in.State.Revision) + 1,
	}
	if was := u.record; was != nil {
		// Epochs begin at the store's revision, so that they grow even when a
		// unit is destroyed and submitted again under the same name.
		next.Epoch = max(next.Epoch, was.Epoch+1)
		next.Revision = was.Revision
		if was.UID == next.UID && slices.Equal(was.Nodes, next.Nodes) {
			next.Epoch, next.Since = was.Epoch, was.Since
			if was.Global == next.Global && was.Reason == next.Reason {
				return Change{}, false
			}
		}
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
	case u.at[0].gone() && !u.broken:
		return fmt.Sprintf("%s%s, which is %s: %s", stays, u.at[0].name, u.at[0].health, p.rejections(u))
	case u.old != nil && !strings.HasPrefix(u.old.Reason, stays) && slices.Equal(u.old.Nodes, ids(u.at)):
		return u.old.Reason
	}
	return "kept on " + u.at[0].name
}

// deletions returns the placements of units that are inactive or destroyed.
func (p *pass) deletions(state *cluster.State) []Deletion {
	var out []Deletion
	for _, placed := range state.Placements {
		if _, active := p.byName[placed.Unit]; active {
			continue
		}
		d := Deletion{Unit: placed.Unit, PlacementRevision: placed.Revision, Reason: "the unit was destroyed"}
		if revision, exists := p.inactive[placed.Unit]; exists {
			d.UnitRevision, d.Reason = revision, "the unit is inactive"
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Deletion) int { return cmp.Compare(a.Unit, b.Unit) })
	return out
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
