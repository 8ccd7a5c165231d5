// Package labtest gives tests a lab of their own: real nodes, real systemd. The
// lab has a state folder of its own, what killed runs have left is cleaned up
// first, and it is gone when the test ends.
package labtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab"
	"argosy/internal/loop"
)

// Options describe the lab of a test.
type Options struct {
	Name     string
	Nodes    int
	Settings string // lines of argosy.conf
	NoForm   bool
}

// World is a lab with what tests do to it.
type World struct {
	*lab.Lab
	T      *testing.T
	binary string
	nodes  []*lab.Node
}

// New makes a lab, and ends it with the test. It needs root and the built
// program (make build).
func New(t *testing.T, o Options) *World {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("tests on lab nodes make namespaces and mounts, which takes root")
	}
	binary := Binary(t)
	stateDir := StateDir(t)
	t.Cleanup(func() { // before the folder's own
		if made, err := lab.Open(stateDir, o.Name); err == nil && t.Failed() {
			logNodes(t, made)
		}
	})
	l, err := lab.Up(t.Context(), lab.Config{
		Name: o.Name, Nodes: o.Nodes, Binary: binary, Form: !o.NoForm, Settings: o.Settings, StateDir: stateDir, Progress: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := l.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	return &World{Lab: l, T: t, binary: binary, nodes: nodes}
}

// Binary returns the program that is tested: bin/argosy, as make build leaves
// it, or what ARGOSY_BINARY names.
func Binary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("ARGOSY_BINARY")
	if binary == "" {
		binary = "../../bin/argosy"
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("the program is not built (make build): %v", err)
	}
	return binary
}

// logNodes prints the end of each daemon's log, for a test that failed.
func logNodes(t *testing.T, l *lab.Lab) {
	nodes, err := l.Nodes()
	if err != nil {
		return
	}
	for _, n := range nodes {
		var out bytes.Buffer
		_, _ = n.Exec(context.Background(), nil, &out, &out, "journalctl", "-u", "argosy.service", "-n", "15", "--no-pager", "-o", "short-precise")
		t.Logf("the log of %s:\n%s", n.Name(), &out)
	}
}

// Sub returns the same lab for a subtest.
func (w *World) Sub(t *testing.T) *World {
	c := *w
	c.T = t
	return &c
}

// N returns the i-th node, from 1.
func (w *World) N(i int) *lab.Node { return w.nodes[i-1] }

// Client calls the daemon of the i-th node.
func (w *World) Client(i int) *client.Client {
	w.T.Helper()
	c := client.New(client.Config{Socket: w.N(i).Socket()})
	w.T.Cleanup(c.Close)
	return c
}

// Result is how a command ended.
type Result struct {
	Code   int
	Out    string // standard output
	Err    string // standard error
	Lasted time.Duration
}

// Run runs the command line on the host against the i-th node.
func (w *World) Run(i int, args ...string) Result {
	w.T.Helper()
	cmd := exec.CommandContext(w.T.Context(), w.binary, append([]string{"--socket", w.N(i).Socket()}, args...)...)
	return result(w.T, cmd)
}

// In runs a command inside the i-th node.
func (w *World) In(i int, args ...string) Result {
	w.T.Helper()
	var out, errs bytes.Buffer
	start := time.Now()
	code, err := w.N(i).Exec(w.T.Context(), nil, &out, &errs, args...)
	if err != nil {
		w.T.Fatalf("%v on node-%d: %v", args, i, err)
	}
	return Result{code, out.String(), errs.String(), time.Since(start)}
}

func result(t *testing.T, cmd *exec.Cmd) Result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return Result{cmd.ProcessState.ExitCode(), out.String(), errs.String(), time.Since(start)}
}

