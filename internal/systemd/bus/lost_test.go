package bus

import (
	"context"
	"os"
	"testing"

	"argosy/internal/cluster"
)

// TestALostJobIsNoticed waits for a job that systemd does not have, as after
// news of a job's end that never came.
func TestALostJobIsNoticed(t *testing.T) {
	if os.Getenv("ARGOSY_LAB_NODE") == "" {
		t.Skip("needs a real systemd: run on a lab node by test/lab, which sets ARGOSY_LAB_NODE")
	}
	b := New(Config{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Keep(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if _, _, err := b.manager(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := b.result(ctx, managerPath+"/job/4294967295", make(chan string))
	if cluster.KindOf(err) != cluster.Unknown {
		t.Errorf("waiting for it ended with %v", err)
	}
}
