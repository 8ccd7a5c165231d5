package events_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/events"
)

const (
	n1 cluster.NodeID = "11111111111111111111111111111111"
	n2 cluster.NodeID = "22222222222222222222222222222222"
	n3 cluster.NodeID = "33333333333333333333333333333333"
	n4 cluster.NodeID = "44444444444444444444444444444444"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// world is a cluster of three nodes, the first two of them servers, in which
// web.service runs on node-2, every.service everywhere, and idle.service waits.
func world() events.View {
	state := &cluster.State{
		Revision: 100,
		Cluster:  cluster.Cluster{Timings: cluster.DefaultTimings()},
		Leader:   cluster.Leader{Node: n1, Term: 3, Revision: 10},
		Members: []cluster.Member{
			{Node: n1, State: cluster.MemberVoter, Revision: 11}, {Node: n2, State: cluster.MemberVoter, Revision: 12},
		},
		Tokens: []cluster.Token{{ID: "t1", Digest: "hash of a secret", Uses: 2, Expires: noon().Add(time.Hour), Revision: 13}},
	}
	for i, node := range []cluster.NodeID{n1, n2, n3} {
		state.Nodes = append(state.Nodes, cluster.NodeState{
			Node:    cluster.Node{ID: node, Name: fmt.Sprintf("node-%d", i+1), Revision: cluster.Revision(20 + i)},
			Report:  cluster.Report{Node: node, Labels: map[string]string{"zone": "a"}, Revision: cluster.Revision(30 + i)},
			Session: cluster.Session{Node: node, BootID: "boot", Incarnation: "i", Seq: 1, Revision: cluster.Revision(90 + i)},
		})
	}
	for i, name := range []cluster.UnitName{"every.service", "idle.service", "web.service"} {
		state.Units = append(state.Units, cluster.Unit{
			Name: name, UID: "u-" + cluster.UID(name), Hash: "h1", Desired: cluster.Launched, Revision: cluster.Revision(40 + i),
		})
	}
	state.Placements = []cluster.Placement{
		{Unit: "every.service", UID: "u-every.service", Nodes: []cluster.NodeID{n1, n2, n3}, Global: true, Epoch: 1, Reason: "global", Revision: 50},
		{Unit: "idle.service", UID: "u-idle.service", Epoch: 1, Reason: "0 of 3 nodes: 3 lack gpu", Revision: 51},
		{Unit: "web.service", UID: "u-web.service", Nodes: []cluster.NodeID{n2}, Epoch: 1, Reason: "placed on node-2: fewest units", Revision: 52},
	}
	for i, node := range []cluster.NodeID{n1, n2, n3} {
		state.Statuses = append(state.Statuses, running("every.service", node, cluster.Revision(60+i)))
	}
	state.Statuses = append(state.Statuses, running("web.service", n2, 65))
	view := events.View{State: state, Health: map[cluster.NodeID]cluster.Health{}, At: noon()}
	for _, node := range []cluster.NodeID{n1, n2, n3} {
		view.Health[node] = cluster.Ready
	}
	return view
}

func running(unit cluster.UnitName, node cluster.NodeID, revision cluster.Revision) cluster.Status {
	return cluster.Status{
		Unit: unit, Node: node, UID: "u-" + cluster.UID(unit), Hash: "h1", Epoch: 1, BootID: "boot",
		Load: "loaded", Active: "active", Sub: "running", MainPID: 12, Since: noon().Add(-time.Minute), Revision: revision,
	}
}

// change is what happens to the world in a test: records are edited in place,
// and it is stamped with revision 101 whatever differs afterwards.
type change struct {
	*cluster.State
	health map[cluster.NodeID]cluster.Health
}

func (c change) unit(name cluster.UnitName) *cluster.Unit {
	i := slices.IndexFunc(c.Units, func(u cluster.Unit) bool { return u.Name == name })
	c.Units[i].Revision = 101
	return &c.Units[i]
}

func (c change) placement(name cluster.UnitName) *cluster.Placement {
	i := slices.IndexFunc(c.Placements, func(p cluster.Placement) bool { return p.Unit == name })
	c.Placements[i].Revision = 102
	return &c.Placements[i]
}

func (c change) status(name cluster.UnitName, node cluster.NodeID) *cluster.Status {
	i := slices.IndexFunc(c.Statuses, func(s cluster.Status) bool { return s.Unit == name && s.Node == node })
	c.Statuses[i].Revision = 103
	return &c.Statuses[i]
}

// after returns the world with a change.
func after(do func(change)) events.View {
	view := world()
	view.State.Revision = 110
	view.At = noon().Add(time.Second)
	do(change{view.State, view.Health})
	return view
}

// told returns events as lines.
func told(list []cluster.Event) []string {
	lines := []string{}
	for _, e := range list {
		lines = append(lines, string(e.Kind)+"  "+e.Text)
	}
	return lines
}

func TestEveryChangeIsToldAsWhatItIs(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(change)
		want string
	}{
		{"a unit is submitted and placed, and runs", func(c change) {
			c.Units = slices.Insert(c.Units, 0, cluster.Unit{Name: "a.service", UID: "u-a.service", Desired: cluster.Launched, Revision: 101})
			c.Placements = slices.Insert(c.Placements, 0, cluster.Placement{
				Unit: "a.service", UID: "u-a.service", Nodes: []cluster.NodeID{n3}, Reason: "placed on node-3: fewest units", Revision: 102,
			})
			c.Statuses = slices.Insert(c.Statuses, 0, running("a.service", n3, 103))
		}, `unit-submitted  a.service: submitted, to be launched
unit-placed  a.service: placed on node-3: fewest units
unit-active  a.service: active on node-3 (running)`},
		{"its file is replaced", func(c change) { c.unit("web.service").Hash = "h2" },
			`unit-changed  web.service: its file was replaced`},
		{"its desired state changes", func(c change) { c.unit("web.service").Desired = cluster.Loaded },
			`unit-desired  web.service: to be loaded, and no longer launched`},
		{"a restart is asked for, and done", func(c change) {
			c.unit("web.service").Restarts = 1
			s := c.status("web.service", n2)
			s.Restarts, s.MainPID = 1, 40
		}, `unit-restart  web.service: to be restarted
unit-active  web.service: active on node-2 (running)`},
		{"a unit is destroyed, withdrawn, and let go", func(c change) {
			c.Units, c.Placements, c.Statuses = c.Units[:2], c.Placements[:2], c.Statuses[:3]
		}, `unit-destroyed  web.service: destroyed
unit-left  web.service: no longer to be on node-2
unit-inactive  web.service: stopped on node-2, which has let it go`},
		{"a unit is destroyed and submitted again", func(c change) {
			c.unit("web.service").UID = "another"
			c.placement("web.service").UID = "another"
		}, `unit-destroyed  web.service: destroyed
unit-submitted  web.service: submitted, to be launched
unit-left  web.service: no longer to be on node-2
unit-placed  web.service: placed on node-2: fewest units`},
		{"a pending unit finds its place", func(c change) {
			p := c.placement("idle.service")
			p.Nodes, p.Reason = []cluster.NodeID{n1}, "it has a gpu now"
		}, `unit-placed  idle.service: placed on node-1: it has a gpu now`},
		{"a pending unit waits for another reason", func(c change) { c.placement("idle.service").Reason = "0 of 3 nodes: 3 lack memory" },
			`unit-pending  idle.service: pending: 0 of 3 nodes: 3 lack memory`},
		{"a unit moves, and why", func(c change) {
			p := c.placement("web.service")
			p.Nodes, p.Reason = []cluster.NodeID{n3}, "moved from node-2, which is lost, to node-3: fewest units"
		}, `unit-moved  web.service: moved from node-2, which is lost, to node-3: fewest units`},
		{"a unit loses its node", func(c change) {
			p := c.placement("web.service")
			p.Nodes, p.Reason = nil, "0 of 3 nodes: 3 lack zone=b"
		}, `unit-pending  web.service: pending, no longer to be on node-2: 0 of 3 nodes: 3 lack zone=b`},
		{"a global unit leaves one node", func(c change) { c.placement("every.service").Nodes = []cluster.NodeID{n1, n3} },
			`unit-left  every.service: no longer to be on node-2`},
		{"a unit that failed is to be tried again", func(c change) {
			c.placement("web.service").Retry = &cluster.Retry{Due: noon().Add(10 * time.Second)}
		}, `unit-retry  web.service: to be tried again at 2026-03-01T12:00:10Z, elsewhere if possible`},
		{"it is tried again where it is", func(c change) { c.placement("web.service").Retry = &cluster.Retry{Count: 3} },
			`unit-retry  web.service: tried again on node-2, for the 3rd time`},
		{"another reason to be where it is, is no event", func(c change) { c.placement("web.service").Reason = "kept on node-2" }, ``},
		{"a unit fails, with its last words", func(c change) {
			s := c.status("web.service", n2)
			s.Problem = "failed: the main process exited with status 7" // which is no news beside the failure
			s.Active, s.Sub, s.Result, s.ExitCode, s.Since = "failed", "failed", "exit-code", 7, noon()
			s.Log = []string{"Started web.service - Web.", "the disk is 100% full", "web.service: Main process exited, code=exited"}
		}, `unit-failed  web.service: failed on node-2 (exit code 7): the disk is 100% full`},
		{"a unit is killed", func(c change) {
			s := c.status("web.service", n2)
			s.Active, s.Result, s.Since = "failed", "signal", noon()
		}, `unit-failed  web.service: failed on node-2 (signal)`},
		{"systemd does not even start it", func(c change) {
			s := c.status("web.service", n2)
			s.Active, s.Sub, s.Job = "inactive", "dead", "assert"
		}, `unit-failed  web.service: failed on node-2 (systemd did not start it: assert)`},
		{"a unit ends and systemd starts it anew", func(c change) {
			s := c.status("web.service", n2)
			s.Active, s.Sub, s.Result, s.ExitCode = "activating", "auto-restart", "exit-code", 1
		}, `unit-restarted  web.service: ended on node-2 (exit code 1), and systemd starts it anew`},
		{"a unit has another main process", func(c change) { c.status("web.service", n2).MainPID = 40 },
			`unit-restarted  web.service: ended on node-2, and was started anew (main process 12, then 40)`},
		{"a unit stops", func(c change) {
			s := c.status("web.service", n2)
			s.Active, s.Sub, s.Result = "inactive", "dead", "success"
		}, `unit-inactive  web.service: inactive on node-2 (success)`},
		{"a unit that ran and ended before anybody looked", func(c change) {
			c.Statuses = append(c.Statuses, cluster.Status{Unit: "z.service", Node: n1, Active: "inactive", Job: "done", Revision: 103})
		}, `unit-inactive  z.service: ran and ended on node-1`},
		{"a unit runs again after a boot", func(c change) { c.status("web.service", n2).BootID = "second" },
			`unit-active  web.service: active on node-2 (running)`},
		{"something keeps a node from doing what is desired", func(c change) { c.status("web.service", n2).Problem = "systemd does not answer" },
			`unit-problem  web.service: not as desired on node-2: systemd does not answer`},
		{"a global unit's epoch grows", func(c change) { c.status("every.service", n1).Epoch = 2 }, ``},
		{"a unit reloads", func(c change) { c.status("web.service", n2).Active = "reloading" }, ``},
		{"a unit starts, which takes a while", func(c change) { c.status("web.service", n2).Active = "activating" }, ``},

		{"a node joins", func(c change) {
			c.Nodes = append(c.Nodes, cluster.NodeState{Node: cluster.Node{ID: n4, Name: "node-4", Revision: 101}})
		}, `node-joined  node-4: joined the cluster`},
		{"a node is removed, and what it ran is forgotten", func(c change) {
			c.Nodes = slices.Delete(c.Nodes, 2, 3)
			c.Statuses = slices.Delete(c.Statuses, 2, 3)
			c.placement("every.service").Nodes = []cluster.NodeID{n1, n2}
		}, `unit-left  every.service: no longer to be on node-3
node-removed  node-3: no longer in the cluster`},
		{"a node falls silent, and its unit moves", func(c change) {
			c.health[n2] = cluster.Lost
			p := c.placement("web.service")
			p.Nodes, p.Reason = []cluster.NodeID{n1}, "moved from node-2, which is lost, to node-1"
		}, `node-lost  node-2: lost: silent for 8s, so units that may run elsewhere move
unit-moved  web.service: moved from node-2, which is lost, to node-1`},
		{"a node is declared dead", func(c change) {
			c.Nodes[1].Session.Dead, c.Nodes[1].Session.Revision = true, 101
		}, `node-dead  node-2: declared dead: silent for 25s, and no unit waits for it any more`},
		{"a node boots", func(c change) {
			c.Nodes[1].Session.BootID, c.Nodes[1].Session.Revision = "second", 101
		}, `node-booted  node-2: booted`},
		{"a session is renewed", func(c change) { c.Nodes[1].Session.Seq, c.Nodes[1].Session.Revision = 2, 101 }, ``},
		{"labels change", func(c change) {
			c.Nodes[0].Node.Labels, c.Nodes[0].Node.Revision = map[string]string{"disk": "ssd", "zone": "b"}, 101
		}, `node-labels  node-1: labels: disk=ssd is new, zone=b was a`},
		{"a label that masks a reported one", func(c change) {
			c.Nodes[0].Node.Labels, c.Nodes[0].Node.Revision = map[string]string{"zone": ""}, 101
		}, `node-labels  node-1: labels: zone=a is gone`},
		{"a node reports a problem", func(c change) {
			c.Nodes[0].Report.Problems, c.Nodes[0].Report.Revision = []string{"the disk is full"}, 101
		}, `node-problem  node-1: the disk is full`},
		{"a report that says the same", func(c change) { c.Nodes[0].Report.Revision = 101 }, ``},

		{"another server leads", func(c change) { c.Leader = cluster.Leader{Node: n2, Term: 4, Revision: 101} },
			`leader-changed  node-2 leads after node-1 (term 4)`},
		{"the leader was elected anew", func(c change) { c.Leader.Term, c.Leader.Revision = 4, 101 },
			`leader-changed  node-1 leads anew (term 4)`},
		{"a node is to be a server", func(c change) {
			c.Members = append(c.Members, cluster.Member{Node: n3, State: cluster.MemberAdding, Revision: 101})
		}, `server-added  node-3: becomes a server`},
		{"a server gets no vote yet", func(c change) { c.Members[1].State, c.Members[1].Revision = cluster.MemberLearner, 101 }, ``},
		{"a server is about to leave", func(c change) { c.Members[1].State, c.Members[1].Revision = cluster.MemberLeaving, 101 },
			`server-leaving  node-2: about to lose its vote`},
		{"a server is none any more", func(c change) { c.Members = c.Members[:1] }, `server-removed  node-2: no longer a server`},

		{"a token is made", func(c change) {
			c.Tokens = append(c.Tokens, cluster.Token{ID: "t2", Digest: "secret", Uses: 1, Expires: noon().Add(time.Hour), Revision: 101})
		}, `token-created  token t2: made for 1 node(s), until 2026-03-01T13:00:00Z`},
		{"a token is used", func(c change) {
			c.Tokens[0].Uses, c.Tokens[0].UsedBy, c.Tokens[0].Revision = 1, []cluster.NodeID{n3}, 101
		},
			`token-used  token t1: used by node-3; 1 more may use it`},
		{"a token is made and used before anybody looked", func(c change) {
			c.Tokens = append(c.Tokens, cluster.Token{ID: "t2", Expires: noon().Add(time.Hour), UsedBy: []cluster.NodeID{n3}, Revision: 101})
		}, `token-created  token t2: made for 1 node(s), until 2026-03-01T13:00:00Z
token-used  token t2: used by node-3; 0 more may use it`},
		{"a token is revoked", func(c change) { c.Tokens = nil }, `token-revoked  token t1: revoked`},
		{"nothing", func(change) {}, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := []string{}
			if tt.want != "" {
				want = strings.Split(tt.want, "\n")
			}
			got := events.Diff(world(), after(tt.do))
			if diff := cmp.Diff(want, told(got)); diff != "" {
				t.Error(diff)
			}
			for _, e := range got {
				checkEvent(t, e)
			}
		})
	}
}

