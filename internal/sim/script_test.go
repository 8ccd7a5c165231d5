package sim_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

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
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			script, files := sim.ParseArchive(text)
			if err := run(t, script, files); err != nil {
				t.Error(err)
			}
		})
	}
}

// play runs a script that was made up; if it fails, it is printed so that it
// can be played again.
func play(t *testing.T, text string, files map[string]string) {
	t.Helper()
	if err := run(t, text, files); err != nil {
		t.Errorf("%v\nTo play it again, put this into %s/NAME.txtar and run go test ./internal/sim -run Scripts/NAME:\n%s",
			err, scripts, sim.Archive(text, files))
	}
}

// run runs a script in a bubble of its own.
func run(t *testing.T, text string, files map[string]string) (err error) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var made *sim.Sim
		script := sim.Script{Files: files, Make: func(nodes int, seed uint64) (sim.World, error) {
			var err error
			made, err = sim.New(sim.Config{Nodes: nodes, Servers: serversOf(nodes), Seed: seed, Dir: dir, Log: slog.New(slog.DiscardHandler)})
			return made, err
		}}
		err = script.Run(text)
		if made != nil {
			made.Close()
		}
	})
	return err
}

// What a failed run prints fails again, at the same line and with the same seed.
func TestAFailedRunCanBePlayedAgain(t *testing.T) {
	first, files := sim.RandomScript(7, 4, 8)+"wait nobody.service active 1s\n", sim.RandomFiles()
	again, filesAgain := sim.ParseArchive([]byte(sim.Archive(first, files)))
	want, got := run(t, first, files), run(t, again, filesAgain)
	if want == nil || got == nil || got.Error() != want.Error() || !strings.Contains(got.Error(), "nobody") {
		t.Errorf("first: %v\nagain: %v", want, got)
	}
	var seed uint64
	script := sim.Script{Make: func(_ int, s uint64) (sim.World, error) { seed = s; return nil, errors.New("seen") }}
	if err := script.Run(again); err == nil || seed != 7 {
		t.Errorf("played with seed %d, %v", seed, err)
	}
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
