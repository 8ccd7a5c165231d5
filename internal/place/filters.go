package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
		{name: "Require", static: true, check: checkRequire},
		{name: "MachineOf", check: checkMachineOf},
		{name: "Near", check: checkNear},
		{name: "Conflicts", check: checkConflicts},
		{name: "Replaces", check: checkReplaced},
		{name: "CPU", check: checkCPU},
		{name: "Memory", check: checkMemory},
		{name: "Spread", placingOnly: true, check: checkSpread},
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
	// tiers are the nodes that pass, by how well the labels that the units
	// prefer are met; the best come first.
	tiers    [][]*node
	fit      int // nodes in all tiers
	rejected map[verdict]int
	reached  map[*spread][]int // domains that nodes of the class are in
}

// classOf returns the class of a unit.
func (p *pass) classOf(u *unit) *class {
	if u.class != nil {
		return u.class
	}
	key := classKey(u.spec)
	if u.class = p.classes[key]; u.class != nil {
		return u.class
	}
	c := &class{rejected: map[verdict]int{}, reached: map[*spread][]int{}}
	u.class, p.classes[key] = c, c
	byWish := map[int][]*node{}
	for _, n := range p.nodes {
		v := p.first(p.static, u, n)
		if !v.ok {
			c.rejected[v]++
			continue
		}
		c.fit++
		wish := wishes(u.spec, n)
		byWish[wish] = append(byWish[wish], n)
	}
	for _, wish := range slices.Backward(slices.Sorted(maps.Keys(byWish))) {
		c.tiers = append(c.tiers, byWish[wish])
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

// wishes returns the weight of the preferences that a node meets.
func wishes(s *Spec, n *node) (weight int) {
	for _, p := range s.Prefer {
		if !slices.ContainsFunc(p.Labels, func(r unitfile.Requirement) bool { return !r.Met(n.label) }) {
			weight += p.Weight
		}
	}
	return weight
}

// domains returns the domains of a spread that nodes of the class are in.
func (c *class) domains(s *spread) []int {
	if have, known := c.reached[s]; known {
		return have
	}
	seen := make([]bool, len(s.counts))
	all := []int{}
	for _, tier := range c.tiers {
		for _, n := range tier {
			if domain := s.domainOf[n.index]; domain >= 0 && !seen[domain] {
				seen[domain] = true
				all = append(all, domain)
			}
		}
	}
	c.reached[s] = all
	return all
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
		if want := &u.spec.Metadata[i]; !want.Met(n.label) {
			return no("lacks", "lack", want.Key+"="+strings.Join(want.Values, " or "))
		}
	}
	return yes()
}

func checkRequire(_ *pass, u *unit, n *node) verdict {
	for i := range u.spec.Require {
		if want := &u.spec.Require[i]; !want.Met(n.label) {
			return no("does not meet", "do not meet", want.String())
		}
	}
	return yes()
}

func checkMachineOf(p *pass, u *unit, n *node) verdict {
	for _, name := range u.spec.MachineOf {
		if peer, active := p.byName[name]; !active || !peer.on(n) {
			return no("does not have", "do not have", string(name))
		}
	}
	return yes()
}

func checkNear(p *pass, u *unit, n *node) verdict {
	for _, number := range u.near {
		if p.globs.other(number, n, u) == nil {
			return no("does not have", "do not have", p.globs.list[number].text)
		}
	}
	return yes()
}

// checkConflicts looks from both sides: it does not matter which names which.
func checkConflicts(p *pass, u *unit, n *node) verdict {
	var enemy *unit
	for _, number := range u.conflicts {
		enemy = earlier(enemy, p.globs.other(number, n, u))
	}
	for _, number := range u.met {
		for _, there := range p.conflict.here[number][n] {
			if there != u {
				enemy = earlier(enemy, there)
				break // they are sorted
			}
		}
	}
	if enemy != nil {
		return no("conflicts with", "conflict with", string(enemy.Name))
	}
	return yes()
}

// earlier returns the first by name of two units, either of which may be nil.
func earlier(a, b *unit) *unit {
	if a == nil || b != nil && b.index < a.index {
		return b
	}
	return a
}

// checkReplaced keeps a unit from where another is that replaces it.
func checkReplaced(p *pass, u *unit, n *node) verdict {
	for _, number := range u.met {
		for _, there := range p.replace.here[number][n] {
			if there != u && !p.letBe(there, u) {
				return no("has what replaces it,", "have what replaces it,", string(there.Name))
			}
		}
	}
	return yes()
}

// checkCPU lets no node be promised more than it has. A unit stays on a node
// that has not said what it has.
func checkCPU(_ *pass, u *unit, n *node) verdict {
	switch has := n.milli(); {
	case u.spec.CPU == 0 || has > 0 && n.cpu+u.spec.CPU <= has:
		return yes()
	case has == 0 && u.had(n):
		return yes()
	}
	return no("lacks", "lack", cores(u.spec.CPU)+" of CPU")
}

func checkMemory(_ *pass, u *unit, n *node) verdict {
	switch has := n.bytes(); {
	case u.spec.Memory == 0 || has > 0 && n.memory+u.spec.Memory <= has:
		return yes()
	case has == 0 && u.had(n):
		return yes()
	}
	return no("lacks", "lack", size(u.spec.Memory)+" of memory")
}

// cores words thousandths of a core: "1.5".
func cores(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) }

// size words a number of bytes as a unit file has it: "512M".
func size(bytes int64) string {
	value, suffix := float64(bytes), ""
	for _, next := range []string{"K", "M", "G", "T"} {
		if value < 1024 {
			break
		}
		value, suffix = value/1024, next
	}
	return strconv.FormatFloat(float64(int64(value*10+0.5))/10, 'f', -1, 64) + suffix
}

// checkSpread keeps the domains of a Spread that is no wish within one instance
// of each other.
func checkSpread(p *pass, u *unit, n *node) verdict {
	for i, s := range u.spreads {
		if u.spec.Spread[i].Soft {
			continue
		}
		count, there := s.on(n)
		switch {
		case !there:
			return no("lacks", "lack", "the label "+s.label)
		case count > s.least(p.classOf(u)):
			return no("is", "are", "in the fuller "+s.label+"="+s.names[s.domainOf[n.index]])
		}
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
	for _, tier := range class.tiers {
		for _, n := range tier {
			if v := p.first(p.dynamic, u, n); !v.ok && !u.on(n) {
				counts[v]++
			}
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
