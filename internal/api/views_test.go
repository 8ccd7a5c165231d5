package api

import (
	"slices"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

func TestTheStateOfAUnitIsWhatNodesObserved(t *testing.T) {
	status := func(load, active, result string) []cluster.Status {
		return []cluster.Status{{Unit: "a.service", Node: "n1", UID: "1", Load: load, Active: active, Result: result}}
	}
	for _, tt := range []struct {
		name     string
		desired  cluster.Desired
		statuses []cluster.Status
		want     cluster.Desired
	}{
		{"wanted, but nobody has reported it", cluster.Launched, nil, cluster.Inactive},
		{"placed and known to systemd", cluster.Loaded, status("loaded", "inactive", ""), cluster.Loaded},
		{"running", cluster.Launched, status("loaded", "active", ""), cluster.Launched},
		{"starting", cluster.Launched, status("loaded", "activating", ""), cluster.Launched},
		{"failed: it was launched", cluster.Launched, status("loaded", "failed", "exit-code"), cluster.Launched},
		{"still running although only loaded is wanted", cluster.Loaded, status("loaded", "active", ""), cluster.Launched},
		{"not found by systemd", cluster.Launched, status("not-found", "inactive", ""), cluster.Inactive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := stateOf(wire.UnitView{Unit: cluster.Unit{Desired: tt.desired}, Statuses: tt.statuses}); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAStatusOfAnEarlierUnitOfTheSameNameIsNotShown(t *testing.T) {
	state := &cluster.State{
		Units:    []cluster.Unit{{Name: "a.service", UID: "new", Desired: cluster.Launched}},
		Statuses: []cluster.Status{{Unit: "a.service", Node: "n1", UID: "old", Load: "loaded", Active: "active"}},
	}
	view := newViews(state, func(cluster.NodeID) cluster.Health { return cluster.Ready }).unit(state.Units[0])
	if len(view.Statuses) != 0 || view.State != cluster.Inactive {
		t.Errorf("got %+v", view)
	}
}

func TestWhatWasSeenBeforeABootIsNotShown(t *testing.T) {
	state := &cluster.State{
		Nodes: []cluster.NodeState{
			{Node: cluster.Node{ID: "n1", Name: "node-1"}, Session: cluster.Session{BootID: "second"}},
			{Node: cluster.Node{ID: "n2", Name: "node-2"}, Session: cluster.Session{BootID: "first"}},
			{Node: cluster.Node{ID: "n3", Name: "node-3"}},
		},
		Units: []cluster.Unit{{Name: "a.service", UID: "1", Desired: cluster.Launched}},
	}
	for _, tt := range []struct {
		name         string
		status       cluster.Status
		want, reason string
	}{
		{"of the boot before", cluster.Status{Node: "n1", BootID: "first"}, "", "not heard of since the boot on node-1"},
		{"of this boot", cluster.Status{Node: "n1", BootID: "second"}, "active", ""},
		{"of a node that has not booted again", cluster.Status{Node: "n2", BootID: "first"}, "active", ""},
		{"of a node without a session", cluster.Status{Node: "n3", BootID: "first"}, "active", ""},
		{"from a version that did not say", cluster.Status{Node: "n1"}, "active", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.status.Unit, tt.status.UID, tt.status.Load, tt.status.Active, tt.status.MainPID = "a.service", "1", "loaded", "active", 7
			state.Statuses = []cluster.Status{tt.status}
			view := newViews(state, func(cluster.NodeID) cluster.Health { return cluster.Ready }).unit(state.Units[0])
			if got := view.Statuses[0]; got.Active != tt.want || view.Problem != tt.reason || (got.MainPID != 0) != (tt.want == "active") {
				t.Errorf("shown as %+v, problem %q", got, view.Problem)
			}
		})
	}
}

// The last word of a node that is lost or dead may not be so any more, and the
// unit may not be gone either.
func TestWhatALostNodeLastSaidIsNotShownAsTrue(t *testing.T) {
	seen := func(active, sub string) cluster.Status {
		return cluster.Status{
			Unit: "a.service", Node: "n2", UID: "1", BootID: "first", Load: "loaded", Active: active, Sub: sub, MainPID: 7, Since: time.Unix(1000, 0),
		}
	}
	failed := seen("failed", "failed")
	failed.Result, failed.ExitCode = "exit-code", 7
	for _, tt := range []struct {
		name   string
		health cluster.Health
		boot   string
		status cluster.Status
		active string
		state  cluster.Desired
		reason string
	}{
		{"a node that is ready is believed", cluster.Ready, "first", seen("active", "running"), "active", cluster.Launched, ""},
		{"so is one that no server has timed yet", "", "first", seen("active", "running"), "active", cluster.Launched, ""},
		{"what ran on a lost node may still run", cluster.Lost, "first", seen("active", "running"), "unknown", cluster.Inactive, "node-2 is lost; last seen active (running), and may still run there"},
		{"and on a dead one", cluster.Dead, "first", seen("activating", "start-pre"), "unknown", cluster.Inactive, "node-2 is dead; last seen activating (start-pre), and may still run there"},
		{"what did not run there may run now", cluster.Lost, "first", seen("inactive", "dead"), "unknown", cluster.Inactive, "node-2 is lost; last seen inactive"},
		{"what failed there may have been started again", cluster.Lost, "first", failed, "unknown", cluster.Inactive, "node-2 is lost; last seen failed (exit code 7)"},
		{"what ran before its boot does not run", cluster.Lost, "second", seen("active", "running"), "unknown", cluster.Inactive, "node-2 is lost; not heard of since the boot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := &cluster.State{
				Nodes:      []cluster.NodeState{{Node: cluster.Node{ID: "n2", Name: "node-2"}, Session: cluster.Session{BootID: tt.boot}}},
				Units:      []cluster.Unit{{Name: "a.service", UID: "1", Desired: cluster.Launched}},
				Placements: []cluster.Placement{{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{"n2"}}},
				Statuses:   []cluster.Status{tt.status},
			}
			v := newViews(state, func(cluster.NodeID) cluster.Health { return tt.health })
			view := v.unit(state.Units[0])
			got := view.Statuses[0]
			if got.Active != tt.active || view.State != tt.state || view.Problem != tt.reason {
				t.Errorf("shown as %+v, %s, problem %q", got, view.State, view.Problem)
			}
			if tt.active != "active" && (got.Load != "" || got.Sub != "" || got.MainPID != 0 || !got.Since.IsZero() || got.Result != "" || got.Problem != tt.reason) {
				t.Errorf("more is shown than is known: %+v", got)
			}
			page := wire.Status{}
			countUnits(&page, v)
			if counted := page.UnitsActive == 1; counted != (tt.active == "active") || page.UnitsFailed != 0 {
				t.Errorf("counted as %d active, %d failed", page.UnitsActive, page.UnitsFailed)
			}
			state.Units = nil
			left := new(picture).next(v).units[0]
			if tt.active == "unknown" && (left.Problem != "it was destroyed, but "+tt.reason || left.State != tt.state) {
				t.Errorf("destroyed, it is shown as %s, problem %q", left.State, left.Problem)
			}
		})
	}
}

func TestAProblemIsTheOneThingToKnow(t *testing.T) {
	health := func(id cluster.NodeID) cluster.Health {
		if id == "gone" {
			return cluster.Lost
		}
		return cluster.Ready
	}
	state := &cluster.State{Nodes: []cluster.NodeState{{Node: cluster.Node{ID: "gone", Name: "node-2"}}, {Node: cluster.Node{ID: "n1", Name: "node-1"}}}}
	for _, tt := range []struct {
		name      string
		placement cluster.Placement
		statuses  []cluster.Status
		want      string
	}{
		{"all is well", cluster.Placement{Nodes: []cluster.NodeID{"n1"}}, nil, ""},
		{"pending", cluster.Placement{Reason: "0 of 3 nodes: 3 lack gpu=yes"}, nil, "0 of 3 nodes: 3 lack gpu=yes"},
		{"on a lost node", cluster.Placement{Nodes: []cluster.NodeID{"gone"}}, nil, "node-2 is lost"},
		{
			"failed", cluster.Placement{Nodes: []cluster.NodeID{"n1"}},
			[]cluster.Status{{Node: "n1", Active: "failed", Result: "exit-code", ExitCode: 7}}, "failed (exit code 7) on node-1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := wire.UnitView{Unit: cluster.Unit{Desired: cluster.Launched}, Placement: &tt.placement, Statuses: tt.statuses}
			if got := newViews(state, health).problem(view); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestADiffSaysWhatChangedAndWhatIsGone(t *testing.T) {
	unit := func(name cluster.UnitName, restarts int64) cluster.Unit {
		return cluster.Unit{Name: name, Restarts: restarts}
	}
	before := []cluster.Unit{unit("a.service", 0), unit("b.service", 0), unit("d.service", 0)}
	after := []cluster.Unit{unit("a.service", 0), unit("b.service", 1), unit("c.service", 0)}
	name := func(u *cluster.Unit) cluster.UnitName { return u.Name }
	changed, gone := diff(before, after, name, func(a, b *cluster.Unit) bool { return a.Equal(*b) })
	if len(changed) != 2 || changed[0].Name != "b.service" || changed[1].Name != "c.service" || len(gone) != 1 || gone[0] != "d.service" {
		t.Errorf("changed %v, gone %v", changed, gone)
	}
}

func TestASliceIsWhatIsPlacedOnTheNode(t *testing.T) {
	state := &cluster.State{
		Revision: 9,
		Units: []cluster.Unit{
			{Name: "a.service", UID: "1", Desired: cluster.Launched},
			{Name: "b.service", UID: "2", Desired: cluster.Launched},
			{Name: "c.service", UID: "new", Desired: cluster.Launched},
			{Name: "d.service", UID: "4", Desired: cluster.Inactive},
		},
		Placements: []cluster.Placement{
			{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{"n1"}, Epoch: 5},
			{Unit: "b.service", UID: "2", Nodes: []cluster.NodeID{"n2"}},
			{Unit: "c.service", UID: "old", Nodes: []cluster.NodeID{"n1"}},
			{Unit: "d.service", UID: "4", Nodes: []cluster.NodeID{"n1"}},
		},
	}
	hands := deal(state, nil)
	units := hands["n1"].units
	if len(units) != 1 || units[0].Name != "a.service" || units[0].Epoch != 5 || len(hands) != 2 {
		t.Errorf("got %+v", hands)
	}
	slice := cluster.Slice{Node: "n1", Generation: 9, Units: units}
	if update, changed := sliceChange(slice, slice); changed {
		t.Errorf("nothing changed, but %+v is sent", update)
	}
	with, without := slice, slice
	with.Member = &cluster.Member{Node: "n1", State: cluster.MemberVoter}
	if update, changed := sliceChange(with, without); !changed || !update.Full {
		t.Errorf("a member record that is gone needs the whole slice, got %+v", update)
	}
}

// What is dealt anew to one node leaves the others with what they have.
func TestANodeWithoutAChangeKeepsItsHand(t *testing.T) {
	state := &cluster.State{
		Units: []cluster.Unit{
			{Name: "a.service", UID: "1", Desired: cluster.Launched, Revision: 1},
			{Name: "b.service", UID: "2", Desired: cluster.Launched, Revision: 1},
		},
		Placements: []cluster.Placement{
			{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{"n1"}, Revision: 2},
			{Unit: "b.service", UID: "2", Nodes: []cluster.NodeID{"n1", "n2"}, Revision: 2},
		},
	}
	before := deal(state, nil)
	for _, change := range []struct {
		name string
		do   func(units []cluster.Unit, placements []cluster.Placement)
		want map[cluster.NodeID]bool // keeps its hand
	}{
		{"nothing", func([]cluster.Unit, []cluster.Placement) {}, map[cluster.NodeID]bool{"n1": true, "n2": true}},
		{"a unit", func(u []cluster.Unit, _ []cluster.Placement) { u[0].Revision, u[0].Restarts = 3, 1 }, map[cluster.NodeID]bool{"n1": false, "n2": true}},
		{"a placement", func(_ []cluster.Unit, p []cluster.Placement) { p[1].Revision, p[1].Epoch = 3, 9 }, map[cluster.NodeID]bool{"n1": false, "n2": false}},
		{"a unit that leaves", func(_ []cluster.Unit, p []cluster.Placement) { p[0].Revision, p[0].Nodes = 3, nil }, map[cluster.NodeID]bool{"n1": false, "n2": true}},
	} {
		after := *state
		after.Units, after.Placements = slices.Clone(state.Units), slices.Clone(state.Placements)
		change.do(after.Units, after.Placements)
		hands := deal(&after, before)
		for node, keeps := range change.want {
			if shared(before[node].units, hands[node].units) != keeps {
				t.Errorf("%s changed: %s has %+v", change.name, node, hands[node].units)
			}
			if fresh := deal(&after, nil)[node]; !slices.Equal(fresh.units, hands[node].units) {
				t.Errorf("%s changed: %s has %+v, not %+v", change.name, node, hands[node].units, fresh.units)
			}
		}
	}
}
