package api

import (
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

// pictured is what a picture shows.
func pictured(t *testing.T, p *picture) string {
	t.Helper()
	text, err := json.MarshalIndent(wire.Change{Units: p.units, Nodes: p.nodes}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What goes on all the time, without anything that happens to a unit, must not
// cost what there is of units.
func TestAnIdleWatchMakesNoViewsOfUnitsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(append(placed("a.service", hello),
			store.PutStatus(cluster.Status{Node: there, Unit: "a.service", UID: "u-a.service", BootID: "first", Load: "loaded", Active: "active"}),
			store.PutSession(cluster.Session{Node: there, BootID: "first", Seq: 1}))...)
		shown := b.server.picture(nil)
		for _, idle := range []struct {
			name string
			op   store.Op
		}{
			{"a session is renewed", store.PutSession(cluster.Session{Node: there, BootID: "first", Seq: 2})},
			{"a node reports its memory", store.PutReport(cluster.Report{Node: there, Memory: 1 << 30})},
			{"a token is made", store.PutToken(cluster.Token{ID: "t"})},
		} {
			b.put(idle.op)
			next := b.server.picture(nil)
			if len(next.units) != 1 || !shared(shown.units, next.units) {
				t.Errorf("%s: the units are viewed again", idle.name)
			}
			if diff := cmp.Diff(pictured(t, new(picture).next(b.server.views(b.server.Mirror.State()))), pictured(t, next)); diff != "" {
				t.Errorf("%s (-anew +kept):\n%s", idle.name, diff)
			}
			if b.server.picture(next) != next {
				t.Errorf("%s: of one moment there are two pictures", idle.name)
			}
			shown = next
		}
		b.server.painter.last = weak.Make(new(picture)) // of a listing, which nobody shows any more
		runtime.GC()
		if next := b.server.picture(shown); !shared(shown.units, next.units) {
			t.Error("after a listing, a watch views all units again")
		}
	})
}

