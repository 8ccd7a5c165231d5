package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"argosy/internal/sim"
)

// The scripts that play in the simulator play on lab nodes too: real systemd,
// real etcd, real time.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("../scripts/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting, and each has a lab of its own
			archive, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text, files := sim.ParseArchive(archive)
			script := sim.Script{Files: files, Make: func(nodes int, _ uint64) (sim.World, error) { return newWorld(t, name, nodes), nil }}
			if err := script.Run(text); err != nil {
				t.Error(err)
			}
		})
	}
}
