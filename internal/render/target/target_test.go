package target_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/render/target"
)

// folder is an empty folder; at its end nothing but the files named may be in it.
func folder(t *testing.T, left ...string) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != len(left) {
			t.Errorf("left: %v, %v; want %v", entries, err, left)
		}
	})
	return dir
}

func put(t *testing.T, to target.Target, text string) (bool, error) {
	t.Helper()
	return to.Put(t.Context(), []byte(text))
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestATextIsPutIfItIsAnother(t *testing.T) {
	to := target.Target{Path: filepath.Join(folder(t, "a"), "a")}
	for _, step := range []struct {
		text    string
		changed bool
	}{{"one", true}, {"one", false}, {"two", true}, {"", true}, {"", false}} {
		if changed, err := put(t, to, step.text); err != nil || changed != step.changed || read(t, to.Path) != step.text {
			t.Errorf("%q: changed %v, %v", step.text, changed, err)
		}
	}
}

func TestWhatTheCheckRefusesIsNotPut(t *testing.T) {
	dir := folder(t, "it's")
	to := target.Target{Path: filepath.Join(dir, "it's"), Check: "grep -q good {{.src}} || { echo line 1: bad; exit 3; }"}
	if _, err := put(t, to, "good"); err != nil {
		t.Fatal(err)
	}
	changed, err := put(t, to, "poor")
	if changed || cluster.KindOf(err) != cluster.Invalid || !strings.Contains(err.Error(), "the one before is kept: exit status 3: line 1: bad") {
		t.Errorf("changed %v, %v", changed, err)
	}
	if got := read(t, to.Path); got != "good" {
		t.Errorf("the file holds %q", got)
	}
}

func TestTheModeIsThatOfTheFileBeforeOrTheOneThatIsGiven(t *testing.T) {
	path := filepath.Join(folder(t, "a"), "a")
	for _, step := range []struct {
		given, want os.FileMode
	}{{0, 0o644}, {0o600, 0o600}, {0, 0o600}, {0o755, 0o755}} {
		if _, err := put(t, target.Target{Path: path, Mode: step.given}, step.want.String()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != step.want {
			t.Errorf("given %s: %s, want %s (%v)", step.given, info.Mode(), step.want, err)
		}
	}
	if changed, err := put(t, target.Target{Path: path, Mode: 0o400}, os.FileMode(0o755).String()); err != nil || !changed {
		t.Errorf("another mode of the same text: changed %v, %v", changed, err)
	}
}

func TestALinkStaysALink(t *testing.T) {
	dir := folder(t, "link", "real")
	link, real := filepath.Join(dir, "link"), filepath.Join(dir, "real")
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"what it points to is not there yet", "now it is"} {
		if _, err := put(t, target.Target{Path: link}, text); err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(link); err != nil || to != "real" || read(t, real) != text {
			t.Errorf("the link points to %q, %v", to, err)
		}
	}
}

func TestWhereNothingCanBePut(t *testing.T) {
	dir := folder(t, "full")
	if err := os.Mkdir(filepath.Join(dir, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"full": "is no file", "no/a": "there is no folder"} {
		if _, err := put(t, target.Target{Path: filepath.Join(dir, path)}, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestWhatMakesUseOfItMayFail(t *testing.T) {
	to := target.Target{Path: "/etc/x", After: "echo no; false"}
	if err := to.Use(t.Context()); err == nil || !strings.Contains(err.Error(), "/etc/x is in place, and echo no; false: exit status 1: no") {
		t.Errorf("%v", err)
	}
	to.After = "sleep 3 & true"
	if err := to.Use(t.Context()); err != nil {
		t.Errorf("one that leaves another behind: %v", err)
	}
	if err := (target.Target{}).Use(t.Context()); err != nil {
		t.Error(err)
	}
}
