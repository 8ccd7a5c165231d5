package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"argosy/internal/audit"
	"argosy/internal/cluster"
	"argosy/internal/mirror"
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
	for {
		after := cluster.Revision(0)
		if before != nil {
			after = before.Revision
		}
		state, err := w.mirror.Wait(ctx, after)
		if err != nil {
			return
		}
		w.note(state.Revision, audit.Lasting(audit.Check(state)))
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

// Audit implements World.
func (s *Sim) Audit(atRest bool) []string {
	wrong := s.watcher.take()
	if !atRest {
		return wrong
	}
	state := s.watcher.current()
	if state == nil {
		return append(wrong, "the store was not read yet")
	}
	for _, f := range audit.Check(state) {
		wrong = append(wrong, f.String())
	}
	return append(wrong, s.count(state)...)
}

// count compares what runs, in processes of all nodes, with what should.
func (s *Sim) count(state *cluster.State) []string {
	running := map[cluster.UnitName][]string{}
	for _, m := range s.machines {
		for name := range m.fake.Processes() {
			running[name] = append(running[name], m.name)
		}
	}
	want := map[cluster.UnitName][]string{}
	for _, u := range state.Units {
		if u.Desired != cluster.Launched {
			continue
		}
		i, ok := slices.BinarySearchFunc(state.Placements, u.Name, func(p cluster.Placement, n cluster.UnitName) int {
			return compare(p.Unit, n)
		})
		if !ok || state.Placements[i].UID != u.UID {
			want[u.Name] = []string{"(not placed)"}
			continue
		}
		up := false
		for _, m := range s.machines {
			up = up || m.up && state.Placements[i].On(m.id)
			if state.Placements[i].On(m.id) && m.up && !failed(state, u.Name, m.id) {
				want[u.Name] = append(want[u.Name], m.name)
			}
		}
		if !up && !state.Placements[i].Pending() {
			want[u.Name] = []string{"(a node that has power)"}
		}
	}
	var wrong []string
	for _, name := range sortedKeys(running, want) {
		if !slices.Equal(running[name], want[name]) {
			wrong = append(wrong, fmt.Sprintf("%s runs on %v and should run on %v", name, running[name], want[name]))
		}
	}
	return wrong
}

// failed reports whether a node says that a unit does not run because it
// failed, or waits to be started again by its systemd.
func failed(state *cluster.State, unit cluster.UnitName, node cluster.NodeID) bool {
	return slices.ContainsFunc(state.Statuses, func(s cluster.Status) bool {
		return s.Unit == unit && s.Node == node && (s.Active == "failed" || s.Sub == "auto-restart")
	})
}

func compare(a, b cluster.UnitName) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func sortedKeys(sets ...map[cluster.UnitName][]string) []cluster.UnitName {
	var keys []cluster.UnitName
	for _, set := range sets {
		for key := range set {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
