package sim

import (
	"context"
	"fmt"
	"sync"

	"argosy/internal/audit"
	"argosy/internal/cluster"
	"argosy/internal/mirror"
	"argosy/internal/specs"
)

// watcher checks the invariants at every revision of the store that it sees.
type watcher struct {
	mirror *mirror.Mirror
	stop   func()

	mu    sync.Mutex
	wrong []string
}

// watch starts a watcher over a mirror that nothing can cut off.
func watch(m *mirror.Mirror) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w := &watcher{mirror: m, stop: func() { cancel(); running.Wait() }}
	running.Go(func() { _ = m.Run(ctx) })
	running.Go(func() { w.run(ctx) })
	return w
}

func (w *watcher) close() { w.stop() }

func (w *watcher) current() *cluster.State { return w.mirror.State() }

func (w *watcher) run(ctx context.Context) {
	var before *cluster.State
	var cache specs.Cache
	for {
		after := cluster.Revision(0)
		if before != nil {
			after = before.Revision
		}
		state, err := w.mirror.Wait(ctx, after)
		if err != nil {
			return
		}
		w.note(state.Revision, audit.Lasting(audit.CheckWith(state, cache.Of)))
		if before != nil {
			w.note(state.Revision, audit.CheckStep(before, state))
		}
		before = state
	}
}

func (w *watcher) note(rev cluster.Revision, findings []audit.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range findings {
		w.wrong = append(w.wrong, fmt.Sprintf("revision %d: %s", rev, f))
	}
}

func (w *watcher) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong := w.wrong
	w.wrong = nil
	return wrong
}
