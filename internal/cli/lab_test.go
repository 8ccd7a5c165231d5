package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labState makes a state folder with two labs, of which nothing runs: "big" has
// three nodes and two cut lines, the record of "bad" is damaged.
func labState(t *testing.T) string {
	t.Helper()
	state := t.TempDir()
	for name, record := range map[string]string{
		"big": `{"name": "big", "nodes": 3, "cuts": [{"From": 2}, {"From": 1, "To": 3}]}`,
		"bad": `{`,
	} {
		if err := os.Mkdir(filepath.Join(state, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, name, "lab.json"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

func TestLabLs(t *testing.T) {
	state := labState(t)
	for line, want := range map[string]string{
		"argosy lab ls": `
LAB  NODE    ADDRESS    POWER                                   CUTS
bad  -       -          damaged: argosy lab down --name bad  -
big  node-1  10.77.0.1  off                                     1:3
big  node-2  10.77.0.2  off                                     node-2
big  node-3  10.77.0.3  off                                     1:3
`,
		"argosy lab ls --name big -o name":                          "\nnode-1\nnode-2\nnode-3\n",
		"argosy lab ls --name big --fields lab,power --no-legend":   "\nbig  off\nbig  off\nbig  off\n",
		"argosy lab ls --name none --no-legend --fields node,power": "\n",
	} {
		early := strings.Replace(line, " lab ", " lab --state "+state+" ", 1)
		for _, line := range []string{line + " --state " + state, early} {
			got := run(t, &fake{}, line)
			if diff := cmp.Diff(strings.Fields(want), strings.Fields(got.out)); diff != "" || got.code != 0 || got.err != "" {
				t.Errorf("%s: exit %d, %q\n%s", line, got.code, got.err, diff)
			}
		}
	}
}

func TestCompletionOfLabs(t *testing.T) {
	state := labState(t)
	cases := map[string]string{
		"lab power":        "node-1 node-2 node-3",
		"lab power node-2": "off on",
		"lab disk node-2":  "full ok",
		"lab exec":         "node-1 node-2 node-3",
		"lab shell":        "node-1 node-2 node-3",
		"lab logs":         "node-1 node-2 node-3",
		"lab cut":          "node-1 node-2 node-3",
		"lab pause":        "node-1 node-2 node-3",
		"lab resume":       "node-1 node-2 node-3",
		"lab pause node-1": "",
		"lab heal":         "node-2 1:3 node-1 node-3",
		"lab down --name":  "bad big",
	}
	for line, want := range cases {
		words := append([]string{"argosy", "__completeNoDesc"}, strings.Fields(line)...)
		if !strings.HasSuffix(line, "--name") {
			words = append(words, "--name", "big")
		}
		words = append(words[:2:2], append([]string{"lab", "--state", state}, words[3:]...)...)
		got := session{}.run(t, &fake{}, append(words, "")...)
		proposed, _, _ := strings.Cut(got.out, ":")
		if line == "lab heal" {
			proposed, _, _ = strings.Cut(got.out, "\n:4") // lines have colons too
		}
		if diff := cmp.Diff(strings.Fields(want), strings.Fields(proposed)); diff != "" {
			t.Errorf("%s\n%s", line, diff)
		}
	}
}
