package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/hostnet"
)

func TestOpenTakesOnlyNamesThatCanBeNamesOfEverything(t *testing.T) {
	for _, name := range []string{"", "lab", "a", "web-2", "twenty-letters-long-"[:19] + "x"} {
		if _, err := Open(t.TempDir(), name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"Lab", "a.b", "../x", "a b", "-a", "a-", "twenty-one-letters-is", "ä"} {
		if _, err := Open(t.TempDir(), name); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("%q: %v, want it refused", name, err)
		}
	}
	for _, dir := range []string{"/tmp/a b", "/tmp/a:b", "/tmp/a,b"} {
		if _, err := Open(dir, "lab"); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("folder %q: %v, want it refused", dir, err)
		}
	}
}

func TestNothingIsBuiltForWhatCannotBeAPackage(t *testing.T) {
	for _, name := range []string{"", "x", "Redis", "a b", "a;b", "-a", "a,b", "../a"} {
		_, err := EnsureRoot(t.Context(), t.TempDir(), []string{"redis-server", name}, t.Logf)
		if cluster.KindOf(err) != cluster.Invalid || !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("%q: %v, want it refused by name", name, err)
		}
	}
	if err := checkPackages([]string{"redis-server", "libstdc++6", "0ad", "g++"}); err != nil {
		t.Error(err)
	}
}

// Namespaces and control groups are shared by all labs of a machine.
func TestNoTwoNodesOfAnyLabShareAName(t *testing.T) {
	seen := map[string]string{}
	for _, dir := range []string{DefaultStateDir, "/a", "/b"} {
		for _, name := range []string{"a", "a-1", "a-node-1", "lab"} {
			l, err := Open(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			names := []string{l.namespace()}
			for i := 1; i <= 11; i++ {
				names = append(names, (&Node{lab: l, index: i}).namespace())
			}
			for _, n := range names {
				if other, taken := seen[n]; taken {
					t.Errorf("%s is a name in %s and in %s", n, other, l.Dir())
				}
				seen[n] = l.Dir()
			}
		}
	}
	l, err := Open("", "")
	if err != nil {
		t.Fatal(err)
	}
	if l.ID() != "lab" {
		t.Errorf("the usual lab is called %q", l.ID())
	}
}

func TestLinesAreReadAsTheyAreWritten(t *testing.T) {
	l, err := Open(t.TempDir(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	r := record{Nodes: 12}
	for _, test := range []struct {
		line, shown string
		cuts        []hostnet.Cut
	}{
		{"2", "node-2", []hostnet.Cut{{From: "node-2"}, {To: "node-2"}}},
		{"node-12", "node-12", []hostnet.Cut{{From: "node-12"}, {To: "node-12"}}},
		{"1:2", "1:2", []hostnet.Cut{{From: "node-1", To: "node-2"}, {From: "node-2", To: "node-1"}}},
		{"node-2:1", "1:2", []hostnet.Cut{{From: "node-1", To: "node-2"}, {From: "node-2", To: "node-1"}}},
		{"2>1", "2>1", []hostnet.Cut{{From: "node-2", To: "node-1"}}},
	} {
		c, err := l.parseCut(r, test.line)
		if err != nil {
			t.Errorf("%q: %v", test.line, err)
			continue
		}
		if c.String() != test.shown {
			t.Errorf("%q is shown as %q, want %q", test.line, c, test.shown)
		}
		if diff := cmp.Diff(test.cuts, bridgeCuts([]cutLine{c})); diff != "" {
			t.Errorf("%q cuts (-want +got):\n%s", test.line, diff)
		}
	}
	for line, kind := range map[string]cluster.Kind{
		"13": cluster.NotFound, "0": cluster.NotFound, "": cluster.NotFound, "1:": cluster.NotFound, ">2": cluster.NotFound,
		"1:2:3": cluster.NotFound, "3:3": cluster.Invalid, "3>3": cluster.Invalid,
	} {
		if c, err := l.parseCut(r, line); cluster.KindOf(err) != kind {
			t.Errorf("%q is read as %v, %v, want it refused", line, c, err)
		}
	}
}

func TestHealingANodeMendsAllItsLines(t *testing.T) {
	all := []cutLine{{From: 1}, {From: 1, To: 2}, {From: 2, To: 3, OneWay: true}, {From: 2, To: 3}, {From: 3}}
	for _, test := range []struct {
		heal cutLine
		left []cutLine
	}{
		{cutLine{From: 1}, []cutLine{{From: 2, To: 3, OneWay: true}, {From: 2, To: 3}, {From: 3}}},
		{cutLine{From: 2, To: 3}, []cutLine{{From: 1}, {From: 1, To: 2}, {From: 2, To: 3, OneWay: true}, {From: 3}}},
		{cutLine{From: 3}, []cutLine{{From: 1}, {From: 1, To: 2}}},
	} {
		if diff := cmp.Diff(test.left, without(all, test.heal)); diff != "" {
			t.Errorf("after heal %s (-want +got):\n%s", test.heal, diff)
		}
	}
}

func TestTheRecordOfALab(t *testing.T) {
	l, err := Open(t.TempDir(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Nodes(); cluster.KindOf(err) != cluster.NotFound || cluster.HintOf(err) != "argosy lab up --name web" {
		t.Errorf("no lab: %v, hint %q", err, cluster.HintOf(err))
	}
	want := record{Name: "web", Nodes: 3, Root: "/r", Cuts: []cutLine{{From: 1, To: 2}}}
	if err := l.save(want); err != nil {
		t.Fatal(err)
	}
	got, err := l.load()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("read back: %v %s", err, diff)
	}
	if err := os.WriteFile(filepath.Join(l.Dir(), "lab.json"), []byte(`{"name": "we`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Nodes(); cluster.KindOf(err) != cluster.Internal || cluster.HintOf(err) != "argosy lab down --name web" {
		t.Errorf("damaged: %v, hint %q", err, cluster.HintOf(err))
	}
}
