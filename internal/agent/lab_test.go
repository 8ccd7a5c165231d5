package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"argosy/internal/agent"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
	"argosy/internal/systemd/bus"
)

// TestOnARealSystemd runs the agent on a lab node's own systemd: many units at
// once, a change of all, a restart of the agent, and their end.
func TestOnARealSystemd(t *testing.T) {
	if os.Getenv("ARGOSY_LAB_NODE") == "" {
		t.Skip("needs a real systemd: run on a lab node by test/lab, which sets ARGOSY_LAB_NODE")
	}
	const units = 300
	ctx, cancel := context.WithCancel(context.Background())
	driver, kept := bus.New(bus.Config{}), make(chan struct{})
	go func() { defer close(kept); _ = driver.Keep(ctx) }()
	t.Cleanup(func() { cancel(); <-kept })
	counted := &counting{Manager: driver}
	h, dir := newHub(), t.TempDir()
	var log lockedBuffer
	t.Cleanup(func() {
		if t.Failed() {
			explain(t, h, driver, log.String())
		}
	})
	begin := func() (stop func()) {
		a := agent.New(agent.Config{Node: "n1", Timings: cluster.DefaultTimings(), Dir: dir, BootID: "b"},
			agent.Deps{Uplink: h, Manager: counted, Journal: bus.Journal{},
				Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); _ = a.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	put := func(text string) {
		h.change(func() {
			for i := range units {
				name := cluster.UnitName(fmt.Sprintf("argosytest-%04d.service", i))
				h.units[name] = assignment(name, text)
			}
		})
	}
	text := "[Service]\nExecStart=/bin/sleep infinity\n"
	stop := begin()
	put(text)
	first := awaitAll(t, h, units, text)
	if n := counted.reloads.Load(); n != 0 {
		t.Errorf("%d reloads for new units", n)
	}
	changed := text + "Environment=X=1\n"
	put(changed)
	second := awaitAll(t, h, units, changed)
	if n := counted.reloads.Load(); n > 2 {
		t.Errorf("%d reloads for a change of %d units", n, units)
	}
	stop()
	stop = begin()
	h.change(func() { clear(h.records) })
	after := awaitAll(t, h, units, changed)
	for name, pid := range second {
		if first[name] == pid {
			t.Errorf("%s was not started anew", name)
		}
		if after[name] != pid {
			t.Errorf("%s was disturbed by a restart of the agent", name)
		}
	}
	h.change(func() { clear(h.units) })
	await(t, "every unit is gone", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.records) == 0
	})
	stop()
	left, err := driver.Observe(ctx)
	if err != nil || len(left) != 0 {
		t.Errorf("left: %d units, %v", len(left), err)
	}
}

// awaitAll waits until every unit runs the text, and returns their processes.
func awaitAll(t *testing.T, h *hub, units int, text string) map[cluster.UnitName]int {
	t.Helper()
	began := time.Now()
	pids := map[cluster.UnitName]int{}
	await(t, "every unit runs", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		clear(pids)
		for name, s := range h.records {
			if s.Active == "active" && s.Hash == cluster.HashText(text) && s.MainPID != 0 {
				pids[name] = s.MainPID
			}
		}
		return len(pids) == units
	})
	t.Logf("%d units after %s", units, time.Since(began).Round(time.Millisecond))
	return pids
}

// explain says of the units that are not as they should be what is recorded of
// them, what systemd shows, and what the agent did.
func explain(t *testing.T, h *hub, driver systemd.Manager, log string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	shown := 0
	for name, want := range h.units {
		s := h.records[name]
		if s.Active == "active" && s.Hash == want.Hash && s.MainPID != 0 {
			continue
		}
		if shown++; shown > 3 {
			continue
		}
		seen, err := driver.Observe(context.Background(), name)
		t.Logf("%s should be %s\nrecorded: %+v\nsystemd: %+v %v", name, want.Hash, s, seen, err)
		for line := range strings.Lines(log) {
			if strings.Contains(line, string(name)) {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	t.Logf("%d units in all; the end of the log:\n%s", shown, log[max(0, len(log)-3000):])
}

// lockedBuffer takes a log from several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

// await looks again and again, up to a deadline that only a hang reaches.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pace := loop.Pace{Every: 20 * time.Millisecond}
	for !is() {
		if pace.Wait(ctx) != nil {
			t.Fatalf("after a minute it is not so that %s", what)
		}
	}
}

// counting counts reloads.
type counting struct {
	systemd.Manager
	reloads atomic.Int64
}

func (c *counting) Reload(ctx context.Context) error {
	c.reloads.Add(1)
	return c.Manager.Reload(ctx)
}
