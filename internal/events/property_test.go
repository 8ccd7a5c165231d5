package events_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/events"
)

// A history is written record by record, as a store is: each write has a
// revision of its own.
type history struct {
	t    *rapid.T
	view events.View
}

func (h *history) names() []cluster.UnitName { return []cluster.UnitName{"a.service", "b.service"} }

// step writes one record.
func (h *history) step() {
	state := *h.view.State
	state.Revision++
	h.view.State, h.view.At = &state, h.view.At.Add(1)
	unit := rapid.SampledFrom(h.names()).Draw(h.t, "unit")
	node := rapid.SampledFrom([]cluster.NodeID{n1, n2, n3}).Draw(h.t, "node")
	switch rapid.IntRange(0, 6).Draw(h.t, "what") {
	case 0:
		state.Units = put(state.Units, cluster.Unit{
			Name: unit, UID: cluster.UID(h.word("u1", "u2")), Hash: cluster.Hash(h.word("h1", "h2")),
			Desired: cluster.Desired(h.word("loaded", "launched")), Revision: state.Revision,
		}, func(u cluster.Unit) string { return string(u.Name) })
	case 1:
		state.Units = drop(state.Units, func(u cluster.Unit) bool { return u.Name == unit })
	case 2:
		p := cluster.Placement{Unit: unit, UID: cluster.UID(h.word("u1", "u2")), Reason: h.word("x", "y"), Revision: state.Revision}
		if rapid.Bool().Draw(h.t, "placed") {
			p.Nodes = []cluster.NodeID{node}
		}
		state.Placements = put(state.Placements, p, func(p cluster.Placement) string { return string(p.Unit) })
	case 3:
		state.Placements = drop(state.Placements, func(p cluster.Placement) bool { return p.Unit == unit })
	case 4, 5:
		state.Statuses = put(state.Statuses, h.status(unit, node, state.Revision), func(s cluster.Status) string { return string(s.Unit) + string(s.Node) })
	case 6:
		state.Statuses = drop(state.Statuses, func(s cluster.Status) bool { return s.Unit == unit && s.Node == node })
	}
}

func (h *history) status(unit cluster.UnitName, node cluster.NodeID, revision cluster.Revision) cluster.Status {
	s := cluster.Status{Unit: unit, Node: node, UID: "u1", Hash: "h1", BootID: "boot", Load: "loaded", Since: h.view.At, Revision: revision}
	switch s.Active = h.word("active", "failed", "inactive", "activating"); s.Active {
	case "active":
		s.MainPID = rapid.IntRange(1, 3).Draw(h.t, "pid")
	case "failed":
		s.Result = h.word("exit-code", "signal")
	case "inactive":
		s.Job = h.word("", "done", "assert")
	case "activating":
		s.Sub = h.word("start", "auto-restart")
	}
	return s
}

func (h *history) word(words ...string) string { return rapid.SampledFrom(words).Draw(h.t, "word") }

func put[T any](list []T, item T, key func(T) string) []T {
	list = drop(list, func(o T) bool { return key(o) == key(item) })
	at, _ := slices.BinarySearchFunc(list, item, func(a, b T) int {
		switch {
		case key(a) < key(b):
			return -1
		case key(a) > key(b):
			return 1
		}
		return 0
	})
	return slices.Insert(list, at, item)
}

func drop[T any](list []T, gone func(T) bool) []T { return slices.DeleteFunc(slices.Clone(list), gone) }

// subjects are what events tell of.
func subjects(lists ...[]cluster.Event) map[string]bool {
	all := map[string]bool{}
	for _, e := range slices.Concat(lists...) {
		all[string(e.Unit)] = true
	}
	return all
}

// Whatever happened: nothing is told of nothing; whoever looks once misses what
// came and went between, but tells of no unit of which whoever looked twice told
// nothing; and no two events of one look have the same name.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t, view: world()}
		grow := func(name string) events.View {
			for range rapid.IntRange(0, 6).Draw(t, name) {
				h.step()
			}
			return h.view
		}
		a := grow("before")
		b := grow("first")
		c := grow("second")
		if got := events.Diff(a, a); len(got) != 0 {
			t.Fatalf("of nothing, this is told: %q", told(got))
		}
		once, first, second := events.Diff(a, c), events.Diff(a, b), events.Diff(b, c)
		known := subjects(first, second)
		for _, e := range once {
			if !known[string(e.Unit)] {
				t.Fatalf("%q is told at once, but step by step only %q, %q", e.Text, told(first), told(second))
			}
		}
		ids := map[string]bool{}
		for _, e := range once {
			if ids[e.ID] {
				t.Fatalf("two events are named %s: %q", e.ID, told(once))
			}
			ids[e.ID] = true
		}
		if again := events.Diff(a, c); !cmp.Equal(once, again) {
			t.Fatalf("told differently the second time: %s", cmp.Diff(once, again))
		}
	})
}
