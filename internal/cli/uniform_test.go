package cli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/internal/cluster"
)

// notListings are the verbs that print in forms and list nothing: why they have
// not all that listings have.
func notListings() map[string]string {
	return map[string]string{
		"argosy status":       "one page, or units in detail: it has no line to a thing, and its exit code is LSB's",
		"argosy explain":      "an answer about one unit, computed when it is asked for: there is nothing to watch and no name but the unit's",
		"argosy journal":      "lines of a journal, in journalctl's own forms",
		"argosy token create": "prints the one thing that it made",
		"argosy context show": "prints one context",
		"argosy kv get":       "prints a value as it is",
		"argosy kv watch":     "a stream of changes, not of things",
	}
}

// lists reports whether a verb lists things.
func lists(cmd *cobra.Command) bool {
	return strings.HasPrefix(cmd.Short, "List ") || strings.HasPrefix(cmd.Name(), "list") || cmd.Name() == "ls" || cmd.Name() == "events"
}

func TestEveryListingHasTheSameFlags(t *testing.T) {
	exceptions := notListings()
	listings := 0
	for path, cmd := range everyVerb(t) {
		flags := cmd.Flags()
		output := flags.Lookup("output")
		if !lists(cmd) {
			if _, written := exceptions[path]; written != (output != nil) {
				t.Errorf("%s prints in forms: let it be a listing, or say in notListings why it is none", path)
			}
			delete(exceptions, path)
			continue
		}
		listings++
		for name, short := range map[string]string{"output": "o", "watch": "w", "no-legend": ""} {
			if flag := flags.Lookup(name); flag == nil || flag.Shorthand != short {
				t.Errorf("%s has no --%s (-%s)", path, name, short)
			}
		}
		if output == nil {
			continue
		}
		if forms, _ := pflag.UnquoteUsage(output); forms != "table|wide|json|yaml|name" || output.DefValue != outputTable {
			t.Errorf("%s -o %s, by default %s", path, forms, output.DefValue)
		}
	}
	if listings < 7 {
		t.Errorf("only %d listings were found: the rule would hold for nothing", listings)
	}
	for path := range exceptions {
		t.Errorf("%s is no exception any more", path)
	}
}

func TestEveryListingPrintsInEveryForm(t *testing.T) {
	state := labState(t)
	for path, cmd := range everyVerb(t) {
		if !lists(cmd) {
			continue
		}
		for _, form := range outputs() {
			f := someCluster()
			f.events = units(someEvents())
			line := append(strings.Fields(path), "-o", form)
			if strings.HasPrefix(path, "argosy lab ") {
				line = append(line, "--state", state)
			}
			env := map[string]string{"HOME": t.TempDir()}
			got := session{env: env}.run(t, f, line...)
			if got.code != 0 || got.out == "" || got.err != "" {
				t.Errorf("%s: exit %d, %q, %q", strings.Join(line, " "), got.code, got.out, got.err)
			}
			bare := session{env: env}.run(t, f, append(line, "--no-legend")...).out
			_, legend, _ := strings.Cut(got.out, "\n")
			table := form == outputTable || form == outputWide // events were told already
			if table && path != "argosy events" && !slices.Equal(strings.Fields(legend), strings.Fields(bare)) {
				t.Errorf("%s: without its legend\n%s", path, bare)
			}
		}
	}
}

func TestEventsInTheOtherForms(t *testing.T) {
	cases := map[string]string{
		"argosy events --no-legend": `
11:00:00         unit-failed      web.service: failed on node-2 (exit code 7): no·[31m route
`,
		"argosy events -o name": "\n9.unit-failed\n",
		"argosy events -o yaml": `
---
id: 9.unit-failed
kind: unit-failed
revision: 9
text: "web.service: failed on node-2 (exit code 7): no\e[31m route"
time: "2026-03-01T11:00:00Z"
`,
		"argosy events -o wide": `
TIME                  REVISION    NODE          KIND             WHAT
2026-03-01T11:00:00Z  9           -             unit-failed      web.service: failed on node-2 (exit code 7): no·[31m route
`,
	}
	for line, want := range cases {
		got := run(t, &fake{events: units(someEvents()[1:2])}, line)
		if diff := cmp.Diff(want, "\n"+got.out); diff != "" || got.code != 0 {
			t.Errorf("%s: exit %d\n%s", line, got.code, diff)
		}
	}
	f := &fake{}
	if watched(t, f, "argosy events -w"); !slices.Equal(f.requests, []string{"events since 24h0m0s after 0 about [] follow true without end"}) {
		t.Errorf("-w asked %q", f.requests)
	}
}

// lookedAt runs a listing that is watched without a watch of the cluster, in
// simulated time, until its last look has found what there is.
func lookedAt(t *testing.T, f *fake, line string) (got result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { got = watched(t, f, line) })
	return got
}

// No watch of the cluster tells of tokens; they are looked at again and again.
func TestAWatchOfTokensPrintsWhatChanges(t *testing.T) {
	one, two := cluster.Token{ID: "t1", Uses: 2, Expires: testNow().Add(time.Hour)}, cluster.Token{ID: "t2", Uses: 1, Expires: testNow().Add(time.Hour)}
	used := one
	used.Uses = 1
	looks := [][]cluster.Token{{one}, {one}, {used, two}, {used, two}, {two}}
	want := result{out: `ID  STATE  USES  EXPIRES
t1  good   2     2026-03-01T13:00:00Z
t1  good   1     2026-03-01T13:00:00Z
t2  good   1     2026-03-01T13:00:00Z
t1  gone   1     2026-03-01T13:00:00Z
`}
	if diff := cmp.Diff(want, lookedAt(t, &fake{looks: looks}, "argosy token ls -w"), cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
	if got := lookedAt(t, &fake{looks: looks}, "argosy token ls -w -o name"); got.out != "t1\nt1\nt2\nt1\n" {
		t.Errorf("names: %q", got.out)
	}
	got := lookedAt(t, &fake{looks: looks}, "argosy token ls -w -o json")
	for line := range strings.Lines(got.out) {
		var tokens []cluster.Token
		if err := json.Unmarshal([]byte(line), &tokens); err != nil {
			t.Errorf("%v in %q", err, line)
		}
	}
	if n := strings.Count(got.out, "\n"); n != 3 {
		t.Errorf("%d messages for three states:\n%s", n, got.out)
	}
}

func TestALookThatFailsIsNoEndOfAWatch(t *testing.T) {
	unavailable := map[string]error{"tokens": cluster.Errorf(cluster.Unavailable, "nobody there")}
	if got := lookedAt(t, &fake{fail: unavailable, looks: [][]cluster.Token{{}}}, "argosy token ls -w"); got.code != 1 {
		t.Errorf("a watch that never began: exit %d", got.code)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{looks: [][]cluster.Token{{}}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		looks := 0
		f.watching = func() {
			f.fail = unavailable
			if looks++; looks == 3 {
				cancel()
			}
		}
		got := session{}.runContext(t, ctx, f, "argosy", "token", "ls", "-w")
		if got.code != 0 || strings.Count(got.err, "lost the connection") != 1 {
			t.Errorf("exit %d: %s", got.code, got.err)
		}
	})
}
