package lab_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab"
	"argosy/internal/lab/labtest"
	"argosy/internal/loop"
)

func TestALabLeavesNothingBehind(t *testing.T) {
	l, up := ownLab(t, "traces")
	if left := traces(t, l); len(left) != 0 {
		t.Fatalf("before there was a lab:\n%s", strings.Join(left, "\n"))
	}
	if err := l.Down(t.Context()); err != nil {
		t.Errorf("down without a lab: %v", err)
	}
	up()
	if during := traces(t, l); len(during) < 6 {
		t.Errorf("a lab that runs has few traces; the test would pass on nothing:\n%s", strings.Join(during, "\n"))
	}
	stranger := startStranger(t, l)
	nodes, err := l.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A damaged record keeps nobody from ending a lab.
	if err := os.WriteFile(filepath.Join(l.Dir(), "lab.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Nodes(); cluster.KindOf(err) != cluster.Internal || !strings.Contains(cluster.HintOf(err), "down") {
		t.Errorf("a damaged record: %v", err)
	}
	for range 2 {
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := traces(t, l); len(left) != 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	if err := stranger.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process that is not the lab's was ended: %v", err)
	}
}

// startStranger starts a process of the host that looks like a part of the lab
// and has even been in its network, but is not.
func startStranger(t *testing.T, l *lab.Lab) *os.Process {
	t.Helper()
	n, err := l.Node("1")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net=/proc/"+strconv.Itoa(n.Init())+"/ns/net", "bash", "-c", "exec -a systemd-nspawn sleep infinity")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process
}

// A run may be killed anywhere. What it has left is completed by up and
// removed by down.
func TestAKilledRunIsCleanedUp(t *testing.T) {
	l, up := ownLab(t, "killed")
	for _, stage := range []struct {
		name    string
		reached func(traces string) bool
	}{
		{"its network exists", func(s string) bool { return strings.Contains(s, "namespace ") }},
		{"a disk is mounted", func(s string) bool { return strings.Contains(s, "/disk") }},
		{"nspawn runs", func(s string) bool { return strings.Contains(s, "process ") }},
		{"a node's systemd runs", func(s string) bool { return strings.Contains(s, "init.scope") }},
	} {
		for _, then := range []string{"down", "up"} {
			t.Run("killed when "+stage.name+", then "+then, func(t *testing.T) {
				killUp(t, l, stage.reached)
				if then == "up" {
					up()
					n, err := l.Node("2")
					if err != nil {
						t.Fatal(err)
					}
					if n.Power() != lab.On {
						t.Errorf("node-2 is %s", n.Power())
					}
				}
				if err := l.Down(t.Context()); err != nil {
					t.Fatal(err)
				}
				if left := traces(t, l); len(left) != 0 {
					t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
				}
			})
		}
	}
}

// killUp runs "argosy lab up" and kills it when it has come as far as wanted.
func killUp(t *testing.T, l *lab.Lab, reached func(traces string) bool) {
	t.Helper()
	binary := labtest.Binary(t)
	cmd := exec.Command(binary, "lab", "up", "--no-form", "--nodes", "2", "--name", l.Name(), "--state", filepath.Dir(l.Dir()))
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !reached(strings.Join(traces(t, l), "\n")) {
		if loop.Sleep(ctx, time.Millisecond) != nil {
			break // as far as it ever comes
		}
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		t.Log("the run was over before it was killed")
	}
}

// ownLab prepares a lab of two nodes that the test ends itself.
func ownLab(t *testing.T, name string) (l *lab.Lab, up func()) {
	t.Helper()
	stateDir := labtest.StateDir(t)
	l, err := lab.Open(stateDir, name)
	if err != nil {
		t.Fatal(err)
	}
	cfg := lab.Config{Name: name, Nodes: 2, Binary: labtest.Binary(t), StateDir: stateDir, Progress: t.Logf}
	return l, func() {
		t.Helper()
		if _, err := lab.Up(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
}

// traces lists what there is of a lab on this host, as the kernel and the disk
// have it: mounts, loop devices, namespaces, control groups, processes, files.
func traces(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	dir, id := l.Dir(), l.ID()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir+"/") {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	for what, patterns := range map[string][]string{
		"namespace": {"/run/netns/argosy-" + id + "*"},
		"file":      {dir, dir + ".lock", "/run/systemd/nspawn/propagate/" + id + "-*"},
		"group":     {"/sys/fs/cgroup/argosy-lab/" + id, "/sys/fs/cgroup/*/argosy-lab/" + id, "/sys/fs/cgroup/*/argosy-lab/" + id + "/*/payload/init.scope"},
	} {
		for _, pattern := range patterns {
			paths, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				found = append(found, what+" "+path)
			}
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range loops {
		if file, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(file), dir+"/") {
			found = append(found, "loop device of "+strings.TrimSpace(string(file)))
		}
	}
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, path := range groups {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "/argosy-lab/"+id+"/") {
			continue
		}
		// What is dead and waits for its parent to notice has no command line.
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); err == nil && len(line) > 0 {
			found = append(found, "process "+path+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
