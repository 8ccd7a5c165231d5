package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// offline makes a driver without a systemd, on folders of the test's own.
func offline(t *testing.T) *Bus {
	dir := t.TempDir()
	return New(Config{Dir: filepath.Join(dir, "units"), LinkDir: filepath.Join(dir, "system")})
}

func TestWhatIsNotOursIsNeitherReplacedNorRemoved(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
	}{
		{"a file", func(path string) error { return os.WriteFile(path, []byte("host"), 0o600) }},
		{"a link to elsewhere", func(path string) error { return os.Symlink("/dev/null", path) }},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := offline(t)
			path := b.files.link("web.service")
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), tt.make(path)); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			if err := b.Write(t.Context(), "web.service", "x"); cluster.KindOf(err) != cluster.Exists {
				t.Errorf("write: %v", err)
			}
			if err := b.Remove(t.Context(), "web.service"); err != nil {
				t.Errorf("remove: %v", err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was touched: %v", err)
			}
		})
	}
}

func TestNamesThatWouldLeaveTheFolderAreRefused(t *testing.T) {
	b := offline(t)
	for _, name := range []cluster.UnitName{"../x.service", "/etc/x.service", "", ".service"} {
		if b.Write(t.Context(), name, "x") == nil || b.Remove(t.Context(), name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestEachNewTextHasALaterTimeAndLeavesNoOtherFile(t *testing.T) {
	b := offline(t)
	last, _ := os.Stat(os.DevNull)
	for i, text := range []string{"a", "b", "c", "d"} {
		if err := b.Write(t.Context(), "web.service", text); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(b.files.path("web.service"))
		if err != nil || i > 0 && !info.ModTime().After(last.ModTime()) {
			t.Errorf("%q: %v, %v after %v", text, err, info.ModTime(), last.ModTime())
		}
		last = info
		if got := b.files.hash("web.service"); got != cluster.HashText(text) {
			t.Errorf("%q has hash %s", text, got)
		}
	}
	entries, _ := os.ReadDir(b.files.dir)
	if len(entries) != 1 {
		t.Errorf("files: %v", entries)
	}
}

// pathOfUnit escapes a unit's name as systemd does (bus_path_escape).
// What is the host's in the place of our drop-in stays, and is in nobody's way.
func TestVariablesAreTakenAwayAndNothingElse(t *testing.T) {
	dir, links, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	b := New(Config{Dir: t.TempDir(), EnvironmentDir: dir, LinkDir: links})
	set := func(name cluster.UnitName, variables ...string) {
		t.Helper()
		if err := b.SetEnvironment(t.Context(), name, variables); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	there := func(path string, want bool) {
		t.Helper()
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(elsewhere, filepath.Join(links, "link.service.d")))
	must(os.WriteFile(filepath.Join(links, "file.service.d"), nil, 0o600))
	must(os.Mkdir(filepath.Join(links, "full.service.d"), 0o700))
	must(os.WriteFile(filepath.Join(links, "full.service.d", "host.conf"), nil, 0o600))
	set("own.service", "A=1")
	set("full.service", "A=1")
	for _, name := range []cluster.UnitName{"own.service", "full.service", "link.service", "file.service", cluster.UnitName(strings.Repeat("x", 247) + ".service")} {
		set(name)
	}
	there(filepath.Join(links, "link.service.d"), true)
	there(filepath.Join(links, "file.service.d"), true)
	there(filepath.Join(links, "full.service.d", "host.conf"), true)
	there(filepath.Join(links, "full.service.d", dropIn), false)
	there(filepath.Join(links, "own.service.d"), false)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := b.SetEnvironment(t.Context(), "own.service", []string{"A=1\nB=2"}); cluster.KindOf(err) != cluster.Invalid {
		t.Errorf("two lines: %v", err)
	}
}

func pathOfUnit(name cluster.UnitName) dbus.ObjectPath {
	var path strings.Builder
	path.WriteString(unitPrefix)
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if letter || c >= '0' && c <= '9' && i > 0 {
			path.WriteByte(c)
		} else {
			fmt.Fprintf(&path, "_%02x", c)
		}
	}
	return dbus.ObjectPath(path.String())
}

func TestUnitNamesSurviveObjectPaths(t *testing.T) {
	for _, name := range []cluster.UnitName{"web.service", `a_b.c:d\x2de@1.service`, "1st.service", "dev-sda1.swap"} {
		if got, ok := unitOfPath(pathOfUnit(name)); !ok || got != string(name) {
			t.Errorf("%s: %s comes back as %q", name, pathOfUnit(name), got)
		}
	}
}

// journalctl makes a program that stands in for journalctl.
func journalctl(t *testing.T, script string) Journal {
	path := filepath.Join(t.TempDir(), "journalctl")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return Journal{Program: path}
}

func TestLinesOfTheJournalAreBoundedAndValid(t *testing.T) {
	j := journalctl(t, `printf 'short\nbad \377 byte\n'; head -c 100000 /dev/zero | tr '\0' x; printf '\nlast'`)
	lines, err := j.Tail(t.Context(), "web.service", 10)
	if err != nil || len(lines) != 4 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	if len(lines[2]) != lineMax {
		t.Errorf("a long line has %d bytes", len(lines[2]))
	}
	lines[2] = lines[2][:3]
	if diff := cmp.Diff([]string{"short", "bad � byte", "xxx", "last"}, lines); diff != "" {
		t.Error(diff)
	}
}

func TestFormsOfTheJournalAreHandedOnWhole(t *testing.T) {
	j := journalctl(t, `case " $* " in
*--output=json\ *) printf '{"MESSAGE":"'; head -c 100000 /dev/zero | tr '\0' x; printf '"}\n' ;;
*--output=export\ *) printf 'MESSAGE\n\003\0\0\0\0\0\0\0a\n\377\n\n' ;;
*) echo "$*" ;;
esac
`)
	read := func(form string) (all string) {
		err := j.Follow(t.Context(), "web.service", systemd.JournalView{Lines: 3, Form: form}, func(piece string) error { all += piece; return nil })
		if err != nil {
			t.Errorf("as %q: %v", form, err)
		}
		return all
	}
	if entry := read("json"); !json.Valid([]byte(entry)) || len(entry) < 100000 {
		t.Errorf("an entry of %d bytes is cut", len(entry))
	}
	if got := read(systemd.JournalExport); got != "MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\n\xff\n\n" {
		t.Errorf("the export is %q", got)
	}
	if got := read(""); !strings.Contains(got, "--output=short-iso --lines=3 --unit=web.service") {
		t.Errorf("it is asked %q", got)
	}
	for _, form := range []string{"html", "json --file=/x", "cat\n"} {
		err := j.Follow(t.Context(), "web.service", systemd.JournalView{Form: form}, func(line string) error { t.Error(line); return nil })
		if cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("as %q: %v", form, err)
		}
	}
}

func TestFollowingAJournalEndsWithItsContextOrItsReader(t *testing.T) {
	j := journalctl(t, "echo line; exec sleep 1000\n")
	ctx, cancel := context.WithCancel(t.Context())
	err := j.Follow(ctx, "web.service", systemd.JournalView{Lines: 1, Follow: true}, func(string) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	enough := errors.New("enough")
	if err := j.Follow(t.Context(), "web.service", systemd.JournalView{Lines: 1, Follow: true}, func(string) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("after the reader's refusal: %v", err)
	}
}

func TestAComplaintOfJournalctlIsToldOn(t *testing.T) {
	_, err := journalctl(t, "echo 'no journal here' >&2; exit 1\n").Tail(t.Context(), "web.service", 1)
	if err == nil || !strings.Contains(err.Error(), "no journal here") {
		t.Errorf("%v", err)
	}
}

// systemd answers for syslog.service under the name rsyslog.service.
func TestAnAliasIsTheHosts(t *testing.T) {
	row := func(name cluster.UnitName, load string) systemd.Unit {
		return systemd.Unit{Name: name, Load: load, Active: "inactive", Sub: "dead"}
	}
	for _, tt := range []struct {
		names     []cluster.UnitName
		got, want []systemd.Unit
	}{
		{[]cluster.UnitName{"web.service", "none.service"},
			[]systemd.Unit{row("web.service", "masked"), row("none.service", "not-found")},
			[]systemd.Unit{row("none.service", "not-found"), row("web.service", "masked")}},
		{[]cluster.UnitName{"syslog.service", "none.service"},
			[]systemd.Unit{row("rsyslog.service", "loaded"), row("none.service", "not-found")},
			[]systemd.Unit{row("none.service", "not-found"), row("syslog.service", "loaded")}},
		{[]cluster.UnitName{"syslog.service", "rsyslog.service", "syslog.service"},
			[]systemd.Unit{row("rsyslog.service", "loaded"), row("rsyslog.service", "loaded"), row("rsyslog.service", "loaded")},
			[]systemd.Unit{row("rsyslog.service", "loaded"), row("syslog.service", "loaded")}},
	} {
		if diff := cmp.Diff(tt.want, asAsked(tt.names, tt.got)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.names, diff)
		}
	}
}
