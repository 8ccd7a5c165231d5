package unitfile

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"argosy/internal/cluster"
)

// Placing is what a unit asks of the node it runs on: the options of [X-Fleet]
// and [X-Argosy], specifiers expanded. Lists are sorted and hold nothing twice,
// so that equal demands are equal values. The zero value asks for nothing.
type Placing struct {
	// Global asks for a copy on every node that the other options allow.
	Global bool
	// MachineID is the one node that may run the unit: all 32 digits of its
	// ID or the first 8, "" for any.
	MachineID string
	// MachineOf are units that must be placed on the same node, all of them.
	MachineOf []cluster.UnitName
	// Metadata are demands on the labels of the node, by key: all must be met.
	Metadata []Requirement
	// Conflicts are globs (path.Match) of unit names that must not be on the
	// same node. Either side's glob forbids; a unit's own name is skipped.
	Conflicts []string
	// Replaces are globs of units that leave the node when this one comes.
	Replaces []string

	// Replicas is how many instances of a template start makes, 0 if the file
	// does not say.
	Replicas int
	// CPU is what a node promises the unit, in thousandths of a core, and Memory
	// in bytes; 0 is nothing.
	CPU, Memory int64
	// Require are label expressions that must hold on the node, all of them.
	Require []Requirement
	// Prefer are label expressions that a node should meet.
	Prefer []Preference
	// Spread are the failure domains of a template's instances.
	Spread []Domain
	// Near are units that must (or should) be on the same node, at least one of
	// each glob; Away are units that must not, or should not. Away holds both
	// ways, as Conflicts does, unless it is a wish.
	Near, Away []Peers
	// Priority decides who is placed first, and who may push whom off a node.
	Priority int

	// Restarts is set if the unit's own Restart= has it run again after any
	// failure, except one with an exit code of FinalExits.
	Restarts   bool
	FinalExits []int
}

// Limits on the options of [X-Fleet]. Placing compares units with units, so its
// cost grows with the square of how many values there are.
const (
	OptionValuesMax = 64  // values of one option
	OptionValueMax  = 512 // bytes of one value, specifiers expanded
)

// PlacingOf reads the placing options of a unit and says what is wrong with
// them. What could be understood is in the Placing even then.
//
// In a template, values that depend on the instance are not judged: Check of
// the instance does that.
func PlacingOf(name cluster.UnitName, f *File) (Placing, []Finding) {
	o := options{name: name, file: f, lines: map[string]int{}, demands: map[string][]demand{}}
	p := Placing{
		Global:    o.global(),
		MachineID: o.machineID(),
		MachineOf: o.machineOf(),
		Metadata:  o.metadata(),
		Conflicts: o.globs(keyConflicts),
		Replaces:  o.globs(keyReplaces),
	}
	o.argosy(&p)
	p.Restarts, p.FinalExits = restarts(f)
	o.combinations(p)
	o.argosyCombinations(p)
	o.contradictions()
	return p, o.report.sorted()
}

// restarts reads the policy of systemd.service(5) that says when to start a
// service again.
func restarts(f *File) (always bool, final []int) {
	switch f.Value("Service", "Restart") {
	case "always", "on-failure":
	default:
		return false, nil
	}
	for _, a := range f.Lookup("Service", "RestartPreventExitStatus") {
		for _, text := range strings.Fields(a.Value) {
			// Names of signals and of codes stand there too; those are tried again.
			if code, err := strconv.Atoi(text); err == nil {
				final = append(final, code)
			}
		}
	}
	return true, final
}

// options reads the options of one unit.
type options struct {
	name   cluster.UnitName
	file   *File
	report report
	lines  map[string]int // where each option is first set
	// demands are what is demanded of each label.
	demands map[string][]demand
}

// word is one word of an option's value, specifiers expanded.
type word struct {
	text string
	line int
	// vague is set in a template if the text depends on the instance.
	vague bool
}

// words returns the words of an option: those of its legacy spellings as well,
// which fleet simply added, except for MachineID (see there).
func (o *options) words(name string) []word {
	var all []word
	for _, spelling := range append([]string{name}, legacy(name)...) {
		for _, a := range o.file.Lookup(SectionFleet, spelling) {
			all = append(all, o.split(spelling, a)...)
		}
	}
	return o.limit(name, all)
}

