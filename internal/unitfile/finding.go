package unitfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// Error is a reason why a text is no unit file.
type Error struct {
	File   string // as given to Parse
	Line   int    // counted from 1; of a continued line, the first
	Reason string
	Hint   string // what to do about it, or ""
}

// Error returns "file:line: reason (hint)".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d: %s%s", e.File, e.Line, e.Reason, inParentheses(e.Hint))
}

func inParentheses(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}

// Severity says whether a finding keeps a unit out of the cluster.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the unit is refused
	SeverityWarning Severity = "warning" // the unit is taken; its author should know
)

// Finding is one thing that Check has to say of a unit.
type Finding struct {
	// Line is counted from 1; 0 means the unit's name.
	Line     int      `json:"line,omitempty"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String returns "line 3: warning: message (hint)".
func (f Finding) String() string {
	where := "name"
	if f.Line > 0 {
		where = fmt.Sprintf("line %d", f.Line)
	}
	return fmt.Sprintf("%s: %s: %s%s", where, f.Severity, f.Message, inParentheses(f.Hint))
}

// FindingsMax is how many errors, and how many warnings, Check reports of one
// unit: a file of another kind is one mistake, not a hundred thousand.
const FindingsMax = 100

// Refusal returns an Invalid error that names every error among the findings,
// with file and line, or nil if there is none: warnings refuse nothing. The
// hint is that of the first error.
func Refusal(name cluster.UnitName, findings []Finding) error {
	var lines []string
	var hint string
	for _, f := range findings {
		if f.Severity != SeverityError {
			continue
		}
		if len(lines) == 0 {
			hint = f.Hint
		}
		where := string(name)
		if f.Line > 0 {
			where = fmt.Sprintf("%s:%d", name, f.Line)
		}
		lines = append(lines, where+": "+f.Message)
	}
	if len(lines) == 0 {
		return nil
	}
	return cluster.Errorf(cluster.Invalid, "%s", strings.Join(lines, "\n")).WithHint(hint)
}

// report collects findings, up to FindingsMax of each severity: a flood of
// warnings must not push out the error that refuses the unit.
type report struct {
	findings         []Finding
	errors, warnings int
}

func (r *report) add(count *int, f Finding) {
	*count++
	switch {
	case *count < FindingsMax:
		f.Message = clip(f.Message, messageMax)
		r.findings = append(r.findings, f)
	case *count == FindingsMax:
		r.findings = append(r.findings, Finding{Line: f.Line, Severity: f.Severity, Message: "and more from here on"})
	}
}

func (r *report) errorf(line int, hint, format string, args ...any) {
	r.add(&r.errors, Finding{Line: line, Severity: SeverityError, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *report) warnf(line int, hint, format string, args ...any) {
	r.add(&r.warnings, Finding{Line: line, Severity: SeverityWarning, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// full reports whether no more findings of a severity would be kept, so that
// nothing need be looked for.
func (r *report) full(s Severity) bool {
	if s == SeverityError {
		return r.errors >= FindingsMax
	}
	return r.warnings >= FindingsMax
}

// sorted returns the findings in the order of lines, errors first.
func (r *report) sorted() []Finding {
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(r.findings)
}

// Limits on what is quoted from a file: a message is for a terminal.
const (
	messageMax = 400 // bytes
	quoteMax   = 60  // bytes
)

// clip shortens a text that is shown to a person, at a rune's border.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit] + "…"
}

// quote returns what a file says in quotes, shortened.
func quote(s string) string { return fmt.Sprintf("%q", clip(s, quoteMax)) }
