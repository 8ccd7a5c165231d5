package bus_test

import (
	"context"
	"os"
	"testing"

	"argosy/internal/systemd/bus"
	"argosy/internal/systemd/systemdtest"
)

// TestBusConforms needs a real systemd, which the lab provides: it builds this
// package's tests and runs them on a lab node.
func TestBusConforms(t *testing.T) {
	if os.Getenv("ARGOSY_LAB_NODE") == "" {
		t.Skip("needs a real systemd: run on a lab node by test/lab, which sets ARGOSY_LAB_NODE")
	}
	systemdtest.Run(t, func(t *testing.T) systemdtest.Node {
		b := bus.New(bus.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = b.Keep(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		return systemdtest.Node{Manager: b, Journal: bus.Journal{}, Host: "systemd-journald.service", Alias: "default.target"}
	})
}
