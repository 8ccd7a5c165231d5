package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"argosy/internal/cluster"
)

// filter says whether a node may take a unit. To add a constraint, write one
// and list it in allFilters.
type filter struct {
	name string
	// static filters look at nothing but the unit's spec and the node, so
	// they are asked once for all units with equal demands.
	static bool
	// pooled filters look at nothing but the unit's spec, the stock of the node,
	// its failure domains, and whether the unit was there, so they are asked once
	// for those nodes of a bin where it was not.
	pooled bool
	// placingOnly filters do not drive a unit off the node that it is on.
	placingOnly bool
	// following filters are asked again after others have moved.
	following bool
	check     func(p *pass, u *unit, n *node) verdict
	// detail says more of a rejection than others of its kind have in common;
	// nil if there is nothing more to say.
	detail func(p *pass, u *unit, n *node) string
}

// allFilters lists all filters. The first that rejects a node gives the reason,
// so those come first that a person can do least about; static ones come
// before the others.
func allFilters() []filter {
	return []filter{
		{name: "health", static: true, placingOnly: true, check: checkHealth},
		{name: "MachineID", static: true, check: checkMachineID},
		{name: "MachineMetadata", static: true, check: checkMetadata},
		{name: "Require", static: true, check: checkRequire},
		{name: "MachineOf", following: true, check: checkMachineOf},
		{name: "Near", following: true, check: checkNear},
		{name: "Conflicts", check: checkConflicts, detail: enemies},
		{name: "Replaces", following: true, check: checkReplaced},
		{name: "CPU", pooled: true, check: checkCPU, detail: freeCPU},
		{name: "Memory", pooled: true, check: checkMemory, detail: freeMemory},
		{name: "Spread", pooled: true, placingOnly: true, check: checkSpread},
	}
}

// filters are all filters, and those of each kind, in the same order.
type filters struct {
	all, static, staying, following []filter
	dynamic                         []filter // those that are not static
	remaining                       []filter // those of staying that are not static
	pooled, single                  []filter // parts of dynamic
}

func newFilters() filters {
	fs := filters{all: allFilters()}
	for _, f := range fs.all {
		if !f.placingOnly {
			fs.staying = append(fs.staying, f)
		}
		if f.following {
			fs.following = append(fs.following, f)
		}
		switch {
		case f.static:
			fs.static = append(fs.static, f)
			continue
		case f.pooled:
			fs.pooled = append(fs.pooled, f)
		default:
			fs.single = append(fs.single, f)
		}
		fs.dynamic = append(fs.dynamic, f)
		if !f.placingOnly {
			fs.remaining = append(fs.remaining, f)
		}
	}
	return fs
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

// first returns the first rejection by the filters given, or yes.
func (p *pass) first(filters []filter, u *unit, n *node) verdict {
	for i := range filters {
		if v := filters[i].check(p, u, n); !v.ok {
			return v
		}
	}
	return yes()
}

// why words what the first of some filters has against one node, with all that
// can be said of it; "" if none has anything.
func (p *pass) why(filters []filter, u *unit, n *node) string {
	for i := range filters {
		if v := filters[i].check(p, u, n); !v.ok {
			return filters[i].word(p, u, n, v)
		}
	}
	return ""
}

// word words a rejection of one node, with its detail.
func (f *filter) word(p *pass, u *unit, n *node, v verdict) string {
	text := v.phrase(1)
	if f.detail != nil {
		if more := f.detail(p, u, n); more != "" {
			text += " (" + more + ")"
		}
	}
	return text
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

func checkMachineOf(_ *pass, u *unit, n *node) verdict {
	for i, peer := range u.peers {
		if peer == nil || !peer.on(n) {
			return no("does not have", "do not have", string(u.spec.MachineOf[i]))
		}
	}
	return yes()
}

func checkNear(_ *pass, u *unit, n *node) verdict {
	for _, glob := range u.near {
		if glob.means.other(n, u) == nil {
			return no("does not have", "do not have", glob.text)
		}
	}
	return yes()
}

// checkConflicts looks from both sides: it does not matter which names which.
// Nodes that a unit cannot have for the same words in its own file are counted
// together.
func checkConflicts(_ *pass, u *unit, n *node) verdict {
	for _, glob := range u.conflicts {
		if glob.means.other(n, u) != nil {
			return no("conflicts with", "conflict with", glob.text)
		}
	}
	for _, glob := range u.met {
		if enemy := glob.conflicting.other(n, u); enemy != nil {
			return no("conflicts with", "conflict with", string(enemy.Name))
		}
	}
	return yes()
}

// enemies names a unit on a node that a glob of the unit means.
func enemies(_ *pass, u *unit, n *node) string {
	for _, glob := range u.conflicts {
		if enemy := glob.means.other(n, u); enemy != nil && string(enemy.Name) != glob.text {
			return string(enemy.Name) + " is there"
		}
	}
	return ""
}

// checkReplaced keeps a unit from where another is that replaces it.
func checkReplaced(_ *pass, u *unit, n *node) verdict {
	for _, glob := range u.met {
		for there := range glob.replacing.on(n) {
			if there != u && !letBe(there, u) {
				return no("has what replaces it,", "have what replaces it,", string(there.Name))
			}
		}
	}
	return yes()
}

// checkCPU lets no node be promised more than it has. A unit stays on a node
// that has not said what it has.
func checkCPU(_ *pass, u *unit, n *node) verdict {
	switch {
	case u.spec.CPU == 0 || n.milli > 0 && n.promised.CPU+u.spec.CPU <= n.milli:
		return yes()
	case n.milli == 0 && u.had(n):
		return yes()
	}
	return no("lacks", "lack", cores(u.spec.CPU)+" of CPU")
}

func freeCPU(_ *pass, _ *unit, n *node) string {
	if n.milli == 0 {
		return "it has not said what it has"
	}
	return cores(n.milli-n.promised.CPU) + " of " + cores(n.milli) + " is free"
}

func checkMemory(_ *pass, u *unit, n *node) verdict {
	switch {
	case u.spec.Memory == 0 || n.bytes > 0 && n.promised.Memory+u.spec.Memory <= n.bytes:
		return yes()
	case n.bytes == 0 && u.had(n):
		return yes()
	}
	return no("lacks", "lack", size(u.spec.Memory)+" of memory")
}

func freeMemory(_ *pass, _ *unit, n *node) string {
	if n.bytes == 0 {
		return "it has not said what it has"
	}
	return size(n.bytes-n.promised.Memory) + " of " + size(n.bytes) + " is free"
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
	const reasonsMax = 4
	class := p.classOf(u)
	counts := maps.Clone(class.rejected)
	for _, t := range class.tiers {
		for _, n := range t.nodes {
			if v := p.first(p.filters.dynamic, u, n); !v.ok && !u.on(n) {
				counts[v]++
			}
		}
	}
	have := 0
	if u.spec.Global {
		have = len(u.at)
		for _, n := range u.at { // a lost node keeps its global units
			if v := p.first(p.filters.static, u, n); !v.ok {
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
		if rest := len(reasons) - i; i == reasonsMax-1 && rest > 1 {
			return fmt.Sprintf("%s, and %d other reasons", text, rest)
		}
		text += []string{": ", ", "}[min(i, 1)] + r.text
	}
	return text
}
