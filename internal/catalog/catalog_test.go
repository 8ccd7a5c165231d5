package catalog_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
)

func TestAUnitIsAnnouncedWhileSystemdSaysThatItIsActive(t *testing.T) {
	offers := []cluster.Offer{{Service: "web", Port: 80, Protocol: "tcp"}, {Service: "web-admin", Port: 81, Protocol: "tcp"}}
	for _, tt := range []struct {
		status cluster.Status
		reason string
	}{
		{cluster.Status{Active: "active", Sub: "running"}, ""},
		{cluster.Status{Active: "active", Sub: "listening"}, ""},
		{cluster.Status{Active: "reloading", Sub: "reload"}, ""},
		{cluster.Status{Active: "refreshing", Sub: "refresh"}, ""},
		{cluster.Status{Active: "activating", Sub: "start"}, "the unit is activating (start)"},
		{cluster.Status{Active: "deactivating", Sub: "stop-sigterm"}, "the unit is deactivating (stop-sigterm)"},
		{cluster.Status{Active: "inactive", Sub: "dead"}, "the unit is inactive (dead)"},
		{cluster.Status{Active: "failed", Sub: "failed", Result: "exit-code", ExitCode: 7}, "the unit failed: exit code 7"},
		{cluster.Status{Active: "inactive", Sub: "dead", Job: cluster.JobGaveUp}, "the unit failed: it was started again and again, and kept systemd from all else"},
	} {
		for _, o := range catalog.Announce(offers, tt.status, "") {
			if o.Healthy != (tt.reason == "") || o.Reason != tt.reason {
				t.Errorf("%s (%s): %+v, want reason %q", tt.status.Active, tt.status.Sub, o, tt.reason)
			}
		}
	}
	for _, o := range catalog.Announce(offers, cluster.Status{Active: "active"}, "it is not healthy") {
		if o.Healthy || o.Reason != "it is not healthy" {
			t.Errorf("one that its node has a reason against: %+v", o)
		}
	}
	if offers[0].Healthy {
		t.Error("what was given has changed")
	}
	if got := catalog.Announce(nil, cluster.Status{Active: "active"}, ""); got != nil {
		t.Errorf("a unit that offers nothing: %v", got)
	}
}

// world is a cluster of two nodes on which a unit offers a service.
func world() *cluster.State {
	node := func(id cluster.NodeID, n byte) cluster.NodeState {
		return cluster.NodeState{
			Node: cluster.Node{ID: id, Name: "node-" + string(id)}, Session: cluster.Session{Node: id, BootID: "boot"},
			Report: cluster.Report{Node: id, Address: netip.AddrFrom4([4]byte{10, 0, 0, n})},
		}
	}
	return &cluster.State{
		Nodes:      []cluster.NodeState{node("a", 1), node("b", 2)},
		Units:      []cluster.Unit{{Name: "web.service", UID: "u", Desired: cluster.Launched}},
		Placements: []cluster.Placement{{Unit: "web.service", UID: "u", Nodes: []cluster.NodeID{"b"}, Epoch: 3}},
		Statuses: []cluster.Status{{
			Unit: "web.service", Node: "b", UID: "u", Epoch: 3, BootID: "boot", Active: "active",
			Offers: []cluster.Offer{{Service: "web", Port: 80, Protocol: "tcp", Parameters: map[string]string{"v": "2"}, Healthy: true}},
		}},
	}
}

