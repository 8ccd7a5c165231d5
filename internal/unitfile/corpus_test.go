package unitfile_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestCorpusRoundTrips(t *testing.T) {
	if n := roundTrip(t, "testdata/corpus"); n < 14 {
		t.Errorf("read %d files of our own, want all of them", n)
	}
}

// A Debian system with systemd is what Argosy runs on, and has a few hundred
// unit files, drop-ins and network files, all in the same syntax.
func TestEveryFileOfThisSystemRoundTrips(t *testing.T) {
	total := 0
	seen := map[string]bool{} // /lib is /usr/lib on most systems
	for _, dir := range []string{"/usr/lib/systemd", "/lib/systemd", "/etc/systemd"} {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[dir] {
			continue
		}
		seen[dir] = true
		n := roundTrip(t, dir)
		t.Logf("%s: %d files", dir, n)
		total += n
	}
	if total == 0 {
		t.Error("no unit file found on this system: is systemd installed?")
	}
}

// roundTrip parses and prints every file below a folder whose suffix says that
// it is in the syntax of unit files, and returns how many there were.
func roundTrip(t *testing.T, dir string) (n int) {
	t.Helper()
	suffixes := []string{".conf", ".link", ".netdev", ".network", ".container"}
	for _, unitType := range cluster.UnitTypes() {
		suffixes = append(suffixes, "."+unitType)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !slices.Contains(suffixes, filepath.Ext(path)) {
			return err
		}
		if d.Name() == "resolv.conf" { // the resolver's, in a syntax of its own
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		f, err := unitfile.Parse(path, text)
		if err != nil {
			t.Error(err)
			return nil
		}
		if !bytes.Equal(f.Bytes(), text) {
			t.Errorf("%s: printed differently from what was read", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Units that systemd itself brings are right by definition, so no error may be
// found in them. Warnings may: distributions use sections of newer versions.
func TestCheckFindsNoErrorInUnitsOfThisSystem(t *testing.T) {
	n := checkAll(t, "/usr/lib/systemd/system")
	if n == 0 {
		t.Error("no unit file found on this system: is systemd installed?")
	}
	t.Logf("%d units", n)
}

func TestCheckFindsNothingInTheCorpus(t *testing.T) {
	if n := checkAll(t, "testdata/corpus"); n < 12 {
		t.Errorf("checked %d units of our own, want all of them", n)
	}
}

func checkAll(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := cluster.UnitName(e.Name())
		if !e.Type().IsRegular() || cluster.CheckUnitName(name) != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n++
		for _, f := range unitfile.Check(name, string(text)) {
			if f.Severity == unitfile.SeverityError || dir == "testdata/corpus" {
				t.Errorf("%s: %s", name, f)
			}
		}
	}
	return n
}