// Whatever changes, a picture shows what one that is made anew would.
func TestWhatWasKeptOfAWatchIsWhatIsTrueNow(t *testing.T) {
	healths := map[cluster.NodeID]cluster.Health{"n1": cluster.Ready, "n2": cluster.Ready}
	health := func(id cluster.NodeID) cluster.Health { return healths[id] }
	first := &cluster.State{
		Nodes: []cluster.NodeState{
			{Node: cluster.Node{ID: "n1", Name: "node-1"}, Session: cluster.Session{BootID: "first"}},
			{Node: cluster.Node{ID: "n2", Name: "node-2"}, Session: cluster.Session{BootID: "first"}},
		},
		Units: []cluster.Unit{
			{Name: "a.service", UID: "1", Desired: cluster.Launched, Revision: 1},
			{Name: "b.service", UID: "2", Desired: cluster.Launched, Revision: 2},
		},
		Placements: []cluster.Placement{
			{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{"n1"}, Revision: 3},
			{Unit: "b.service", UID: "2", Nodes: []cluster.NodeID{"n1"}, Revision: 4},
		},
		Statuses: []cluster.Status{
			{Unit: "a.service", Node: "n1", UID: "1", BootID: "first", Load: "loaded", Active: "failed", Sub: "failed", Revision: 5},
			{Unit: "b.service", Node: "n1", UID: "2", BootID: "first", Load: "loaded", Active: "failed", Sub: "failed", Revision: 6},
			{Unit: "gone.service", Node: "n2", UID: "3", Load: "loaded", Active: "active", Sub: "running", Revision: 7},
			{Unit: "gone.service", Node: "n3", UID: "3", Load: "loaded", Active: "active", Sub: "running", Revision: 8},
		},
	}
	const now = 9
	for _, tt := range []struct {
		name   string
		change func(s *cluster.State)
		kept   int // views of units
	}{
		{"nothing but a revision", func(s *cluster.State) { s.Units = slices.Clone(s.Units) }, 3},
		{"a unit", func(s *cluster.State) { s.Units[0].Desired, s.Units[0].Revision = cluster.Inactive, now }, 2},
		{"a unit that is gone", func(s *cluster.State) { s.Units = s.Units[1:] }, 2},
		{"a unit that is new", func(s *cluster.State) {
			s.Units = append(s.Units, cluster.Unit{Name: "c.service", UID: "9", Revision: now})
		}, 3},
		{"a unit that is new under an old name", func(s *cluster.State) {
			s.Units[0].UID, s.Units[0].Revision = "9", now
		}, 2},
		{"a unit that comes back", func(s *cluster.State) {
			s.Units = append(s.Units, cluster.Unit{Name: "gone.service", UID: "9", Revision: now})
		}, 2},
		{"a placement", func(s *cluster.State) {
			s.Placements[0].Nodes, s.Placements[0].Revision = []cluster.NodeID{"n2"}, now
		}, 2},
		{"a placement that is gone", func(s *cluster.State) { s.Placements = s.Placements[1:] }, 2},
		{"a status", func(s *cluster.State) { s.Statuses[0].Active, s.Statuses[0].Revision = "active", now }, 2},
		{"a status that is gone", func(s *cluster.State) { s.Statuses = s.Statuses[1:] }, 2},
		{"one of two statuses that is gone", func(s *cluster.State) { s.Statuses = slices.Delete(s.Statuses, 2, 3) }, 2},
		{"a status instead of another", func(s *cluster.State) {
			s.Statuses[2].Node, s.Statuses[2].Active, s.Statuses[2].Revision = "n1", "failed", now
		}, 2},
		{"the last status of a unit that was destroyed", func(s *cluster.State) { s.Statuses = s.Statuses[:2] }, 2},
		{"the name of a node", func(s *cluster.State) { s.Nodes[0].Node.Name = "other" }, 0},
		{"the boot of a node", func(s *cluster.State) { s.Nodes[0].Session.BootID = "second" }, 0},
		{"the health of a node", func(*cluster.State) { healths["n1"] = cluster.Lost }, 0},
		{"the health of a node that was removed", func(*cluster.State) { healths["n3"] = cluster.Dead }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := maps.Clone(healths)
			shown := new(picture).next(newViews(first, health))
			changed := &cluster.State{
				Nodes: slices.Clone(first.Nodes), Units: slices.Clone(first.Units),
				Placements: slices.Clone(first.Placements), Statuses: slices.Clone(first.Statuses),
			}
			tt.change(changed)
			want := pictured(t, new(picture).next(newViews(changed, health)))
			if tt.kept < 3 && want == pictured(t, shown) {
				t.Fatal("it makes no difference")
			}
			next := shown.next(newViews(changed, health))
			if diff := cmp.Diff(want, pictured(t, next)); diff != "" {
				t.Errorf("(-true +kept):\n%s", diff)
			}
			if kept := keptOf(shown, next); kept != tt.kept {
				t.Errorf("%d views were kept, not %d", kept, tt.kept)
			}
			healths = before
		})
	}
}

// keptOf counts the units of which a picture shows the views of an earlier one.
func keptOf(before, after *picture) (count int) {
	for _, a := range before.units {
		for _, b := range after.units {
			if a.Name == b.Name && a.Placement == b.Placement && len(a.Statuses) > 0 && shared(a.Statuses, b.Statuses) {
				count++
			}
		}
	}
	return count
}

// Views are of one moment, or what is kept of them might never be true again.
func TestAViewDoesNotChangeItsMindAboutANode(t *testing.T) {
	asked := 0
	v := newViews(&cluster.State{}, func(cluster.NodeID) cluster.Health {
		if asked++; asked > 1 {
			return cluster.Lost
		}
		return cluster.Ready
	})
	first, second := v.away("n1"), v.away("n1")
	if first || second || asked != 1 {
		t.Errorf("away %v, then %v; asked %d times", first, second, asked)
	}
}
