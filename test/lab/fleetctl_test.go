package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/lab/labtest"
)

// desk is where somebody sits who has used fleetctl for years: a folder with a
// template, the program under its old name, and an ssh that leads into the nodes.
type desk struct {
	*labtest.World
	dir string
}

func newDesk(w *labtest.World) *desk {
	d := &desk{w, w.T.TempDir()}
	if err := os.Symlink(labtest.Binary(w.T), filepath.Join(d.dir, "fleetctl")); err != nil {
		w.T.Fatal(err)
	}
	d.write("app@.service", 0o644, "[Unit]\nDescription=App %i\n\n"+labtest.Marked("argosy-app", "\n[X-Fleet]\nConflicts=app@*.service\n"))
	// What follows "--" is the host and what its shell is to run.
	d.write("ssh", 0o755, fmt.Sprintf("#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nexec '%s' lab exec --state '%s' --name '%s' \"$2\" -- sh -c \"$3\"\n",
		labtest.Binary(w.T), filepath.Dir(w.Dir()), w.Name()))
	return d
}

func (d *desk) write(name string, mode os.FileMode, text string) {
	d.T.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), mode); err != nil {
		d.T.Fatal(err)
	}
}

// typed types a line into a shell, and demands an exit code.
func (d *desk) typed(code int, line string, env ...string) (out string) {
	d.T.Helper()
	shell := exec.CommandContext(d.T.Context(), "bash", "-c", line)
	shell.Dir = d.dir
	shell.Env = append(append(os.Environ(), "PATH="+d.dir+":"+os.Getenv("PATH")), env...)
	var said strings.Builder
	shell.Stderr = &said
	text, _ := shell.Output()
	if got := shell.ProcessState.ExitCode(); got != code {
		d.T.Fatalf("%s: exit code %d, want %d\n%s%s", line, got, code, text, &said)
	}
	return string(text)
}