// limit notes where an option is first set, and refuses too many values.
func (o *options) limit(name string, all []word) []word {
	if len(all) > 0 {
		o.lines[name] = all[0].line
	}
	if len(all) > OptionValuesMax {
		o.report.errorf(all[OptionValuesMax].line, "use a glob, or a label", "%s= has %d values; the limit is %d", name, len(all), OptionValuesMax)
		all = all[:OptionValuesMax]
	}
	return all
}

// split takes the value of an assignment apart into words.
func (o *options) split(name string, a Assignment) []word {
	texts, err := SplitWords(a.Value, Retain)
	if err != nil {
		o.report.errorf(a.Line, "", "%s=%s: %v", name, clip(a.Value, quoteMax), err)
		return nil
	}
	var all []word
	for _, text := range texts {
		if w, ok := o.expand(name, a, text); ok {
			all = append(all, w)
		}
	}
	return all
}

// expand expands the specifiers of a text that is, or is part of, the value of
// an assignment.
func (o *options) expand(name string, a Assignment, text string) (w word, ok bool) {
	expanded, err := Expand(o.name, text)
	switch {
	case err != nil:
		o.report.errorf(a.Line, cluster.HintOf(err), "%s=%s: %v", name, clip(a.Value, quoteMax), err)
		return word{}, false
	case len(expanded) > OptionValueMax:
		o.report.errorf(a.Line, "", "%s= has a value of %d bytes; the limit is %d", name, len(expanded), OptionValueMax)
		return word{}, false
	}
	return word{text: expanded, line: a.Line, vague: o.name.IsTemplate() && dependsOnInstance(text)}, true
}

// dependsOnInstance reports whether a text has a specifier that differs between
// the instances of a template.
func dependsOnInstance(text string) bool {
	text = strings.ReplaceAll(text, "%%", "")
	return slices.ContainsFunc([]string{"%n", "%N", "%i", "%I"}, func(s string) bool { return strings.Contains(text, s) })
}

// global reads Global=; the last value wins.
func (o *options) global() bool {
	words := o.words(keyGlobal)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	yes, err := ParseBool(last.text)
	if err != nil && !last.vague {
		o.report.errorf(last.line, cluster.HintOf(err), "%s=: %v", keyGlobal, err)
	}
	return yes
}

// machineID reads MachineID=. Only the first value counts, and a legacy
// spelling only without a newer one, as in fleet.
func (o *options) machineID() string {
	words := o.words(keyMachineID)
	if len(words) == 0 {
		return ""
	}
	first := words[0]
	for _, w := range words[1:] {
		if w.text != first.text {
			o.report.warnf(w.line, "", "%s=%s does not count: only the first value does, %s", keyMachineID, clip(w.text, quoteMax), clip(first.text, quoteMax))
		}
	}
	if !first.vague {
		o.checkMachineID(first)
	}
	return first.text
}

// Digits of a node ID in full, and of its short form.
const (
	idDigits      = 32
	idDigitsShort = 8
)

func (o *options) checkMachineID(w word) {
	if isNodeID(w.text) {
		return
	}
	hint := "write the 32 hexadecimal digits of a node's ID, or the first 8"
	if plain := strings.ToLower(strings.ReplaceAll(w.text, "-", "")); isNodeID(plain) {
		hint = "write it without dashes and in lower case: " + plain
	}
	o.report.errorf(w.line, hint, "%s=%s can be no node's ID", keyMachineID, clip(w.text, quoteMax))
}

func isNodeID(s string) bool {
	return (len(s) == idDigits || len(s) == idDigitsShort) && strings.Trim(s, "0123456789abcdef") == ""
}

