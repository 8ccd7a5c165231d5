package unitfile

import (
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// Check says everything that is wrong with a unit as submitted, in the order of
// its lines. A unit with a finding of SeverityError must be refused (Refusal
// makes the error of it); warnings are for its author.
//
// What makes systemd itself refuse a unit is an error here too, so that it is
// heard of at once and not from the node on which it failed.
func Check(name cluster.UnitName, text string) []Finding {
	var r report
	checkName(&r, name)
	f, errs := scan(string(name), []byte(text))
	for _, err := range errs {
		r.errorf(err.Line, err.Hint, "%s", err.Reason)
	}
	if f == nil {
		return r.sorted()
	}
	checkSections(&r, name, f)
	checkKeys(&r, f)
	_, findings := PlacingOf(name, f)
	r.merge(findings)
	_, findings = PublishedBy(name, f)
	r.merge(findings)
	// A malformed line may be the very one that is missed.
	if len(errs) == 0 {
		checkContent(&r, name, f)
	}
	return r.sorted()
}

// merge takes the findings of another report over.
func (r *report) merge(findings []Finding) {
	for _, f := range findings {
		if f.Severity == SeverityError {
			r.errorf(f.Line, f.Hint, "%s", f.Message)
		} else {
			r.warnf(f.Line, f.Hint, "%s", f.Message)
		}
	}
}

// quadletTypes are the suffixes of Quadlet files.
func quadletTypes() []string {
	return []string{"container", "pod", "volume", "network", "kube", "image", "build"}
}

func checkName(r *report, name cluster.UnitName) {
	err := cluster.CheckUnitName(name)
	if err == nil {
		return
	}
	hint := cluster.HintOf(err)
	suffix := string(name)[strings.LastIndexByte(string(name), '.')+1:]
	if slices.Contains(quadletTypes(), suffix) {
		hint = "Quadlet files are not supported by this version; submit what podman's quadlet makes of it"
	}
	r.errorf(0, hint, "%v", err)
}

// ownSection returns the section that units of a type have to themselves
// ("Service"), or "" if the type is not known.
func ownSection(unitType string) string {
	if unitType == "" {
		return ""
	}
	return strings.ToUpper(unitType[:1]) + unitType[1:]
}

// checkSections looks for sections that systemd will ignore in such a unit.
func checkSections(r *report, name cluster.UnitName, f *File) {
	own := ownSection(name.Type())
	known := []string{"Unit", "Install", own, SectionFleet, SectionArgosy}
	seen := map[string]bool{}
	for _, it := range f.items {
		if it.kind != header || seen[it.section] || slices.Contains(known, it.section) || r.full(SeverityWarning) {
			continue
		}
		seen[it.section] = true
		section, line, near := it.section, it.line, nearest(it.section, known)
		hint := ""
		if near != "" {
			hint = "did you mean [" + near + "]?"
		}
		switch {
		case strings.HasPrefix(section, "X-") && near == "":
			// Somebody else's notes, which systemd leaves alone as well.
		case near == SectionFleet || near == SectionArgosy:
			r.warnf(line, hint, "section [%s] is read by nobody", clip(section, quoteMax))
		case own == "":
			// The name is refused; what belongs into the file is not known.
		case isOwnSection(section):
			r.warnf(line, "a ."+strings.ToLower(section)+" unit is a file of its own", "section [%s] is ignored in a .%s unit", section, name.Type())
		case slices.Contains(quadletTypes(), strings.ToLower(section)):
			r.warnf(line, "it belongs in a Quadlet file", "section [%s] is ignored in a .%s unit", section, name.Type())
		default:
			r.warnf(line, hint, "section [%s] is not known to systemd, which will ignore it", clip(section, quoteMax))
		}
	}
}

// isOwnSection reports whether units of some type have the section to themselves.
func isOwnSection(section string) bool {
	return slices.ContainsFunc(cluster.UnitTypes(), func(t string) bool { return ownSection(t) == section })
}
