package unitfile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"argosy/internal/cluster"
)

// What [X-Argosy] asks of placing. A leading "-" makes a demand a wish, as it
// makes a failure of ExecStart= one that does not count.

// Peers are units that this one wants to be near to, or away from.
type Peers struct {
	Glob string // of unit names (path.Match); the unit's own name is skipped
	Soft bool   // a wish
}

// Domain is a label whose values are failure domains over which the instances
// of a template are spread.
type Domain struct {
	Label string
	Soft  bool // a wish
}

// Preference is a wish for labels.
type Preference struct {
	Weight int // 1 to PreferenceMax
	Labels []Requirement
}

// Limits on the options of [X-Argosy].
const (
	ReplicasMax   = 10_000
	PriorityMax   = 1000 // and -PriorityMax
	PreferenceMax = 100
)

// assigned returns the values of an option of [X-Argosy], specifiers expanded
// and not taken apart.
func (o *options) assigned(name string) []word {
	var all []word
	for _, a := range o.file.Lookup(SectionArgosy, name) {
		if w, ok := o.expand(name, a, a.Value); ok {
			all = append(all, w)
		}
	}
	return o.limit(name, all)
}

// last returns the last value of an option, for those that have one.
func (o *options) last(name string) (word, bool) {
	all := o.assigned(name)
	if len(all) == 0 {
		return word{}, false
	}
	return all[len(all)-1], true
}

// list returns the words of an option of [X-Argosy].
func (o *options) list(name string) []word {
	var all []word
	for _, a := range o.file.Lookup(SectionArgosy, name) {
		all = append(all, o.split(name, a)...)
	}
	return o.limit(name, all)
}

// number reads a whole number within limits; def if the option is not set.
func (o *options) number(name string, least, most int) int {
	w, set := o.last(name)
	if !set {
		return 0
	}
	n, err := strconv.Atoi(w.text)
	if (err != nil || n < least || n > most) && !w.vague {
		o.report.errorf(w.line, "", "%s=%s: write a whole number from %d to %d", name, clip(w.text, quoteMax), least, most)
		return 0
	}
	return n
}

// require reads Require=: all expressions of all lines must hold.
func (o *options) require() []Requirement {
	var all []Requirement
	for _, w := range o.assigned(keyRequire) {
		demanded := o.requirements(keyRequire, w)
		all = append(all, demanded...)
		o.demand(keyRequire, w, demanded...)
	}
	slices.SortFunc(all, compareRequirements)
	return slices.CompactFunc(all, func(a, b Requirement) bool { return compareRequirements(a, b) == 0 })
}

func compareRequirements(a, b Requirement) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Op, b.Op), slices.Compare(a.Values, b.Values))
}

func (o *options) requirements(name string, w word) []Requirement {
	all, err := ParseRequirements(w.text)
	if err != nil && !w.vague {
		o.report.errorf(w.line, cluster.HintOf(err), "%s=: %v", name, err)
	}
	return all
}

