package api

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

// pictured is what a picture shows.
func pictured(t *testing.T, p picture) string {
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
		shown := picture{}.next(b.server.views(b.server.Mirror.State()))
		for _, idle := range []struct {
			name string
			op   store.Op
		}{
			{"a session is renewed", store.PutSession(cluster.Session{Node: there, BootID: "first", Seq: 2})},
			{"a node reports its memory", store.PutReport(cluster.Report{Node: there, Memory: 1 << 30})},
			{"a token is made", store.PutToken(cluster.Token{ID: "t"})},
		} {
			b.put(idle.op)
			next := shown.next(b.server.views(b.server.Mirror.State()))
			if len(next.units) != 1 || !shared(shown.units, next.units) {
				t.Errorf("%s: the units are viewed again", idle.name)
			}
			if diff := cmp.Diff(pictured(t, picture{}.next(b.server.views(b.server.Mirror.State()))), pictured(t, next)); diff != "" {
				t.Errorf("%s (-anew +kept):\n%s", idle.name, diff)
			}
			shown = next
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
		Units:      []cluster.Unit{{Name: "a.service", UID: "1", Desired: cluster.Launched}},
		Placements: []cluster.Placement{{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{"n1"}}},
		Statuses: []cluster.Status{
			{Unit: "a.service", Node: "n1", UID: "1", BootID: "first", Load: "loaded", Active: "failed", Sub: "failed"},
			{Unit: "gone.service", Node: "n3", UID: "3", Load: "loaded", Active: "active", Sub: "running"},
		},
	}
	for _, tt := range []struct {
		name   string
		change func(s *cluster.State)
	}{
		{"a unit", func(s *cluster.State) { s.Units = []cluster.Unit{{Name: "a.service", UID: "1"}} }},
		{"a unit that is gone", func(s *cluster.State) { s.Units = nil }},
		{"a placement", func(s *cluster.State) {
			s.Placements = []cluster.Placement{{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{"n2"}}}
		}},
		{"a status", func(s *cluster.State) {
			s.Statuses = slices.Clone(s.Statuses)
			s.Statuses[0].Active = "active"
		}},
		{"the name of a node", func(s *cluster.State) { s.Nodes[0].Node.Name = "other" }},
		{"the boot of a node", func(s *cluster.State) { s.Nodes[0].Session.BootID = "second" }},
		{"the health of a node", func(*cluster.State) { healths["n1"] = cluster.Lost }},
		{"the health of a node that was removed", func(*cluster.State) { healths["n3"] = cluster.Dead }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := maps.Clone(healths)
			shown := picture{}.next(newViews(first, health))
			changed := *first
			changed.Nodes = slices.Clone(first.Nodes)
			tt.change(&changed)
			want := pictured(t, picture{}.next(newViews(&changed, health)))
			if want == pictured(t, shown) {
				t.Fatal("it makes no difference")
			}
			if diff := cmp.Diff(want, pictured(t, shown.next(newViews(&changed, health)))); diff != "" {
				t.Errorf("(-true +kept):\n%s", diff)
			}
			healths = before
		})
	}
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
