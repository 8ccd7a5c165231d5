package unitfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// seeds are the corpus and texts with a point of their own.
func seeds(f *testing.F) []string {
	f.Helper()
	files, err := filepath.Glob("testdata/corpus/*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	texts := []string{
		"", "\n", "\\", "\\\n", "[", "[]", "[a]\n\\\n#\n", "[S]\nK=a\\\n\r\n#c\\\nb", "[S]\r\nK=a\r\r\n\n\rK=b\r",
		"[S]\nK=\n=\n", "\xef\xbb\xbf[S]\n", "[S]\nK=\xff\n", "K=1\n[S", "[X-Fleet]\nGlobal=%%\nMachineOf=%i %", "[S]\nK=a\\\\\\\\\\\nb",
		"[X-Fleet]\nConflicts=[ \\ \"\nMachineMetadata==\nMachineID=-\nReplaces=*\n",
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// FuzzParse: Parse never panics; what it takes prints as it was, and what it
// refuses has a line and a reason.
func FuzzParse(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := unitfile.Parse("x.service", text)
		if err != nil {
			var typed *unitfile.Error
			if !errors.As(err, &typed) || typed.Line < 1 || typed.Reason == "" || typed.Line > len(text)+1 {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if got := file.String(); got != string(text) {
			t.Fatalf("printed as %q", got)
		}
		previous := 0
		for _, section := range file.Sections() {
			for _, a := range file.Assignments(section) {
				if a.Line < 1 || a.Key == "" || strings.TrimSpace(a.Key) == "" || strings.ContainsAny(a.Value, "\n\r") {
					t.Fatalf("assignment %#v", a)
				}
			}
			if line := file.SectionLine(section); line <= previous {
				t.Fatalf("section %q at line %d after line %d", section, line, previous)
			} else {
				previous = line
			}
		}
	})
}

// FuzzPlacing: whatever stands in [X-Fleet], PlacingOf returns sorted lists,
// and Check reports what PlacingOf reports.
func FuzzPlacing(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add("web@1.service", text)
		f.Add("web@.service", text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		unit := cluster.UnitName(name)
		checked := unitfile.Check(unit, text)
		if len(checked) > 2*unitfile.FindingsMax {
			t.Fatalf("%d findings", len(checked))
		}
		for _, finding := range checked {
			if finding.Line < 0 || finding.Message == "" || finding.Line == 0 && cluster.CheckUnitName(unit) == nil {
				t.Fatalf("finding %#v", finding)
			}
		}
		file, err := unitfile.Parse(name, []byte(text))
		if err != nil {
			if unitfile.Refusal(unit, checked) == nil {
				t.Fatalf("Parse says %v, Check nothing", err)
			}
			return
		}
		p, findings := unitfile.PlacingOf(unit, file)
		if unitfile.Refusal(unit, findings) != nil && unitfile.Refusal(unit, checked) == nil {
			t.Fatalf("PlacingOf says %v, Check nothing", findings)
		}
		for _, list := range [][]string{p.Conflicts, p.Replaces} {
			if !isSortedSet(list) {
				t.Fatalf("globs %q", list)
			}
		}
		if !isSortedSet(p.MachineOf) || !slices.IsSortedFunc(p.Metadata, func(a, b unitfile.Requirement) int { return strings.Compare(a.Key, b.Key) }) {
			t.Fatalf("placing %#v", p)
		}
		for _, r := range p.Metadata {
			if r.Key == "" || len(r.Values) == 0 || !isSortedSet(r.Values) {
				t.Fatalf("requirement %#v", r)
			}
		}
	})
}

func isSortedSet[T ~string](list []T) bool {
	return slices.IsSorted(list) && len(slices.Compact(slices.Clone(list))) == len(list)
}

// FuzzExpandNames: whatever it returns is legal, distinct and bounded.
func FuzzExpandNames(f *testing.F) {
	for _, arg := range []string{"web", "web@{1..3}.service", "{a,b}{,c}", "{{a,b},{1..2}}", "{01..10..3}", "{z..a}", "{", "}", "{}", "{,}", "{..}", "{1..}", "a,b", "{a{b}c}", "{1..999}{1..2}"} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		names, err := unitfile.ExpandNames(arg)
		if err != nil {
			if cluster.KindOf(err) != cluster.Invalid || len(names) > 0 {
				t.Fatalf("%v with %d names", err, len(names))
			}
			return
		}
		seen := map[cluster.UnitName]bool{}
		for _, name := range names {
			if err := cluster.CheckUnitName(name); err != nil || seen[name] {
				t.Fatalf("name %q: %v, seen %v", name, err, seen[name])
			}
			seen[name] = true
		}
		if len(names) == 0 || len(names) > unitfile.NamesMax {
			t.Fatalf("%d names", len(names))
		}
	})
}
