package unitfile_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// drawText makes a text of pieces that mean something to the parser.
func drawText(t *rapid.T) string {
	pieces := []string{
		"[S]", "[T]", "[X-Fleet]", "K=", "K=a", "L = b c", "# c", " ; c", "\\", "\\\\", "\n", "\n", "\n", "\r\n", "\r", " ", "\t", "x", "=", "é", "[", "]",
		"Conflicts=", "*.service", "\"", "%i",
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), "")
}

func TestWhatIsParsedPrintsAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		if f, err := unitfile.Parse("x.service", []byte(text)); err == nil && f.String() != text {
			t.Fatalf("%q printed as %q", text, f.String())
		}
	})
}

// Values are those of a much simpler reader: one that joins continued lines
// first and looks at one line at a time afterwards.
func TestValuesAreThoseOfASimpleReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(drawText(t), "\r", "")
		f, err := unitfile.Parse("x.service", []byte(text))
		if err != nil {
			return
		}
		if diff := cmp.Diff(simpleValues(text, "S", "K"), f.Values("S", "K")); diff != "" {
			t.Fatalf("Values of %q, -simple +got:\n%s", text, diff)
		}
	})
}

func simpleValues(text, wantSection, wantKey string) []string {
	var plain []string // without comments
	for line := range strings.SplitSeq(text, "\n") {
		if trimmed := strings.TrimSpace(line); !strings.HasPrefix(trimmed, "#") && !strings.HasPrefix(trimmed, ";") {
			plain = append(plain, line)
		}
	}
	// An escaped backslash must not look like the one that continues a line.
	joined := strings.Join(plain, "\n")
	joined = strings.NewReplacer(`\\`, `\\`, "\\\n", " ").Replace(joined)
	var values []string
	section := ""
	for line := range strings.SplitSeq(joined, "\n") {
		line = strings.Trim(line, " \t")
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, `\`), "=")
		if section != wantSection || strings.Trim(key, " \t") != wantKey || !strings.Contains(line, "=") {
			continue
		}
		value = strings.Trim(value, " \t")
		if strings.HasSuffix(line, `\\`) {
			value += `\`
		}
		values = append(values, value)
		if value == "" {
			values = nil
		}
	}
	return values
}

func TestAddKeepsTheRestAndIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		f, err := unitfile.Parse("x.service", []byte(text))
		if err != nil {
			return
		}
		section := rapid.SampledFrom([]string{"S", "T", "New"}).Draw(t, "section")
		value := rapid.SampledFrom([]string{"v", "a b", `x\\`, "# no comment"}).Draw(t, "value")
		edited, err := f.Add(section, "K", value)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(f.Values(section, "K"), value), edited.Values(section, "K")); diff != "" {
			t.Fatalf("Add to %q made %q, -want +got:\n%s", text, edited, diff)
		}
		for _, other := range []string{"S", "T"} {
			if other == section {
				continue
			}
			if diff := cmp.Diff(f.Values(other, "K"), edited.Values(other, "K")); diff != "" {
				t.Fatalf("Add to [%s] of %q changed [%s] in %q:\n%s", section, text, other, edited, diff)
			}
		}
		if !containsInOrder(edited.String(), text) {
			t.Fatalf("Add to %q lost something: %q", text, edited)
		}
		again, err := edited.Set(section, "K", edited.Values(section, "K")...)
		if err != nil || !slices.Equal(again.Values(section, "K"), edited.Values(section, "K")) {
			t.Fatalf("Set of what is there made %q: %v", again, err)
		}
	})
}

// containsInOrder reports whether all bytes of part stand in s in their order.
func containsInOrder(s, part string) bool {
	for i := range len(s) {
		if part != "" && s[i] == part[0] {
			part = part[1:]
		}
	}
	return part == ""
}

func TestSplitWordsUndoesQuoting(t *testing.T) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringOf(rapid.RuneFrom([]rune("ab \t\n\"'\\%é;#")))).Draw(t, "words")
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, `"`+quote.Replace(w)+`"`)
		}
		got, err := unitfile.SplitWords(strings.Join(quoted, " "), unitfile.Unescape)
		if err != nil || !slices.Equal(got, words) {
			t.Fatalf("SplitWords(%q) = %q, %v, want %q", quoted, got, err, words)
		}
	})
}

func TestEscapedPathsAreNamesAndUnescape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z0-9:_.@\\é -]{1,8}`), 1, 4).Draw(t, "parts")
		path := "/" + strings.Join(parts, "/")
		escaped := unitfile.EscapePath(path)
		if err := cluster.CheckUnitName(cluster.UnitName("x" + escaped + ".mount")); err != nil {
			t.Fatal(err)
		}
		if got, err := unitfile.UnescapeName(escaped); err != nil || "/"+got != path {
			t.Fatalf("%q escaped is %q, unescaped %q, %v", path, escaped, got, err)
		}
	})
}

func TestPlacingDoesNotDependOnTheOrderOfLines(t *testing.T) {
	options := []string{
		"MachineMetadata=region=eu", "MachineMetadata=region=us", "MachineMetadata=\"disk=ssd\" zone=a", "X-ConditionMachineMetadata=zone=b",
		"Conflicts=web@*.service", "Conflicts=b.service a.service", "X-Conflicts=a.service", "MachineOf=d.service", "MachineOf=c.service",
	}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.SampledFrom(options), rapid.ID[string]).Draw(t, "options")
		shuffled := rapid.Permutation(some).Draw(t, "order")
		place := func(lines []string) unitfile.Placing {
			f, err := unitfile.Parse("x.service", []byte("[X-Fleet]\n"+strings.Join(lines, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			p, _ := unitfile.PlacingOf("x.service", f)
			return p
		}
		if diff := cmp.Diff(place(some), place(shuffled)); diff != "" {
			t.Fatalf("another order asks for something else:\n%s", diff)
		}
	})
}

func TestRangesCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, n := rapid.IntRange(0, 100000).Draw(t, "from"), rapid.IntRange(1, unitfile.NamesMax).Draw(t, "n")
		names, err := unitfile.ExpandNames(fmt.Sprintf("w@{%d..%d}", from, from+n-1))
		if err != nil || len(names) != n {
			t.Fatalf("%d names, %v, want %d", len(names), err, n)
		}
		if first, last := names[0].Instance(), names[n-1].Instance(); first != fmt.Sprint(from) || last != fmt.Sprint(from+n-1) {
			t.Fatalf("from %s to %s", first, last)
		}
	})
}

// BenchmarkCheckLargest shows that the cost of a submission grows with the size
// of its text, whatever it is made of: the shapes are of the largest size each.
func BenchmarkCheckLargest(b *testing.B) {
	for name, line := range largestShapes() {
		text := "[Service]\nExecStart=/bin/true\n[X-Fleet]\n"
		text += strings.Repeat(line, (cluster.UnitTextMax-len(text))/len(line))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				unitfile.Check("web@1.service", text)
			}
		})
	}
}

// largestShapes are lines that, repeated, would cost most if something were
// looked up again for each of them.
func largestShapes() map[string]string {
	return map[string]string{
		"sections": "[Service1]\n", "blanks": "\n", "continuations": "K=\\\n", "comments": "K=\\\n#\n", "prose": "prose\n", "unknown keys": "Conflict=a\n",
		"globs": "Conflicts=" + strings.Repeat("*a", 200) + "\n", "peers": "MachineOf=" + strings.Repeat("a", 240) + ".service\n",
		"both":       "Conflicts=" + strings.Repeat("*a", 60) + "b\nMachineOf=" + strings.Repeat("a", 200) + ".service\n",
		"specifiers": "MachineMetadata=a=" + strings.Repeat("%n", 1000) + "\n", "commands": "[Service]\nExecStop=a \"b\n", "backslashes": strings.Repeat("\\", 99) + "\n",
	}
}

// The largest submissions of every shape are judged at all, and refused or
// taken with a bounded answer.
func TestCheckOfTheLargestFiles(t *testing.T) {
	for name, line := range largestShapes() {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(line, cluster.UnitTextMax/len(line))
			if n := len(unitfile.Check("web@1.service", "[X-Fleet]\n"+text[:len(text)-len("[X-Fleet]\n")])); n > 2*unitfile.FindingsMax {
				t.Errorf("%d findings", n)
			}
		})
	}
}

// Whether anything meets some demands on a label is what trying shows.
func TestSatisfiableIsWhatTryingShows(t *testing.T) {
	words := []string{"a", "b", "c", "1", "2", "3", "2.0", "1K", "1024"}
	// Each number once more in a spelling that no demand names.
	tried := append([]string{"another", "", "0.5", "01", "1.5", "02", "2.5", "03", "3.5", "512", "01024", "2K"}, words...)
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) unitfile.Requirement {
			op := unitfile.Op(rapid.IntRange(int(unitfile.In), int(unitfile.Less)).Draw(t, "op"))
			r := unitfile.Requirement{Key: "k", Op: op}
			switch op {
			case unitfile.In, unitfile.NotIn:
				r.Values = rapid.SliceOfNDistinct(rapid.SampledFrom(words), 1, 4, rapid.ID).Draw(t, "values")
			case unitfile.AtLeast, unitfile.AtMost, unitfile.More, unitfile.Less:
				r.Values = []string{rapid.SampledFrom(words[3:]).Draw(t, "limit")}
			case unitfile.Exists, unitfile.Absent:
			}
			return r
		}), 0, 5).Draw(t, "all")
		meets := func(value string, there bool) bool {
			return !slices.ContainsFunc(all, func(r unitfile.Requirement) bool {
				return !r.Met(func(string) (string, bool) { return value, there })
			})
		}
		want := meets("", false) || slices.ContainsFunc(tried, func(value string) bool { return meets(value, true) })
		if got := unitfile.Satisfiable(all); got != want {
			t.Fatalf("%v: satisfiable is %t", all, got)
		}
	})
}

// A unit is told that one of its globs forbids what another asks for only if no
// name at all is left.
func TestWhatIsSaidToBeForbiddenIs(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "b", "x", "*", "?", "[ab]", `\*`, `\a`})
	rapid.Check(t, func(t *rapid.T) {
		near := strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "near"), "")
		away := strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "away"), "")
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "x"}), 0, 5).Draw(t, "name"), "")
		wanted, _ := path.Match(near, name)
		forbidden, _ := path.Match(away, name)
		text := "[X-Argosy]\nNear=" + near + "\nAway=" + away + "\n[Service]\nExecStart=/bin/true\n"
		refused := unitfile.Refusal("u.service", unitfile.Check("u.service", text))
		if wanted && !forbidden && refused != nil {
			t.Fatalf("%q is near %q, which %q does not match; said is %v", name, near, away, refused)
		}
	})
}
