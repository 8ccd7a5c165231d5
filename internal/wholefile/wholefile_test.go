package wholefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"argosy/internal/wholefile"
)

func TestAFileIsReplacedWhole(t *testing.T) {
	for name, write := range map[string]func(string, []byte, os.FileMode) error{"durably": wholefile.Write, "soon": wholefile.WriteSoon} {
		path := filepath.Join(t.TempDir(), "a")
		for _, text := range []string{"one", "two", ""} {
			if err := write(path, []byte(text), 0o640); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			info, _ := os.Stat(path)
			if err != nil || string(got) != text || info.Mode().Perm() != 0o640 {
				t.Errorf("%s: %q, %v, mode %s", name, got, err, info.Mode())
			}
		}
		onlyThere(t, path)
	}
}

func TestAFileThatCannotBeReplacedLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(path, nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if err := wholefile.Write(filepath.Join(folder, "no", "a"), nil, 0o600); err == nil {
		t.Error("a file without a folder")
	}
	onlyThere(t, path)
}

func TestUpdateSaysWhetherItChangedAnything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "a")
	for _, step := range []struct {
		text    string
		changed bool
	}{{"one", true}, {"one", false}, {"two", true}} {
		if changed, err := wholefile.Update(path, []byte(step.text), 0o600); err != nil || changed != step.changed {
			t.Errorf("%s: changed %v, %v", step.text, changed, err)
		}
	}
	onlyThere(t, path)
}

// onlyThere fails if there is anything else in a file's folder.
func onlyThere(t *testing.T, path string) {
	t.Helper()
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside %s: %v, %v", path, entries, err)
	}
}