// text is a catalog on a line for each endpoint.
func text(services []cluster.Service) (lines []string) {
	for _, s := range services {
		for _, e := range s.Endpoints {
			line := fmt.Sprintf("%s %s:%d/%s %s on %s %v", s.Name, e.Address, e.Port, e.Protocol, e.Unit, e.NodeName, e.Parameters)
			if !e.Healthy {
				line += " not: " + e.Reason
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestOf(t *testing.T) {
	const there = "web 10.0.0.2:80/tcp web.service on node-b map[v:2]"
	for _, tt := range []struct {
		name   string
		change func(*cluster.State)
		health map[cluster.NodeID]cluster.Health
		want   []string
	}{
		{"a healthy offer is an endpoint", func(*cluster.State) {}, nil, []string{there}},
		{
			"an offer that its node calls sick", func(s *cluster.State) {
				s.Statuses[0].Offers[0].Healthy, s.Statuses[0].Offers[0].Reason = false, "no answer"
			}, nil, []string{there + " not: no answer"},
		},
		{"a node that is lost", func(*cluster.State) {}, map[cluster.NodeID]cluster.Health{"b": cluster.Lost}, []string{there + " not: node-b is lost"}},
		{"a node that is dead", func(*cluster.State) {}, map[cluster.NodeID]cluster.Health{"b": cluster.Dead}, []string{there + " not: node-b is dead"}},
		{"another node that is lost", func(*cluster.State) {}, map[cluster.NodeID]cluster.Health{"a": cluster.Lost}, []string{there}},
		{
			"parameters that were given since", func(s *cluster.State) {
				s.Units[0].Parameters = map[string]map[string]string{"web": {"v": "3", "weight": "5"}, "db": {"v": "4"}}
			}, nil, []string{"web 10.0.0.2:80/tcp web.service on node-b map[v:3 weight:5]"},
		},
		{"a unit that is to stop", func(s *cluster.State) { s.Units[0].Desired = cluster.Loaded }, nil, []string{there + " not: the unit is not to be launched"}},
		{
			"a unit that was placed elsewhere", func(s *cluster.State) { s.Placements[0].Nodes = []cluster.NodeID{"a"} }, nil,
			[]string{there + " not: the unit is not placed there any more"},
		},
		{"a unit that is pending", func(s *cluster.State) { s.Placements[0].Nodes = nil }, nil, []string{there + " not: the unit is not placed there any more"}},
		{"a unit without a placement", func(s *cluster.State) { s.Placements = nil }, nil, []string{there + " not: the unit is not placed there any more"}},
		{
			"a placement of a unit that was destroyed and submitted again", func(s *cluster.State) { s.Placements[0].UID = "old" }, nil,
			[]string{there + " not: the unit is not placed there any more"},
		},
		{"a unit that does not exist", func(s *cluster.State) { s.Units = nil }, nil, nil},
		{"a unit that was destroyed and submitted again", func(s *cluster.State) { s.Units[0].UID = "new" }, nil, nil},
		{"a node that was removed", func(s *cluster.State) { s.Nodes = s.Nodes[:1] }, nil, nil},
		{"a node that has booted since", func(s *cluster.State) { s.Nodes[1].Session.BootID = "later" }, nil, nil},
		{"a status of no boot", func(s *cluster.State) { s.Statuses[0].BootID = "" }, nil, []string{there}},
		{
			"a global unit, one node of which was added since", func(s *cluster.State) {
				s.Placements[0].Nodes, s.Placements[0].Epoch = []cluster.NodeID{"a", "b"}, 4
			}, nil, []string{there},
		},
		{
			"units of one service on several nodes", func(s *cluster.State) {
				s.Units = append(s.Units, cluster.Unit{Name: "web2.service", UID: "u", Desired: cluster.Launched})
				s.Placements = append(s.Placements, cluster.Placement{Unit: "web2.service", UID: "u", Nodes: []cluster.NodeID{"a"}})
				s.Statuses = append(s.Statuses, cluster.Status{Unit: "web2.service", Node: "a", UID: "u", Offers: []cluster.Offer{
					{Service: "db", Port: 1, Protocol: "udp", Healthy: true}, {Service: "web", Port: 81, Protocol: "tcp", Healthy: true},
				}})
			}, nil,
			[]string{"db 10.0.0.1:1/udp web2.service on node-a map[]", there, "web 10.0.0.1:81/tcp web2.service on node-a map[]"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := world()
			tt.change(state)
			health := func(id cluster.NodeID) cluster.Health {
				if h, said := tt.health[id]; said {
					return h
				}
				return cluster.Ready
			}
			if diff := cmp.Diff(tt.want, text(catalog.Of(state, health))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !world().Statuses[0].Offers[0].Healthy || world().Statuses[0].Offers[0].Parameters["v"] != "2" {
				t.Error("the snapshot was changed")
			}
		})
	}
}

// drawn draws a catalog of few names, so that two have much in common.
func drawn(t *rapid.T, label string) []cluster.Service {
	var all []cluster.Service
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if n := rapid.IntRange(0, 2).Draw(t, label+name); n > 0 {
			all = append(all, cluster.Service{Name: name, Endpoints: []cluster.Endpoint{{Offer: cluster.Offer{Service: name, Port: uint16(n)}}}})
		}
	}
	return all
}

func TestWhatChangedMakesOneOfTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawn(t, "before"), drawn(t, "after")
		changed, gone := catalog.Diff(before, after)
		if got := catalog.Apply(before, changed, gone); !slices.EqualFunc(got, after, func(a, b cluster.Service) bool {
			return cmp.Equal(text([]cluster.Service{a}), text([]cluster.Service{b}))
		}) {
			t.Fatalf("%v and then +%v -%v is %v, not %v", before, changed, gone, got, after)
		}
		if again, goneAgain := catalog.Diff(after, after); len(again)+len(goneAgain) > 0 {
			t.Fatalf("no change is told as +%v -%v", again, goneAgain)
		}
	})
}