// OK runs the command line against the i-th node, demands success, and returns
// its output.
func (w *World) OK(i int, args ...string) string {
	w.T.Helper()
	r := w.Run(i, args...)
	if r.Code != 0 {
		w.T.Fatalf("argosy %s: exit code %d\n%s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r.Out
}

// Soon runs the command line against the i-th node until it succeeds: after a
// disturbance a server may have to find its store again.
func (w *World) Soon(i int, args ...string) {
	w.T.Helper()
	w.Wait(30*time.Second, "argosy "+strings.Join(args, " "), func() string {
		if r := w.Run(i, args...); r.Code != 0 {
			return fmt.Sprintf("exit code %d: %s%s", r.Code, r.Out, r.Err)
		}
		return ""
	})
}

// Refused runs the command line and demands that it is refused with a text.
func (w *World) Refused(i int, want string, args ...string) {
	w.T.Helper()
	r := w.Run(i, args...)
	if r.Code == 0 || !strings.Contains(r.Out+r.Err, want) {
		w.T.Errorf("argosy %s: exit code %d, want a refusal with %q, got:\n%s%s", strings.Join(args, " "), r.Code, want, r.Out, r.Err)
	}
}

// File writes a unit file and returns its path.
func (w *World) File(name, text string) string {
	w.T.Helper()
	path := filepath.Join(w.T.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.T.Fatal(err)
	}
	return path
}

// Wait waits until check returns "", and fails with what it returned last.
func (w *World) Wait(limit time.Duration, what string, check func() string) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), limit)
	defer cancel()
	for {
		missing := check()
		if missing == "" {
			return
		}
		if loop.Sleep(ctx, 50*time.Millisecond) != nil {
			w.T.Fatalf("%s: not within %s: %s", what, limit, missing)
		}
	}
}

// Status returns the page of the i-th node.
func (w *World) Status(i int) wire.Status {
	w.T.Helper()
	r := w.Run(i, "status", "-o", "json")
	var status wire.Status
	if err := json.Unmarshal([]byte(r.Out), &status); err != nil {
		w.T.Fatalf("status of node-%d: %v\n%s%s", i, err, r.Out, r.Err)
	}
	return status
}

// Unit returns a unit as the i-th node shows it.
func (w *World) Unit(i int, name cluster.UnitName) (wire.UnitView, error) {
	ctx, cancel := context.WithTimeout(w.T.Context(), 5*time.Second)
	defer cancel()
	c := client.New(client.Config{Socket: w.N(i).Socket()})
	defer c.Close()
	return c.Unit(ctx, name)
}

// WaitActive waits until a unit is active on exactly one node, as the i-th
// node shows it, and returns that node's number.
func (w *World) WaitActive(i int, name cluster.UnitName, limit time.Duration) (on int) {
	w.T.Helper()
	w.Wait(limit, string(name)+" active on one node", func() string {
		u, err := w.Unit(i, name)
		if err != nil {
			return err.Error()
		}
		if u.Placement == nil || len(u.Placement.Nodes) != 1 {
			return "not placed: " + u.Problem
		}
		for _, s := range u.Statuses {
			if s.Node == u.Placement.Nodes[0] && s.Active == "active" {
				on = w.Number(s.Node)
				return ""
			}
		}
		return fmt.Sprintf("statuses %+v", u.Statuses)
	})
	return on
}

// Number returns the number of the node of an ID, 0 if there is none.
func (w *World) Number(id cluster.NodeID) int {
	for i, n := range w.nodes {
		if n.MachineID() == id {
			return i + 1
		}
	}
	return 0
}

// Marked is the text of a service that runs until it is stopped, as one
// process whose name on the command line is the marker, with further sections.
func Marked(marker, sections string) string {
	return fmt.Sprintf("[Service]\nExecStart=/bin/bash -c 'exec -a %s /bin/sleep infinity'\n%s", marker, sections)
}

// WaitCount waits until there are exactly n processes with a marker.
func (w *World) WaitCount(marker string, n int, limit time.Duration) {
	w.T.Helper()
	w.Wait(limit, fmt.Sprintf("%d processes of %s", n, marker), func() string {
		if have := Count(marker); have != n {
			return fmt.Sprintf("there are %d", have)
		}
		return ""
	})
}

// Count returns how many processes with a marker there are, counted in the
// host's own process table and so on all nodes at once.
func Count(marker string) int {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	n := 0
	for _, path := range lines {
		text, err := os.ReadFile(path)
		name, _, _ := strings.Cut(string(text), "\x00")
		if err == nil && name == marker {
			n++
		}
	}
	return n
}