func TestAnOldSessionOfFleetctl(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "fleetctl", Nodes: 3})
	d := newDesk(w)
	here := "FLEETCTL_ENDPOINT=unix://" + w.N(1).Socket()

	t.Run("every line of the guide works", func(t *testing.T) {
		d := &desk{w.Sub(t), d.dir}
		text, err := os.ReadFile(filepath.Join(root, "docs/guide/fleet.md"))
		if err != nil {
			t.Fatal(err)
		}
		lines := regexp.MustCompile(`(?m)^    (fleetctl .*)$`).FindAllStringSubmatch(string(text), -1)
		if len(lines) < 10 {
			t.Fatalf("the guide has only %d lines to type", len(lines))
		}
		for _, line := range lines {
			d.typed(0, line[1], here)
		}
		w.WaitCount("argosy-app", 0, 5*time.Second)
	})

	t.Run("every call of the old API in the guide works, as it stands there", func(t *testing.T) {
		w := w.Sub(t)
		text, err := os.ReadFile(filepath.Join(root, "docs/guide/fleet.md"))
		if err != nil {
			t.Fatal(err)
		}
		calls := regexp.MustCompile(`(?m)^    curl (?:.*\\\n)*.*$`).FindAllString(string(text), -1)
		if len(calls) < 3 {
			t.Fatalf("the guide has only %d calls", len(calls))
		}
		for _, call := range calls {
			call = strings.ReplaceAll(call, "MACHINEID", string(w.N(1).MachineID()))
			if r := w.In(1, "bash", "-c", strings.Replace(call, "curl ", "curl -sS --fail-with-body ", 1)); r.Code != 0 {
				t.Errorf("%s: exit code %d\n%s%s", call, r.Code, r.Out, r.Err)
			}
		}
		if labels := w.OK(2, "nodes", "--fields", "node,labels", "--no-legend"); !strings.Contains(labels, "region=eu") {
			t.Errorf("after them, the nodes have the labels\n%s", labels)
		}
		w.OK(1, "node", "label", "node-1", "region-")
	})

	t.Run("from submit to destroy, by its exit codes and tables", func(t *testing.T) {
		d := &desk{w.Sub(t), d.dir}
		d.typed(0, "fleetctl submit app@.service", here)
		d.typed(0, "fleetctl load app@1", here)
		hash := d.typed(0, "fleetctl list-unit-files --no-legend --fields hash app@1", here)
		on := regexp.MustCompile(`[0-9a-f]{8}\.\.\./[0-9.]+`).FindString(d.typed(0, "fleetctl list-unit-files --no-legend --fields target app@1", here))
		want := fmt.Sprintf("%-15s %-8s %-9s %-9s %s\n", "UNIT", "HASH", "DSTATE", "STATE", "TARGET") +
			fmt.Sprintf("%-15s %-8s %-9s %-9s %s\n", "app@.service", strings.TrimSpace(hash), "inactive", "inactive", "-") +
			fmt.Sprintf("%-15s %-8s %-9s %-9s %s\n", "app@1.service", strings.TrimSpace(hash), "loaded", "loaded", on)
		got := d.typed(0, "fleetctl list-unit-files", here)
		if diff := cmp.Diff(strings.Fields(want), strings.Fields(got)); diff != "" || on == "" {
			t.Error(diff)
		}
		d.typed(3, "fleetctl status app@1", here) // loaded, not started: systemctl's code
		d.typed(0, "fleetctl start --no-block app@1", here)
		d.WaitActive(1, "app@1.service", 10*time.Second)
		if got, want := d.typed(0, "fleetctl list-units --no-legend", here), "app@1.service  "+on+"  active  running\n"; got != want {
			t.Errorf("list-units: %q, want %q", got, want)
		}
		if text := d.typed(0, "fleetctl cat app@1", here); !strings.HasPrefix(text, "[Unit]\nDescription=App %i\n") {
			t.Errorf("cat: %s", text)
		}
		if text := d.typed(0, "fleetctl journal --lines=50 app@1", here); !strings.Contains(text, "App 1") {
			t.Errorf("journal: %s", text)
		}
		d.typed(0, "fleetctl start app@2 app@3", here)
		d.typed(1, "fleetctl start --block-attempts=1 app@4", here) // there is no fourth machine
		d.typed(0, "fleetctl restart app@1", here)
		d.typed(0, "fleetctl unload app@{1..4}", here)
		d.typed(1, "fleetctl stop app@1", here)
		d.typed(0, "fleetctl destroy app@{1..4} app@.service", here)
		if left := d.typed(0, "fleetctl list-unit-files --no-legend", here); left != "" {
			t.Errorf("left over: %s", left)
		}
		d.WaitCount("argosy-app", 0, time.Second)
	})

	t.Run("through a tunnel, and through an ssh:// endpoint", func(t *testing.T) {
		d := &desk{w.Sub(t), d.dir}
		machines := d.typed(0, "fleetctl list-machines -l", here)
		for _, line := range []string{
			"fleetctl --tunnel node-2 list-machines -l", "fleetctl --endpoint ssh://root@node-3 list-machines -l",
			"fleetctl --tunnel node-2 --endpoint unix:///var/run/fleet.sock list-machines --full",
		} {
			if diff := cmp.Diff(machines, d.typed(0, line)); diff != "" {
				t.Errorf("%s: %s", line, diff)
			}
		}
		d.typed(0, "fleetctl --tunnel node-2 start app@1")
		d.WaitActive(1, "app@1.service", 10*time.Second)
		d.typed(0, "fleetctl --tunnel node-3 destroy app@1")
		if got := d.typed(1, "fleetctl --tunnel node-9 list-machines 2>&1"); !strings.Contains(got, "no tunnel by ssh: ") || !strings.Contains(got, "node-9") {
			t.Errorf("a tunnel to nowhere says %q", got)
		}
	})
}
