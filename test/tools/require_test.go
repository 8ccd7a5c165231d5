package tools_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labTools are what nodes are made with.
const labTools = "systemd-nspawn mmdebstrap nft mkfs.ext4 nsenter"

// machine is what require.sh finds: nothing of the true one but a shell's tools.
type machine struct {
	uid       string
	goVersion string // "": there is no Go
	tools     string // those of labs that are there
	os        string // of os-release
	apt       string // what apt-get does; "": there is none
}

// require runs require.sh on a machine and returns its exit code and what it
// says. apt-get installs into the machine's folder, "$BIN".
func require(t *testing.T, m machine, what ...string) (code int, said string) {
	t.Helper()
	bin := t.TempDir()
	for _, tool := range []string{"sed", "dirname", "sort", "head", "tr", "grep", "touch", "chmod"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/bash\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("id", "echo "+m.uid)
	if m.goVersion != "" {
		script("go", "echo go"+m.goVersion)
	}
	for tool := range strings.FieldsSeq(m.tools) {
		script(tool, "")
	}
	if m.apt != "" {
		script("apt-get", m.apt)
	}
	release := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(release, []byte("NAME=x\n"+m.os+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/bash", append([]string{"../../tools/require.sh"}, what...)...)
	cmd.Env = []string{"PATH=" + bin, "BIN=" + bin, "OS_RELEASE=" + release}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.String()
}

// Whoever lacks several things is told of all of them at once, with the list of
// packages, and nothing is installed before everything else is well.
func TestWhatIsMissingIsSaid(t *testing.T) {
	const (
		root     = "argosy: this makes namespaces and mounts, which takes root\nhint: run make as root\n"
		noGo     = "argosy: Go is missing\nhint: install Go 1.26 or later\n"
		packages = "argosy: missing packages: systemd-container mmdebstrap nftables e2fsprogs util-linux\n"
		foreign  = packages + "hint: this is not Debian: install by its own means what these names of Debian's stand for\n"
		debian   = "ID=debian"
		never    = "echo must not be called; exit 1"
		install  = `[ "$1" = update ] || for tool in ` + labTools + `; do touch "$BIN/$tool"; chmod +x "$BIN/$tool"; done`
	)
	for name, tt := range map[string]struct {
		machine machine
		code    int
		says    string
	}{
		"nothing":                     {machine{"0", "1.99", labTools, debian, never}, 0, ""},
		"root":                        {machine{"1000", "1.99", labTools, debian, never}, 1, root},
		"Go":                          {machine{"0", "", labTools, debian, never}, 1, noGo},
		"a newer Go":                  {machine{"0", "1.9", labTools, debian, never}, 1, "argosy: Go 1.9 is too old\nhint: install Go 1.26 or later\n"},
		"Debian":                      {machine{"0", "1.99", "", "ID=fedora", ""}, 1, foreign},
		"Debian, though it has apt":   {machine{"0", "1.99", "", "ID=fedora", never}, 1, foreign},
		"one package on another":      {machine{"0", "1.99", "systemd-nspawn nft mkfs.ext4 nsenter", "ID=arch", ""}, 1, strings.Replace(foreign, " systemd-container mmdebstrap nftables e2fsprogs util-linux", " mmdebstrap", 1)},
		"everything":                  {machine{"1000", "", "", "ID=fedora", ""}, 1, root + noGo + foreign},
		"root and packages on Debian": {machine{"1000", "1.99", "", debian, never}, 1, root + packages + "hint: make installs them by itself as root, or: apt-get install systemd-container mmdebstrap nftables e2fsprogs util-linux\n"},
		"packages on Debian":          {machine{"0", "1.99", "", debian, install}, 0, "installing systemd-container mmdebstrap nftables e2fsprogs util-linux\n"},
		"packages on a relative":      {machine{"0", "1.99", "", "ID=ubuntu\nID_LIKE=\"x debian\"", install}, 0, "installing systemd-container mmdebstrap nftables e2fsprogs util-linux\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := require(t, tt.machine, "root", "go", "lab")
			if diff := cmp.Diff(tt.says, strings.ReplaceAll(said, wantGo(t), "1.26")); diff != "" || code != tt.code {
				t.Errorf("exit %d\n%s", code, diff)
			}
		})
	}
	if code, said := require(t, machine{"0", "1.99", "", debian, "exit 0"}, "lab"); code != 1 || !strings.Contains(said, "still missing") {
		t.Errorf("what could not be installed: exit %d: %s", code, said)
	}
}

// wantGo is the version of Go that go.mod asks for.
func wantGo(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\ngo ")
	version, _, _ := strings.Cut(rest, "\n")
	return version
}