// prefer reads Prefer=: each line is a wish, with a weight before it or not.
func (o *options) prefer() []Preference {
	var all []Preference
	for _, w := range o.assigned(keyPrefer) {
		p := Preference{Weight: 1}
		if first, rest, found := strings.Cut(w.text, " "); found && strings.Trim(first, "0123456789") == "" {
			weight, err := strconv.Atoi(first)
			if err != nil || weight < 1 || weight > PreferenceMax {
				o.report.errorf(w.line, "", "%s=%s: a weight is from 1 to %d", keyPrefer, clip(w.text, quoteMax), PreferenceMax)
				continue
			}
			p.Weight, w.text = weight, rest
		}
		if p.Labels = o.requirements(keyPrefer, w); len(p.Labels) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// spread reads Spread=: labels, each a wish or not.
func (o *options) spread() []Domain {
	var all []Domain
	for _, w := range o.list(keySpread) {
		label, soft := strings.CutPrefix(w.text, "-")
		if !IsLabelKey(label) && !w.vague {
			o.report.errorf(w.line, "write for instance Spread=zone", "%s=%s: a label's key has letters, digits and _ . - /", keySpread, clip(w.text, quoteMax))
			continue
		}
		all = append(all, Domain{label, soft})
	}
	return all
}

// peers reads Near= or Away=.
func (o *options) peers(name string) []Peers {
	var all []Peers
	for _, w := range o.list(name) {
		glob, soft := strings.CutPrefix(w.text, "-")
		if !o.isGlob(name, word{glob, w.line, w.vague}) {
			continue
		}
		all = append(all, Peers{glob, soft})
		if name == keyNear && !soft && !w.vague {
			o.checkNeighbour(cluster.UnitName(glob), w.line)
		}
	}
	slices.SortFunc(all, func(a, b Peers) int {
		return cmp.Or(cmp.Compare(a.Glob, b.Glob), compareBools(a.Soft, b.Soft))
	})
	return slices.Compact(all)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// memory reads the request for memory: Memory= where it is given, otherwise
// what the unit may use at most.
func (o *options) memory() int64 {
	for _, source := range o.requestSources(keyMemory, "MemoryMax", "MemoryHigh") {
		bytes, err := parseMemory(source.text)
		switch {
		case err == nil:
			return bytes
		case source.own:
			o.report.errorf(source.line, cluster.HintOf(err), "%s=: %v", keyMemory, err)
		}
		// systemd knows what else may stand there, such as a part of the
		// machine's memory, which is no request.
	}
	return 0
}

// cpu reads the request for CPU, in thousandths of a core.
func (o *options) cpu() int64 {
	for _, source := range o.requestSources(keyCPU, "CPUQuota") {
		milli, err := parseCPU(source.text)
		switch {
		case err == nil:
			return milli
		case source.own:
			o.report.errorf(source.line, cluster.HintOf(err), "%s=: %v", keyCPU, err)
		}
	}
	return 0
}

// source is where a request may stand.
type source struct {
	word
	own bool // it is ours, not systemd's
}

// requestSources returns the values that may hold a request: ours, then those
// of systemd's settings.
func (o *options) requestSources(name string, settings ...string) []source {
	if w, set := o.last(name); set {
		return []source{{w, !w.vague}}
	}
	var all []source
	for _, setting := range settings {
		if value := o.file.Value(ownSection(o.name.Type()), setting); value != "" {
			all = append(all, source{word{text: value}, false})
		}
	}
	return all
}

// argosy reads the options of [X-Argosy].
func (o *options) argosy(p *Placing) {
	p.Replicas = o.number(keyReplicas, 0, ReplicasMax)
	p.Priority = o.number(keyPriority, -PriorityMax, PriorityMax)
	p.CPU, p.Memory = o.cpu(), o.memory()
	p.Require, p.Prefer, p.Spread = o.require(), o.prefer(), o.spread()
	p.Near, p.Away = o.peers(keyNear), o.peers(keyAway)
}

// argosyCombinations refuses what cannot be obeyed together.
func (o *options) argosyCombinations(p Placing) {
	if line := o.lines[keyReplicas]; line > 0 && !o.name.IsTemplate() && o.name.Template() == "" {
		o.report.errorf(line, "submit the file as "+o.name.Stem()+"@."+o.name.Type(), "%s= belongs in a template", keyReplicas)
	}
	if p.Global {
		for _, name := range []string{keyReplicas, keyPrefer, keySpread, keyNear} {
			if line := o.lines[name]; line > 0 {
				o.report.errorf(max(line, o.lines[keyGlobal]), "take one of them out", "%s= cannot be combined with %s=: a global unit takes every node that it may", keyGlobal, name)
			}
		}
	}
	away := demanded(p.Away)
	o.ownPeers(p.MachineOf, away, keyAway)
	for _, near := range demanded(p.Near) {
		for _, forbids := range []struct {
			option string
			globs  []string
		}{{keyAway, away}, {keyConflicts, p.Conflicts}, {keyReplaces, p.Replaces}} {
			for _, glob := range forbids.globs {
				if covers(glob, near) {
					o.selfDefeating(keyNear, near, forbids.option, glob)
				}
			}
		}
	}
}

// demanded returns the globs that are no wishes.
func demanded(peers []Peers) []string {
	var globs []string
	for _, p := range peers {
		if !p.Soft {
			globs = append(globs, p.Glob)
		}
	}
	return globs
}

// checkNeighbour refuses a neighbour that can never be there.
func (o *options) checkNeighbour(peer cluster.UnitName, line int) {
	switch {
	case isPattern(string(peer)):
	case peer == o.name:
		o.report.errorf(line, "name the unit that it is to be near to", "%s=%s is the unit itself, which does not count", keyNear, clip(string(peer), quoteMax))
	case peer.IsTemplate():
		o.report.errorf(line, "for any instance of it, write "+string(peer.Instantiate("*")),
			"%s=%s is a template, which is never placed", keyNear, clip(string(peer), quoteMax))
	}
}
