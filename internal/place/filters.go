package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// filter says whether a node may take a unit. To add a constraint, write one
// and list it in filters.
type filter struct {
	name string
	// static filters look at nothing but the unit's spec and the node, so
	// they are asked once for all units with equal demands.
	static bool
	// placingOnly filters do not drive a unit off the node that it is on.
	placingOnly bool
	check       func(p *pass, u *unit, n *node) verdict
}

// filters lists all filters. The first that rejects a node gives the reason,
// so those come first that a person can do least about; static ones come
// before the others.
func filters() []filter {
	return []filter{
		{name: "health", static: true, placingOnly: true, check: checkHealth},
		{name: "MachineID", static: true, check: checkMachineID},
		{name: "MachineMetadata", static: true, check: checkMetadata},
		{name: "MachineOf", check: checkMachineOf},
		{name: "Conflicts", check: checkConflicts},
	}
}

// verdict is a filter's answer. A rejection is worded for one node ("lacks
// region=eu") and for several ("lack region=eu"); what follows the verb is
// kept apart, so that the innermost loop puts no strings together.
type verdict struct {
	ok        bool
	one, many string
	object    string
}

func yes() verdict { return verdict{ok: true} }

func no(one, many, object string) verdict { return verdict{one: one, many: many, object: object} }

// phrase words a rejection for a number of nodes.
func (v verdict) phrase(count int) string {
	verb := v.many
	if count == 1 {
		verb = v.one
	}
	if v.object == "" {
		return verb
	}
	return verb + " " + v.object
}

// class is what the static filters say of all nodes, for all units that make
// equal demands.
type class struct {
	nodes    []*node // that pass
	rejected map[verdict]int
}

// classOf returns the class of a unit.
func (p *pass) classOf(u *unit) *class {
	if u.class != nil {
		return u.class
	}
	key := u.spec.MachineID + "\x00" + strings.Join(u.wants, "\x00")
	if u.class = p.classes[key]; u.class != nil {
		return u.class
	}
	u.class = &class{rejected: map[verdict]int{}}
	p.classes[key] = u.class
	for _, n := range p.nodes {
		if v := p.first(p.static, u, n); v.ok {
			u.class.nodes = append(u.class.nodes, n)
		} else {
			u.class.rejected[v]++
		}
	}
	return u.class
}

// first returns the first rejection by the filters given, or yes.
func (p *pass) first(filters []filter, u *unit, n *node) verdict {
	for i := range filters {
		if v := filters[i].check(p, u, n); !v.ok {
			return v
		}
	}
	return yes()
}

func checkHealth(_ *pass, _ *unit, n *node) verdict {
	switch n.health {
	case cluster.Ready:
		return yes()
	case cluster.Lost:
		return no("is lost", "are lost", "")
	case cluster.Dead:
		return no("is dead", "are dead", "")
	}
	return no("has not been heard of", "have not been heard of", "")
}

// checkMachineID takes the full ID or its first eight digits, as fleet did.
func checkMachineID(_ *pass, u *unit, n *node) verdict {
	want := u.spec.MachineID
	if want == "" || want == string(n.id) || want == n.id.Short() {
		return yes()
	}
	return no("is not machine", "are not machine", want)
}

func checkMetadata(_ *pass, u *unit, n *node) verdict {
	for i := range u.spec.Metadata {
		want := &u.spec.Metadata[i]
		have, labelled := n.labels[want.Key]
		if !labelled || !slices.Contains(want.Values, have) {
			return no("lacks", "lack", u.wants[i])
		}
	}
	return yes()
}

// words prints a requirement as a unit file has it: "region=eu or us".
func words(r unitfile.Requirement) string {
	if len(r.Values) == 1 {
		return r.Key + "=" + r.Values[0]
	}
	return r.Key + "=" + strings.Join(r.Values, " or ")
}

func checkMachineOf(p *pass, u *unit, n *node) verdict {
	for _, name := range u.spec.MachineOf {
		if peer, active := p.byName[name]; !active || !peer.on(n) {
			return no("does not have", "do not have", string(name))
		}
	}
	return yes()
}

func checkConflicts(p *pass, u *unit, n *node) verdict {
	if other := p.conflicts.with(u, n); other != nil {
		return no("conflicts with", "conflict with", string(other.Name))
	}
	return yes()
}

// rejections says how many nodes have the unit, and what keeps it from the
// others: "0 of 5 nodes: 3 lack region=eu, 2 conflict with db.service". The
// commonest reasons come first, and only a few of them.
func (p *pass) rejections(u *unit) string {
	const reasonsMax = 3
	class := p.classOf(u)
	counts := maps.Clone(class.rejected)
	for _, n := range class.nodes {
		if v := p.first(p.dynamic, u, n); !v.ok {
			counts[v]++
		}
	}
	have := 0
	if u.spec.Global {
		have = len(u.at)
		for _, n := range u.at { // a lost node keeps its global units
			if v := p.first(p.static, u, n); !v.ok {
				counts[v]--
			}
		}
	}
	type reason struct {
		text  string
		count int
	}
	reasons := make([]reason, 0, len(counts))
	for v, count := range counts {
		if count == 0 {
			continue
		}
		reasons = append(reasons, reason{fmt.Sprintf("%d %s", count, v.phrase(count)), count})
	}
	slices.SortFunc(reasons, func(a, b reason) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.text, b.text))
	})
	text := fmt.Sprintf("%d of %d nodes", have, len(p.nodes))
	for i, r := range reasons {
		if i == reasonsMax {
			return fmt.Sprintf("%s, and %d other reasons", text, len(reasons)-reasonsMax)
		}
		text += []string{": ", ", "}[min(i, 1)] + r.text
	}
	return text
}
