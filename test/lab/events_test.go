package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
)

// What happens to three nodes is told by each of them, with reasons; it
// survives a restart of the daemon, and whoever follows it misses nothing and is
// told nothing twice.
func TestEvents(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "events", Nodes: 3})
	// A server that has only just begun its log does not tell what was before.
	for i := 1; i <= 3; i++ {
		w.Wait(10*time.Second, "a log that has begun", func() string { return lacks(told(w, i), []string{"log-begins"}) })
	}
	w.OK(1, "start", w.File("web.service", labtest.Marked("argosy-events-web", "")))
	on := w.WaitActive(1, "web.service", 10*time.Second)
	from, third := on%3+1, (on+1)%3+1
	followed := follow(t, w, from)

	if r := w.Run(from, "start", w.File("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo the disk is on fire; exit 7'\n")); r.Code != 1 {
		t.Errorf("a unit that fails: exit code %d", r.Code)
	}
	if err := w.N(on).PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := fmt.Sprintf("node-%d", on)
	story := []string{
		"unit-placed  web.service: placed on " + lost + ":",
		"unit-active  web.service: active on " + lost,
		"unit-moved  web.service: moved from " + lost + ", which is lost, to node-",
		"unit-active  web.service: active on node-",
		"node-dead  " + lost + ": declared dead",
	}
	for _, i := range []int{from, third} {
		w.Wait(60*time.Second, "the story of a loss", func() string { return lacks(told(w, i, "web.service", lost), story) })
		// Each server times the silence itself, and may notice a little after the leader.
		if diff := lacks(told(w, i, lost), []string{"node-lost  " + lost + ": lost: silent for 8s"}); diff != "" {
			t.Errorf("node-%d: %s", i, diff)
		}
	}
	if diff := lacks(told(w, from, "bad.service"), []string{
		"unit-submitted  bad.service: submitted, to be launched", "unit-failed  bad.service: failed on node-", "(exit code 7)", "the disk is on fire",
	}); diff != "" {
		t.Error(diff)
	}
	if one, other := named(w, from), named(w, third); len(one) < 2 || !bytes.Equal(one, other) {
		t.Errorf("two servers name the same events differently:\n%s\n%s", one, other)
	}

	before := told(w, from, "web.service", lost)
	// Something is written meanwhile: else whoever follows would have missed
	// nothing, and not be told that the log begins anew.
	if r := w.In(from, "systemctl", "stop", "argosy.service"); r.Code != 0 {
		t.Fatalf("stop: %s", r.Err)
	}
	w.Soon(third, "node", "label", fmt.Sprintf("node-%d", third), "seen=yes")
	if r := w.In(from, "systemctl", "start", "argosy.service"); r.Code != 0 {
		t.Fatalf("start: %s", r.Err)
	}
	if err := w.N(on).PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Wait(90*time.Second, "events after a restart", func() string {
		return lacks(told(w, from, "web.service", lost), append(strings.Split(strings.TrimSpace(before), "\n"), "node-ready  "+lost+": heard again"))
	})
	w.Wait(30*time.Second, "what was followed", func() string {
		return lacks(followed.String(), []string{
			"unit-moved web.service: moved from " + lost, "node-dead " + lost,
			"lost the connection", "log-begins", "node-ready " + lost,
		})
	})
	for line := range strings.Lines(followed.String()) {
		if strings.Count(followed.String(), line) > 1 && !strings.HasPrefix(line, "lost the connection") {
			t.Errorf("told twice: %s", line)
		}
	}
	w.Refused(from, "no node \"misspelt\"", "events", "misspelt")
	w.Soon(from, "destroy", "web.service", "bad.service")
	w.Wait(10*time.Second, "the end of a unit", func() string {
		return lacks(told(w, from, "web"), []string{"unit-destroyed  web.service: destroyed"})
	})
}

// told are the events of subjects as a server tells them, without the times; or
// why it does not.
func told(w *labtest.World, i int, subjects ...string) string {
	r := w.Run(i, append([]string{"events", "--since", "1h", "-o", "json"}, subjects...)...)
	if r.Code != 0 {
		return r.Err
	}
	var lines strings.Builder
	decoder := json.NewDecoder(strings.NewReader(r.Out))
	for decoder.More() {
		var e cluster.Event
		if err := decoder.Decode(&e); err != nil {
			return err.Error()
		}
		fmt.Fprintf(&lines, "%s  %s\n", e.Kind, e.Text)
	}
	return lines.String()
}

// lacks says which of some texts do not stand in another, in their order.
func lacks(text string, want []string) string {
	rest := text
	for _, part := range want {
		at := strings.Index(rest, part)
		if at < 0 {
			return fmt.Sprintf("%q is not in its place in:\n%s", part, text)
		}
		rest = rest[at+len(part):]
	}
	return ""
}

// named are the IDs of the moves that a server tells of.
func named(w *labtest.World, i int) []byte {
	var ids []byte
	decoder := json.NewDecoder(strings.NewReader(w.OK(i, "events", "-o", "json", "web.service")))
	for decoder.More() {
		var e cluster.Event
		if err := decoder.Decode(&e); err != nil {
			w.T.Fatal(err)
		}
		if e.Kind == cluster.EventUnitMoved || e.Kind == cluster.EventUnitPlaced {
			ids = append(append(ids, e.ID...), '\n')
		}
	}
	return ids
}

// output is what a program has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines strings.Builder
	for line := range strings.Lines(o.text.String()) {
		lines.WriteString(strings.Join(strings.Fields(line), " ") + "\n") // the columns do not matter
	}
	return lines.String()
}

// follow follows the events of a server until the test ends.
func follow(t *testing.T, w *labtest.World, i int) *output {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &output{}
	cmd := exec.CommandContext(ctx, labtest.Binary(t), "--socket", w.N(i).Socket(), "events", "-f")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return out
}
