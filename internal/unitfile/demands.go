package unitfile

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"sort"
	"strings"
)

// What a unit asks for must be possible: a unit that forbids itself what it
// demands would wait for ever, for a reason that only its author can remove.

// demand is a requirement with where it stands.
type demand struct {
	Requirement
	option string
	line   int
}

// demand notes what an option requires of labels. In a template, what depends on
// the instance is judged with the instance.
func (o *options) demand(option string, w word, all ...Requirement) {
	if w.vague {
		return
	}
	for _, r := range all {
		o.demands[r.Key] = append(o.demands[r.Key], demand{r, option, w.line})
	}
}

// contradictions refuses demands on a label that nothing can meet together.
func (o *options) contradictions() {
	for _, key := range slices.Sorted(maps.Keys(o.demands)) {
		if wrong := contradiction(o.demands[key]); len(wrong) > 0 {
			o.contradict(wrong)
		}
	}
}

func (o *options) contradict(wrong []demand) {
	line, texts := 0, make([]string, 0, len(wrong))
	for _, d := range wrong {
		line = max(line, d.line)
		texts = append(texts, fmt.Sprintf("%s=%s", d.option, clip(d.String(), quoteMax)))
	}
	both, hint := "", "take one of them out"
	if len(wrong) == 2 {
		both = "both "
		if wrong[0].Op == In && wrong[1].Op == In {
			hint = fmt.Sprintf("for either of them, write Require=%s in (a, b)", clip(wrong[0].Key, quoteMax))
		}
	}
	o.report.errorf(line, hint, "no node can meet %s%s", both, strings.Join(texts, " and "))
}

// contradiction returns demands on one label that cannot all be met: two, if the
// first that is too much contradicts another by itself; none if all can be met.
func contradiction(all []demand) []demand {
	// Never the cost of all pairs: a file may demand thousands of things.
	last := sort.Search(len(all), func(i int) bool { return !Satisfiable(requirementsOf(all[:i+1])) })
	if last == len(all) {
		return nil
	}
	for _, d := range all[:last] {
		if pair := []demand{d, all[last]}; !Satisfiable(requirementsOf(pair)) {
			return pair
		}
	}
	return all[:last+1]
}

func requirementsOf(demands []demand) []Requirement {
	all := make([]Requirement, 0, len(demands))
	for _, d := range demands {
		all = append(all, d.Requirement)
	}
	return all
}

// Satisfiable reports whether there can be a node that meets all of some
// requirements on one label: a value of the label that does, or its absence.
func Satisfiable(all []Requirement) bool {
	if allMet(all, "", false) {
		return true
	}
	limits := interval{low: math.Inf(-1), high: math.Inf(1)}
	for _, r := range all {
		switch r.Op {
		case In: // nothing else comes into question
			return slices.ContainsFunc(r.Values, func(value string) bool { return allMet(all, value, true) })
		case Absent:
			return false
		case NotIn, Exists:
			// There are more values than any list has; of one number, too, since
			// it can be written with more and more zeros.
		case AtLeast, AtMost, More, Less:
			limits.narrow(r)
		}
	}
	return !limits.empty()
}

// allMet reports whether a label's value, or that it is not there, meets all
// requirements on it.
func allMet(all []Requirement, value string, there bool) bool {
	label := func(string) (string, bool) { return value, there }
	return !slices.ContainsFunc(all, func(r Requirement) bool { return !r.Met(label) })
}

// interval is the numbers that comparisons leave.
type interval struct {
	low, high           float64
	aboveLow, underHigh bool // the end itself is not one of them
}

func (i *interval) narrow(r Requirement) {
	limit, err := ParseSize(r.Values[0])
	if err != nil {
		return // not a requirement that ParseRequirements makes
	}
	switch strict := r.Op == More || r.Op == Less; r.Op {
	case AtLeast, More:
		if limit > i.low || limit == i.low && strict {
			i.low, i.aboveLow = limit, strict
		}
	case AtMost, Less:
		if limit < i.high || limit == i.high && strict {
			i.high, i.underHigh = limit, strict
		}
	case In, NotIn, Exists, Absent:
	}
}

func (i *interval) empty() bool {
	return i.low > i.high || i.low == i.high && (i.aboveLow || i.underHigh)
}

// isPattern reports whether a glob may match more than one name.
func isPattern(glob string) bool { return strings.ContainsAny(glob, `*?[\`) }

// covers reports whether a glob surely matches every name that another glob, or
// name, matches. Of two that only overlap it says no.
func covers(outer, inner string) bool {
	if !isPattern(inner) || !strings.ContainsAny(outer, `?[\`) && !strings.Contains(inner, "[") {
		// Of the second kind, "*" in outer stands for any part of inner, also for
		// one that is a pattern, and everything else for itself.
		match, _ := path.Match(outer, inner)
		return match
	}
	return outer == inner
}
