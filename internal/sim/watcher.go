package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"argosy/internal/audit"
	"argosy/internal/cluster"
	"argosy/internal/mirror"
	"argosy/internal/specs"
	"argosy/internal/store"
)

// watcher checks the invariants at every single revision of the store, over a
// line that nothing can cut.
type watcher struct {
	mirror *mirror.Mirror
	feed   *feed
	stop   func()

	mu    sync.Mutex
	wrong []string
}

func watch(db store.Store, log *slog.Logger) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	f := &feed{Store: db, parts: make(chan store.Batch)}
	w := &watcher{mirror: mirror.New(f, log), feed: f, stop: func() { cancel(); running.Wait() }}
	running.Go(func() { _ = w.mirror.Run(ctx) })
	running.Go(func() {
		if err := w.run(ctx); ctx.Err() == nil {
			w.note(0, []audit.Finding{{Rule: "watcher", Message: fmt.Sprintf("not every revision was seen: %v", err)}})
		}
	})
	return w
}

func (w *watcher) close() { w.stop() }

func (w *watcher) current() *cluster.State { return w.mirror.State() }

// run hands the mirror one revision after the other, and checks what it shows
// then.
func (w *watcher) run(ctx context.Context) error {
	var cache specs.Cache
	before, err := w.mirror.Wait(ctx, 0)
	if err != nil {
		return err
	}
	w.note(before.Revision, audit.Lasting(audit.CheckWith(before, cache.Of)))
	history := w.feed.Store.Watch(ctx, store.Root, before.Revision)
	for batch := range history.C() {
		for _, part := range byRevision(batch) {
			select {
			case w.feed.parts <- part:
			case <-ctx.Done():
				return ctx.Err()
			}
			state, err := w.mirror.WaitFor(ctx, part.Revision)
			if err != nil {
				return err
			}
			if state.Revision == before.Revision {
				continue // a sign of life
			}
			w.note(state.Revision, audit.Lasting(audit.CheckWith(state, cache.Of)))
			w.note(state.Revision, audit.CheckStep(before, state))
			before = state
		}
	}
	return history.Err()
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

// feed is a store whose watch delivers what is put into it: a mirror of it shows
// no later revision than it is to.
type feed struct {
	store.Store
	parts chan store.Batch
}

// Watch implements store.Store.
func (f *feed) Watch(context.Context, string, cluster.Revision) store.Watch { return f }

// C implements store.Watch.
func (f *feed) C() <-chan store.Batch { return f.parts }

// Err implements store.Watch; nobody closes a feed.
func (f *feed) Err() error { return nil }

// byRevision splits a batch into one for each revision that changed something.
// A sign of life stays one.
func byRevision(batch store.Batch) []store.Batch {
	if len(batch.Events) == 0 {
		return []store.Batch{batch}
	}
	var parts []store.Batch
	for _, event := range batch.Events {
		if n := len(parts); n == 0 || parts[n-1].Revision != event.Changed {
			parts = append(parts, store.Batch{Revision: event.Changed})
		}
		last := &parts[len(parts)-1]
		last.Events = append(last.Events, event)
	}
	return parts
}
