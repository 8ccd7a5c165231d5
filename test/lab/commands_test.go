package lab_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"argosy/internal/lab"
	"argosy/internal/lab/labtest"
)

// shell is a person at a terminal of this machine, with a home of their own.
type shell struct {
	t   *testing.T
	env []string
}

func newShell(t *testing.T) shell {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ARGOSY_") || strings.HasPrefix(v, "XDG_") || strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "HOME=")
	})
	return shell{t, append(env, "HOME="+t.TempDir())}
}

// does types a line, hands it the input, and returns what it says; it must end
// with the exit code.
func (s shell) does(code int, input string, words ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), words[0], words[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.env, root, strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || ok && exit.ExitCode() != code || !ok && code != 0 {
		s.t.Fatalf("%s: %v, want exit code %d\n%s", strings.Join(words, " "), err, code, &out)
	}
	return out.String()
}

// Every verb of the lab, as it is typed.
func TestTheVerbsOfTheLab(t *testing.T) {
	t.Parallel()
	s, binary, state := newShell(t), labtest.Binary(t), labtest.StateDir(t)
	l, err := lab.Open(state, "verbs")
	if err != nil {
		t.Fatal(err)
	}
	verb := func(code int, input string, words ...string) string {
		t.Helper()
		return s.does(code, input, append([]string{binary, "lab", "--state", state, "--name", "verbs"}, words...)...)
	}
	shows := func(want string, fields string) {
		t.Helper()
		if got := verb(0, "", "ls", "--no-legend", "--fields", fields); strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("lab ls shows %q, want %q", got, want)
		}
	}
	// knock says whether node-1 hears of node-2: no port is open there, and a host
	// that is reached says so at once.
	knock := func(code int) {
		t.Helper()
		verb(code, "", "exec", "node-1", "--", "timeout", "2", "bash", "-c", "echo >/dev/tcp/10.77.0.2/9")
	}
	write := []string{"exec", "1", "--", "dd", "if=/dev/zero", "of=/var/lib/argosy/some", "bs=1M", "count=4"}

	verb(1, "", "exec", "node-1", "--", "true") // there is none yet
	verb(0, "", "up", "--no-form", "--nodes", "2")
	shows("verbs node-1 on - verbs node-2 on -", "lab,node,power,cuts")
	if got := verb(7, "word", "exec", "node-2", "--", "bash", "-c", "hostname; cat; exit 7"); got != "node-2\nword" {
		t.Errorf("exec: %q", got)
	}
	if got := verb(3, "hostname\nexit 3\n", "shell", "node-1"); !strings.Contains(got, "node-1\n") {
		t.Errorf("shell: %q", got)
	}
	if got := verb(0, "", "logs", "node-1", "-n", "5"); !strings.Contains(got, "node-1") {
		t.Errorf("logs: %q", got)
	}

	s.does(1, "", binary, "status") // plain argosy talks to node-1, which is in no cluster
	verb(0, "", "exec", "node-1", "--", "argosy", "init")
	for _, line := range [][]string{{"status"}, {"--context", "verbs", "status"}} {
		if got := s.does(0, "", append([]string{binary}, line...)...); !strings.Contains(got, "node-1") {
			t.Errorf("%v: %s", line, got)
		}
	}

	for line, cuts := range map[string]string{"node-2": "- node-2", "1:2": "1:2 1:2", "1>2": "1>2 1>2"} {
		knock(1)
		verb(0, "", "cut", line)
		shows(cuts, "cuts") // of node-1 and of node-2
		knock(124)
		verb(0, "", "heal", line)
	}
	verb(0, "", "cut", "1:2")
	verb(0, "", "heal")
	knock(1)

	verb(0, "", "pause", "node-2")
	shows("on paused", "power")
	verb(0, "", "logs", "node-2")
	verb(0, "", "resume", "node-2")
	shows("on on", "power")
	verb(0, "", "power", "node-2", "off")
	shows("on off", "power")
	verb(0, "", "logs", "node-2")
	verb(0, "", "power", "node-2", "on")
	verb(0, "", "exec", "node-2", "--", "true")
	verb(2, "", "power", "node-2", "of")

	verb(0, "", "disk", "node-1", "full")
	verb(1, "", write...)
	verb(0, "", "disk", "node-1", "ok")
	verb(0, "", write...)

	verb(0, "", "down")
	if got := s.does(0, "", binary, "context", "ls", "-o", "name"); got != "local\n" {
		t.Errorf("after down there are the contexts %q", got)
	}
	if left := traces(t, l); len(left) != 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// A lab of other packages has a root of its own; labs without them do not.
func TestALabHasThePackagesThatItAsksFor(t *testing.T) {
	t.Parallel()
	s, state := newShell(t), labtest.StateDir(t)
	for _, tt := range []struct {
		name, packages string
		code           int
	}{{"greeted", "hello", 0}, {"plain", "", 1}} {
		verb := func(code int, words ...string) {
			t.Helper()
			s.does(code, "", append([]string{labtest.Binary(t), "lab", "--state", state, "--name", tt.name}, words...)...)
		}
		verb(0, "up", "--no-form", "--nodes", "1", "--packages", tt.packages)
		verb(tt.code, "exec", "1", "--", "bash", "-c", "hello || exit 1")
		verb(0, "down")
	}
}

// What a newcomer types first: the cluster comes up with the example in it, a
// second time in no time, and down leaves nothing.
func TestMakeUpAndDown(t *testing.T) {
	t.Parallel()
	s, state := newShell(t), labtest.StateDir(t)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // else in the home
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, name+"="+strings.TrimSpace(string(value)))
	}
	l, err := lab.Open(state, "newcomer")
	if err != nil {
		t.Fatal(err)
	}
	here := []string{"NAME=newcomer", "STATE=" + state}
	for range 2 {
		said := s.does(0, "", append([]string{"make", "up"}, here...)...)
		for _, want := range []string{"Quorum: yes, 3 of 3", "hello.service", "Try next:", "lab power node-2 off --name newcomer --state " + state} {
			if !strings.Contains(said, want) {
				t.Errorf("make up does not say %q:\n%s", want, said)
			}
		}
		argosy := filepath.Join("bin", "argosy")
		active := strings.Join(strings.Fields(s.does(0, "", argosy, "list-units", "--no-legend", "--fields", "unit,active")), " ")
		const units = "counter.service active hello.service active lb-config.service active lb.service active shop@1.service active shop@2.service active shop@3.service active"
		if active != units {
			t.Errorf("plain argosy list-units: %q, want %q", active, units)
		}
		if visit := s.does(0, "", argosy, "ssh", "node-1", "--", "curl", "-s", "http://lb/"); !strings.HasPrefix(visit, "visit ") {
			t.Errorf("the shop says %q", visit)
		}
	}
	s.does(0, "", append([]string{"make", "down"}, here...)...)
	if left := traces(t, l); len(left) != 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	s.does(0, "", append([]string{"make", "down"}, here...)...) // once more does no harm
}
