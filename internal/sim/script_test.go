package sim_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"

	"argosy/internal/sim"
)

// scripts is where the behaviour of the product is written down.
const scripts = "../../test/scripts"

func TestScripts(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(scripts, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts in %s: %v", scripts, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			play(t, 1, string(archive.Comment), files)
		})
	}
}

// play runs a script in a bubble of its own.
func play(t *testing.T, seed uint64, text string, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var made *sim.Sim
		script := sim.Script{Files: files, Make: func(nodes int) (sim.World, error) {
			var err error
			made, err = sim.New(sim.Config{Nodes: nodes, Servers: serversOf(nodes), Seed: seed, Dir: dir, Log: slog.New(slog.DiscardHandler)})
			return made, err
		}}
		err := script.Run(text)
		if made != nil {
			made.Close()
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// serversOf is how many servers a cluster of a size has.
func serversOf(nodes int) int {
	switch {
	case nodes < 3:
		return 1
	case nodes < 5:
		return 3
	}
	return 5
}