// checkEvent demands what holds of every event.
func checkEvent(t *testing.T, e cluster.Event) {
	t.Helper()
	known := slices.ContainsFunc(cluster.EventKinds(), func(m cluster.EventMeaning) bool { return m.Kind == e.Kind && m.Meaning != "" })
	if !known || e.ID == "" || e.Revision != 110 || !e.Time.Equal(noon().Add(time.Second)) || (e.Node != "") != (e.NodeName != "") {
		t.Errorf("%+v", e)
	}
	if strings.Contains(fmt.Sprintf("%+v", e), "secret") {
		t.Errorf("a secret is told: %+v", e)
	}
}

func TestWhatFollowsAFailureOrAReturnIsTold(t *testing.T) {
	failed := func(log ...string) func(change) {
		return func(c change) {
			s := c.status("web.service", n2)
			s.Active, s.Result, s.ExitCode, s.Since, s.Log = "failed", "exit-code", 1, noon(), log
		}
	}
	node := func(health cluster.Health, dead bool) func(change) {
		return func(c change) { c.health[n2], c.Nodes[1].Session.Dead = health, dead }
	}
	token := func(c change) { c.Tokens[0].Expires = noon() }
	for _, tt := range []struct {
		name       string
		first, and func(change)
		want       []string
	}{
		{"its words come later", failed(), failed("no route"), []string{"unit-output  web.service: its last words on node-2: no route"}},
		{"more words come later", failed("no route"), failed("no route", "Failed to start web.service - Web."), []string{}},
		{"it fails again", failed("x"), func(c change) { failed("x")(c); c.status("web.service", n2).Since = noon().Add(time.Minute) },
			[]string{"unit-failed  web.service: failed on node-2 (exit code 1): x"}},
		{"its node gives it up", failed(), func(c change) {
			s := c.status("web.service", n2)
			s.Active, s.Sub, s.Result, s.Job, s.Since = "inactive", "dead", "", cluster.JobGaveUp, noon().Add(time.Minute)
		}, []string{"unit-failed  web.service: failed on node-2 (it was started again and again, and kept systemd from all else)"}},
		{"it is stopped", failed(), func(c change) { c.status("web.service", n2).Active = "inactive" }, []string{"unit-inactive  web.service: inactive on node-2 (running)"}},
		{"it stays lost", node(cluster.Lost, false), node(cluster.Lost, false), []string{}},
		{"a lost node is back", node(cluster.Lost, false), node(cluster.Ready, false), []string{"node-ready  node-2: heard again"}},
		{"a dead node is back", node(cluster.Dead, true), node(cluster.Ready, false), []string{"node-ready  node-2: heard again"}},
		{"a dead node is back, but was not timed yet", node(cluster.Dead, true), node(cluster.Dead, false), []string{}},
		{"a node is timed for the first time", node("", false), node(cluster.Ready, false), []string{}},
		{"a problem is gone", func(c change) { c.Nodes[0].Report.Problems, c.Nodes[0].Report.Revision = []string{"full", "hot"}, 99 },
			func(c change) { c.Nodes[0].Report.Problems, c.Nodes[0].Report.Revision = []string{"hot"}, 101 }, []string{"node-well  node-1: no longer: full"}},
		{"a server gets its vote", func(c change) { c.Members[1].State = cluster.MemberLearner },
			func(c change) { c.Members[1].Revision = 101 }, []string{"server-promoted  node-2: votes from now on"}},
		{"an expired token is dropped", token, func(c change) { c.Tokens = nil }, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, then := after(tt.first), after(tt.and)
			for i := range then.State.Statuses {
				then.State.Statuses[i].Revision++
			}
			then.State.Revision = 110
			if diff := cmp.Diff(tt.want, told(events.Diff(before, then))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Two servers that cut their snapshots at other revisions, at other times, give
// the same event the same name.
func TestTheNameOfAnEventIsTheSameOnEveryServer(t *testing.T) {
	names := func(view events.View) (out []string) {
		for _, e := range events.Diff(world(), view) {
			out = append(out, e.ID)
		}
		return out
	}
	do := func(c change) {
		c.health[n3] = cluster.Lost
		c.placement("web.service").Nodes = []cluster.NodeID{n1}
		c.Units, c.Statuses = c.Units[:2], c.Statuses[:3]
	}
	one, other := after(do), after(do)
	other.State.Revision, other.At = 117, noon().Add(time.Hour)
	want := []string{
		"92.node-lost.@" + string(n3), "102.unit-moved.web.service@" + string(n1),
		"42.unit-destroyed.web.service", "65.unit-inactive.web.service@" + string(n2),
	}
	for _, got := range [][]string{names(one), names(other)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestALongLastWordIsCut(t *testing.T) {
	got := events.Diff(world(), after(func(c change) {
		s := c.status("web.service", n2)
		s.Active, s.Since, s.Log = "failed", noon(), []string{strings.Repeat("é", 4000)}
	}))
	if len(got) != 1 || len([]rune(got[0].Text)) > 300 || !strings.HasSuffix(got[0].Text, "é…") {
		t.Errorf("%q", told(got))
	}
}

// It is asked ten times a second, of up to a hundred thousand units: the lists
// that two views share are those of the mirror.
func TestFindingThatNothingHappenedCostsNothing(t *testing.T) {
	before := world()
	same := *before.State
	view := before
	view.State = &same
	before.State.Units[0].Revision = 7 // in both, since the list is one
	before.State.Statuses[0].Active = "failed"
	if got := events.Diff(before, view); len(got) != 0 {
		t.Errorf("%q", told(got))
	}
	if n := testing.AllocsPerRun(10, func() { events.Diff(before, view) }); n > 8 {
		t.Errorf("%v allocations to find that nothing happened", n)
	}
}

func BenchmarkDiffOfOneStatusAmongTenThousand(b *testing.B) {
	before, then := world(), world()
	for _, v := range []events.View{before, then} {
		v.State.Statuses = nil
		for i := range 10_000 {
			v.State.Statuses = append(v.State.Statuses, running(cluster.UnitName(fmt.Sprintf("u%05d.service", i)), n1, cluster.Revision(i)))
		}
	}
	then.State.Statuses[5000].Revision, then.State.Statuses[5000].MainPID = 20_000, 99
	for b.Loop() {
		if len(events.Diff(before, then)) != 1 {
			b.Fatal("one unit was restarted")
		}
	}
}