// machineOf reads MachineOf=: exact names, no globs.
func (o *options) machineOf() []cluster.UnitName {
	var names []cluster.UnitName
	for _, w := range o.words(keyMachineOf) {
		peer := cluster.UnitName(w.text)
		names = append(names, peer)
		if w.vague {
			continue
		}
		if err := cluster.CheckUnitName(peer); err != nil {
			hint := cluster.HintOf(err)
			if cluster.CheckUnitName(peer.WithDefaultType()) == nil {
				hint = "write the full name: " + string(peer.WithDefaultType())
			}
			o.report.errorf(w.line, hint, "%s=: %v", keyMachineOf, err)
			continue
		}
		switch {
		case peer == o.name:
			o.report.errorf(w.line, "name the unit that it is to follow", "%s=%s is the unit itself", keyMachineOf, peer)
		case peer.IsTemplate():
			o.report.errorf(w.line, "name an instance of it", "%s=%s is a template, which is never placed", keyMachineOf, peer)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// metadata reads MachineMetadata=: pairs of one key are alternatives. fleet
// ignored a pair that it could not take apart, and the unit ran anywhere; here
// it is an error.
func (o *options) metadata() []Requirement {
	var all []Requirement
	line, vague := map[string]int{}, map[string]bool{} // by key
	for _, w := range o.words(keyMachineMetadata) {
		key, value, found := strings.Cut(w.text, "=")
		if !found || key == "" || value == "" && !w.vague || strings.Contains(value, "=") {
			o.report.errorf(w.line, `write key=value; with blanks in it, quote the whole pair: "name=two words"`,
				"%s=: %s is not a pair of key and value", keyMachineMetadata, quote(w.text))
			continue
		}
		all = append(all, Requirement{Key: key, Values: []string{value}})
		line[key], vague[key] = w.line, vague[key] || w.vague
	}
	all = mergeRequirements(all)
	for _, r := range all {
		o.demand(keyMachineMetadata, word{line: line[r.Key], vague: vague[r.Key]}, r)
	}
	return all
}

// mergeRequirements makes one sorted requirement for each key.
func mergeRequirements(all []Requirement) []Requirement {
	slices.SortStableFunc(all, func(a, b Requirement) int { return strings.Compare(a.Key, b.Key) })
	var merged []Requirement
	for _, next := range all {
		if last := len(merged) - 1; last >= 0 && merged[last].Key == next.Key {
			merged[last].Values = append(merged[last].Values, next.Values...)
			continue
		}
		merged = append(merged, next)
	}
	for i := range merged {
		slices.Sort(merged[i].Values)
		merged[i].Values = slices.Compact(merged[i].Values)
	}
	return merged
}

// globs reads an option that holds globs of unit names.
func (o *options) globs(name string) []string {
	var globs []string
	for _, w := range o.words(name) {
		if o.isGlob(name, w) {
			globs = append(globs, w.text)
		}
	}
	slices.Sort(globs)
	return slices.Compact(globs)
}

// isGlob refuses what is no glob, and warns of one that can match nothing.
func (o *options) isGlob(name string, w word) bool {
	if _, err := path.Match(w.text, ""); err != nil || w.text == "" {
		o.report.errorf(w.line, "globs know * ? [a-z] and \\ before a character that stands for itself", "%s=%s is not a glob", name, quote(w.text))
		return false
	}
	if !w.vague && !isPattern(w.text) && cluster.UnitName(w.text).Type() == "" {
		o.report.warnf(w.line, "write "+w.text+".service", "%s=%s matches no unit: unit names have a type", name, clip(w.text, quoteMax))
	}
	return true
}

// combinations refuses what fleet refused: options that cannot be obeyed
// together.
func (o *options) combinations(p Placing) {
	if !p.Global {
		delete(o.lines, keyGlobal) // Global=no combines with everything
	}
	for _, pair := range [][2]string{
		{keyMachineID, keyMachineOf},
		{keyMachineID, keyConflicts},
		{keyMachineID, keyGlobal},
		{keyMachineID, keyReplaces},
		{keyGlobal, keyMachineOf},
		{keyGlobal, keyReplaces},
		{keyConflicts, keyReplaces},
	} {
		first, second := o.lines[pair[0]], o.lines[pair[1]]
		if first > 0 && second > 0 {
			o.report.errorf(max(first, second), "take one of them out", "%s= cannot be combined with %s=", pair[0], pair[1])
		}
	}
	o.ownPeers(p.MachineOf, p.Conflicts, keyConflicts)
	o.ownPeers(p.MachineOf, p.Replaces, keyReplaces)
}

// ownPeers refuses a unit that wants to be with another and keeps it away.
func (o *options) ownPeers(peers []cluster.UnitName, globs []string, option string) {
	for _, peer := range peers {
		for _, glob := range globs {
			if match, _ := path.Match(glob, string(peer)); match {
				o.selfDefeating(keyMachineOf, string(peer), option, glob)
			}
		}
	}
}

// selfDefeating says that one option asks for what another forbids.
func (o *options) selfDefeating(wants, peer, forbids, glob string) {
	if o.report.full(SeverityError) {
		return
	}
	o.report.errorf(max(o.lines[wants], o.lines[forbids]), "take one of them out",
		"%s=%s is matched by the unit's own %s=%s", wants, clip(peer, quoteMax), forbids, clip(glob, quoteMax))
}
