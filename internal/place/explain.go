package place

import (
	"slices"

	"argosy/internal/cluster"
)

// Explanation says for each node whether it may take a unit, and why.
type Explanation struct {
	Unit    cluster.UnitName `json:"unit"`
	Nodes   []NodeVerdict    `json:"nodes"`   // the best first; nodes that may not come last
	Summary string           `json:"summary"` // why the unit is where it is, or is nowhere
}

// NodeVerdict is what the filters and scores say of one node.
type NodeVerdict struct {
	Node   cluster.NodeID  `json:"node"`
	Name   string          `json:"name"`
	Placed bool            `json:"placed,omitempty"` // the unit is there
	OK     bool            `json:"ok"`               // every filter lets it pass
	Checks []FilterVerdict `json:"checks"`
	// What decides among the nodes that pass, in this order: the weight of the
	// preferences that the node meets, how many instances its domains have, how
	// many units are there that are wanted near (less those wanted away), the
	// share of it that would be promised, and how many units it has.
	Preferred int     `json:"preferred,omitempty"`
	Crowd     int     `json:"crowd,omitempty"`
	Wishes    int     `json:"wishes,omitempty"`
	Share     float64 `json:"share,omitempty"`
	Load      int     `json:"load"`
}

// FilterVerdict is what one filter says of one node; Why is "" if OK.
type FilterVerdict struct {
	Filter string `json:"filter"`
	OK     bool   `json:"ok"`
	Why    string `json:"why,omitempty"`
}

// Explain says for each node whether it may take the unit, and why, as things
// are after the plan for the same input was carried out. The unit itself is not
// counted. A unit that is not to be placed has no nodes.
func Explain(in Input, name cluster.UnitName) Explanation {
	out := Explanation{Unit: name, Summary: "there is no such unit"}
	if in.State == nil || len(in.State.Nodes) == 0 {
		out.Summary = "no node is known"
		return out
	}
	p := planned(in)
	u, active := p.byName[name]
	if !active {
		if _, stored := p.inactive[name]; stored {
			out.Summary = "the unit is inactive"
		}
		return out
	}
	out.Summary = p.reason(u)
	there := slices.Clone(u.at)
	for _, n := range there {
		p.take(u, n)
	}
	own := hash(in.Seed, string(name))
	ratings := make(map[cluster.NodeID]rating, len(p.nodes))
	for _, n := range p.nodes {
		ratings[n.id] = p.rate(u, n, own)
		out.Nodes = append(out.Nodes, p.judge(u, n, ratings[n.id], slices.Contains(there, n)))
	}
	slices.SortStableFunc(out.Nodes, func(a, b NodeVerdict) int {
		switch {
		case a.OK != b.OK && a.OK, a.OK == b.OK && a.Preferred > b.Preferred:
			return -1
		case a.OK != b.OK, a.Preferred < b.Preferred:
			return 1
		case ratings[a.Node].better(ratings[b.Node]):
			return -1
		}
		return 1
	})
	return out
}

// judge asks every filter about one node.
func (p *pass) judge(u *unit, n *node, r rating, placed bool) NodeVerdict {
	out := NodeVerdict{
		Node: n.id, Name: n.name, Placed: placed, OK: true,
		Preferred: wishes(u.spec, n), Crowd: r.crowd, Wishes: r.wish, Share: r.share, Load: r.load,
	}
	for _, f := range p.filters {
		v := f.check(p, u, n)
		check := FilterVerdict{Filter: f.name, OK: v.ok}
		if !v.ok {
			check.Why = v.phrase(1)
			out.OK = false
		}
		out.Checks = append(out.Checks, check)
	}
	return out
}
