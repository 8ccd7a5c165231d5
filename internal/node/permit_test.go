package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"argosy/internal/permit"
)

func TestThePermitProcessIsToldOfARenewalOnlyOnceItWasStored(t *testing.T) {
	dir := t.TempDir()
	cfg := permit.Config{Socket: filepath.Join(dir, "s"), Marker: filepath.Join(dir, "held")}
	ready, ended := make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- permit.Run(ctx, cfg, permit.Deps{
			Log: slog.New(slog.DiscardHandler), Harden: func() []string { return nil },
			Notify: func(state string) error {
				if state == "READY=1" {
					close(ready)
				}
				return nil
			},
		})
	}()
	<-ready
	held := func() bool { _, err := os.Stat(cfg.Marker); return err == nil }

	stored := permitProcess{cfg.Socket, time.Minute}.Sending()
	if held() {
		t.Error("a permit for a renewal that was only sent")
	}
	stored(ctx)
	if !held() {
		t.Error("no permit after a renewal was stored")
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the permit process ended with %v", err)
	}
}
