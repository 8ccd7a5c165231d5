package unitfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		"[X-Argosy]\nPublish=%p-%i 80%i/udp a=%i \"b=c d\"\nPublish=web\nPublish=web 0\nPublish=web 1 a a\n",
		"[X-Argosy]\nPublish=web auto\nHealth=http://web/x?y#z\nHealthInterval=1s\nHealthRetries=2\nDrainTime=1min 2s\n",
		"[X-Argosy]\nHealth=exec:/bin/x 'y z'\nHealth=grpc://[::1]:%i/a\nHealthOnFailure=restart\nHealthGrace=infinity\n",
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
		checkFindings(t, unit, checked)
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
		checkPlacing(t, p)
		published, findings := unitfile.PublishedBy(unit, file)
		if unitfile.Refusal(unit, findings) != nil && unitfile.Refusal(unit, checked) == nil {
			t.Fatalf("PublishedBy says %v, Check nothing", findings)
		}
		checkOffers(t, published.Offers)
		checkHealth(t, published)
	})
}

// checkOffers: within the limits, sorted, and each once.
func checkOffers(t *testing.T, offers []cluster.Offer) {
	if len(offers) > unitfile.ServicesMax {
		t.Fatalf("%d offers", len(offers))
	}
	for i, o := range offers {
		if o.Service == "" || len(o.Service) > unitfile.ServiceNameMax || strings.ToLower(o.Service) != o.Service ||
			len(o.Parameters) > unitfile.ParametersMax || o.Healthy || i > 0 && offers[i-1].Compare(o) >= 0 {
			t.Fatalf("offer %#v", o)
		}
		for key, value := range o.Parameters {
			if len(key)+len(value)+1 > unitfile.ParameterMax {
				t.Fatalf("parameter %q=%q", key, value)
			}
		}
	}
}

// checkHealth: what is asked can be asked, and within bounds.
func checkHealth(t *testing.T, p unitfile.Published) {
	h := p.Health
	if p.Drain < 0 || p.Drain > time.Hour {
		t.Fatalf("drain %s", p.Drain)
	}
	if h.Probe.Kind == "" {
		if !cmp.Equal(h, unitfile.Health{}) {
			t.Fatalf("nothing is asked, and %+v", h)
		}
		return
	}
	ports := h.Probe.Port != 0 || slices.ContainsFunc(p.Offers, func(o cluster.Offer) bool { return o.Service == h.Probe.Service && o.Protocol == "tcp" })
	if exec := h.Probe.Kind == unitfile.ProbeExec; exec == (len(h.Probe.Command) == 0) || !exec && !ports ||
		h.Interval < 100*time.Millisecond || h.Timeout <= 0 || h.Grace < 0 || h.Retries < 1 || strings.ContainsAny(h.Probe.Path, "\r\n") {
		t.Fatalf("%+v", h)
	}
}

// checkFindings: all have a line, unless they are about the name, and there is
// a bound on how many there are.
func checkFindings(t *testing.T, unit cluster.UnitName, findings []unitfile.Finding) {
	t.Helper()
	if len(findings) > 2*unitfile.FindingsMax {
		t.Fatalf("%d findings", len(findings))
	}
	for _, f := range findings {
		if f.Line < 0 || f.Message == "" || f.Line == 0 && cluster.CheckUnitName(unit) == nil {
			t.Fatalf("finding %#v", f)
		}
	}
}

// checkPlacing: all lists are sorted and hold nothing twice.
func checkPlacing(t *testing.T, p unitfile.Placing) {
	t.Helper()
	var keys []string
	for _, r := range p.Metadata {
		keys = append(keys, r.Key)
		if r.Key == "" || len(r.Values) == 0 || !isSortedSet(r.Values) {
			t.Fatalf("requirement %#v", r)
		}
	}
	if !isSortedSet(p.Conflicts) || !isSortedSet(p.Replaces) || !isSortedSet(p.MachineOf) || !isSortedSet(keys) {
		t.Fatalf("placing %#v", p)
	}
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
