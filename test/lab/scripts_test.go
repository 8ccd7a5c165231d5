package lab_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

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
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			script := sim.Script{Files: files, Make: func(nodes int) (sim.World, error) { return newWorld(t, name, nodes), nil }}
			if err := script.Run(string(archive.Comment)); err != nil {
				t.Error(err)
			}
		})
	}
}
