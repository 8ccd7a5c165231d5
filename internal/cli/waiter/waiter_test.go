package waiter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

const name = cluster.UnitName("web.service")

// unit makes a unit as the cluster has it.
func unit(desired cluster.Desired, change ...func(*wire.UnitView)) wire.UnitView {
	v := wire.UnitView{Unit: cluster.Unit{Name: name, UID: "u1", Hash: "h1", Desired: desired}}
	for _, c := range change {
		c(&v)
	}
	return v
}

func on(nodes ...cluster.NodeID) func(*wire.UnitView) {
	return func(v *wire.UnitView) {
		v.Placement = &cluster.Placement{Unit: name, UID: v.UID, Nodes: nodes, Epoch: 3, Reason: "least loaded of 3 nodes"}
	}
}

func pending(reason string) func(*wire.UnitView) {
	return func(v *wire.UnitView) { v.Placement = &cluster.Placement{Unit: name, UID: v.UID, Reason: reason} }
}

func tried(n int64) func(*wire.UnitView) {
	return func(v *wire.UnitView) {
		v.Placement = &cluster.Placement{Unit: name, UID: v.UID, Nodes: []cluster.NodeID{"a"}, Epoch: 3, Retry: &cluster.Retry{Count: n}}
	}
}

func restarted(n int64) func(*wire.UnitView) { return func(v *wire.UnitView) { v.Restarts = n } }

// says adds a status; later functions alter it.
func says(node cluster.NodeID, active, sub string, change ...func(*cluster.Status)) func(*wire.UnitView) {
	return func(v *wire.UnitView) {
		s := cluster.Status{Unit: name, Node: node, UID: v.UID, Hash: v.Hash, Epoch: 3, Load: "loaded", Active: active, Sub: sub}
		for _, c := range change {
			c(&s)
		}
		v.Statuses = append(v.Statuses, s)
	}
}

func pid(n int) func(*cluster.Status)             { return func(s *cluster.Status) { s.MainPID = n } }
func restarts(n int64) func(*cluster.Status)      { return func(s *cluster.Status) { s.Restarts = n } }
func oldHash(s *cluster.Status)                   { s.Hash = "h0" }
func oldUID(s *cluster.Status)                    { s.UID = "u0" }
func epoch(e cluster.Epoch) func(*cluster.Status) { return func(s *cluster.Status) { s.Epoch = e } }
func load(l string) func(*cluster.Status)         { return func(s *cluster.Status) { s.Load = l } }
func problem(p string) func(*cluster.Status)      { return func(s *cluster.Status) { s.Problem = p } }
func at(minute int) func(*cluster.Status) {
	return func(s *cluster.Status) { s.Since = time.Unix(int64(60*minute), 0) }
}
func ended(result string, code int) func(*cluster.Status) {
	return func(s *cluster.Status) { s.Result, s.ExitCode = result, code }
}
func job(result string) func(*cluster.Status)   { return func(s *cluster.Status) { s.Job = result } }
func log(lines ...string) func(*cluster.Status) { return func(s *cluster.Status) { s.Log = lines } }

// text is what a waiter says of its unit after one message.
func text(events []Event) string {
	var lines []string
	for _, e := range events {
		verdict := [...]string{"", "waiting", "reached", "FAILED"}[e.Verdict]
		line := fmt.Sprintf("%s: %s", verdict, e.State)
		if e.Reason != "" {
			line += ": " + e.Reason
		}
		lines = append(lines, line+strings.Join(append([]string{""}, e.Log...), " | "))
	}
	return strings.Join(lines, "\n")
}

func nodes() []wire.NodeView {
	var all []wire.NodeView
	for _, id := range []cluster.NodeID{"a", "b"} {
		all = append(all, wire.NodeView{Node: cluster.Node{ID: id, Name: "node-" + string(id)}, Health: cluster.Ready})
	}
	return append(all, wire.NodeView{Node: cluster.Node{ID: "c", Name: "node-c"}, Health: cluster.Lost})
}

func TestJudgement(t *testing.T) {
	cases := map[string]struct {
		goal      Goal
		before    wire.UnitView
		unchanged bool
		now       *wire.UnitView // nil: the unit is gone
		want      string
	}{
		"a unit without a placement waits for the leader": {
			goal: Launched, now: new(unit(cluster.Launched)),
			want: "waiting: waiting: the leader has not placed it yet",
		},
		"a pending unit says why": {
			goal: Launched, now: new(unit(cluster.Launched, pending("0 of 3 nodes: 3 lack region=eu"))),
			want: "waiting: pending: 0 of 3 nodes: 3 lack region=eu",
		},
		"a placed unit says where and why there": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"))),
			want: "waiting: placed on node-a: least loaded of 3 nodes",
		},
		"an active unit is what start awaits": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "active", "running"))),
			want: "reached: active (running) on node-a",
		},
		"an activating unit is not there yet": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "activating", "start-pre"))),
			want: "waiting: activating (start-pre) on node-a",
		},
		"a unit of the same name that was destroyed before does not count": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "active", "running", oldUID))),
			want: "waiting: placed on node-a: least loaded of 3 nodes",
		},
		"the old text running does not count after a replacement": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "active", "running", oldHash))),
			want: "waiting: placed on node-a: least loaded of 3 nodes",
		},
		"a copy on a node that is not the unit's place does not count": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("b", "active", "running"))),
			want: "waiting: placed on node-a: least loaded of 3 nodes",
		},
		"a failed start has systemd's result and the log": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("exit-code", 203), log("no such file")))),
			want: "FAILED: failed (exit-code, status 203) on node-a | no such file",
		},
		"a failure from before a start that changed something does not count": {
			goal:   Launched,
			before: unit(cluster.Loaded, on("a"), says("a", "failed", "failed", ended("signal", 9), at(1))),
			now:    new(unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("signal", 9), at(1)))),
			want:   "waiting: failed (signal, status 9) on node-a: from before; its new start is awaited",
		},
		"a later failure counts": {
			goal:   Launched,
			before: unit(cluster.Loaded, on("a"), says("a", "failed", "failed", ended("signal", 9), at(1))),
			now:    new(unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("signal", 9), at(2)))),
			want:   "FAILED: failed (signal, status 9) on node-a",
		},
		"a start that changed nothing finds the failure that is": {
			goal: Launched, unchanged: true,
			before: unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("signal", 9), at(1))),
			now:    new(unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("signal", 9), at(1)))),
			want:   "FAILED: failed (signal, status 9) on node-a",
		},
		"a unit that does its work and ends well is done": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", job("done"), at(1)))),
			want: "reached: inactive (dead) on node-a: it ran and ended well",
		},
		"a unit that ended and that systemd forgot is done, as systemctl has it": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", job("done"), at(0)))),
			want: "reached: inactive (dead) on node-a: it ran and ended well, unless a Condition…= of its own forbids it",
		},
		"a unit that systemd did not even begin with fails, with the log": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", job("assert"), problem("an assertion"), log("x=y")))),
			want: "FAILED: inactive (dead) on node-a: an assertion | x=y",
		},
		"how the run before the request ended does not count": {
			goal:   Launched,
			before: unit(cluster.Loaded, on("a"), says("a", "inactive", "dead", job("done"))),
			now:    new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", job("done")))),
			want:   "waiting: inactive (dead) on node-a: not started yet",
		},
		"a oneshot that is restarted runs and ends again": {
			goal:   Restarted,
			before: unit(cluster.Launched, on("a"), says("a", "inactive", "dead", job("done"))),
			now:    new(unit(cluster.Launched, on("a"), restarted(1), says("a", "inactive", "dead", job("done"), restarts(1), at(1)))),
			want:   "reached: inactive (dead) on node-a: it ran and ended well",
		},
		"a unit that its node has not come to yet has not ended": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", epoch(2), job("done")))),
			want: "waiting: inactive (dead) on node-a: not started yet",
		},
		"a unit that systemd has loaded and not started has not ended": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead"))),
			want: "waiting: inactive (dead) on node-a: not started yet",
		},
		"what keeps the node from even taking the unit is told": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", oldHash, problem("the name belongs to the host")))),
			want: "waiting: placed on node-a: the name belongs to the host",
		},
		"a unit that was stopped before has not run again yet": {
			goal:   Launched,
			before: unit(cluster.Loaded, on("a"), says("a", "inactive", "dead", at(1))),
			now:    new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", at(1)))),
			want:   "waiting: inactive (dead) on node-a: not started yet",
		},
		"a file that systemd cannot read fails with the node's words": {
			goal: Launched, now: new(unit(cluster.Launched, on("a"), says("a", "inactive", "dead", load("bad-setting"), problem("no ExecStart=")))),
			want: "FAILED: bad-setting on node-a: no ExecStart=",
		},
		"what ran on a node that is lost is not what start awaits": {
			goal: Launched, now: new(unit(cluster.Launched, on("c"), says("c", cluster.ActiveUnknown, "", load(""), problem("node-c is lost; last seen active (running), and may still run there")))),
			want: "waiting: unknown on node-c: node-c is lost; last seen active (running), and may still run there",
		},
		"a start does not fail there either": {
			goal: Restarted, now: new(unit(cluster.Launched, on("c"), says("c", cluster.ActiveUnknown, "", oldHash, problem("node-c is lost; last seen failed (exit code 1)")))),
			want: "waiting: unknown on node-c: node-c is lost; last seen failed (exit code 1)",
		},
		"a lost node that has said nothing yet is the reason": {
			goal: Launched, now: new(unit(cluster.Launched, on("c"))),
			want: "waiting: placed on node-c: node-c is lost",
		},
		"load does not take a lost node's word": {
			goal: Loaded, now: new(unit(cluster.Loaded, on("c"), says("c", cluster.ActiveUnknown, "", problem("node-c is lost; last seen inactive")))),
			want: "waiting: unknown on node-c: node-c is lost; last seen inactive",
		},
		"a global unit waits for a node that is lost": {
			goal: Launched, now: new(unit(cluster.Launched, on("a", "c"), says("a", "active", "running"), says("c", cluster.ActiveUnknown, "", problem("node-c is lost")))),
			want: "waiting: active on 1 of 2 nodes",
		},
		"a unit that somebody stops meanwhile fails": {
			goal: Launched, now: new(unit(cluster.Loaded, on("a"), says("a", "inactive", "dead"))),
			want: "FAILED: loaded: somebody wants it loaded meanwhile",
		},
		"a unit that somebody destroys meanwhile fails": {
			goal: Launched, want: "FAILED: gone: it was destroyed meanwhile",
		},
		"a global unit is done when every node is": {
			goal: Launched, now: new(unit(cluster.Launched, on("a", "b"), says("a", "active", "running"), says("b", "active", "running"))),
			want: "reached: active on 2 of 2 nodes",
		},
		"a global unit waits for its last node": {
			goal: Launched, now: new(unit(cluster.Launched, on("a", "b"), says("a", "active", "running"))),
			want: "waiting: active on 1 of 2 nodes",
		},
		"a global unit that fails on one node fails when the others are done": {
			goal: Launched, now: new(unit(cluster.Launched, on("a", "b"), says("a", "active", "running"), says("b", "failed", "failed", ended("exit-code", 1), log("boom")))),
			want: "FAILED: active on 1 of 2 nodes: failed (exit-code, status 1) on node-b | boom",
		},

		"load awaits systemd's knowledge of the unit": {
			goal: Loaded, now: new(unit(cluster.Loaded, on("a"), says("a", "inactive", "dead"))),
			want: "reached: loaded on node-a",
		},
		"load does not take a unit that its node has not loaded": {
			goal: Loaded, now: new(unit(cluster.Loaded, on("a"), says("a", "inactive", "dead", load("stub")))),
			want: "waiting: inactive (dead) on node-a",
		},

		"a restart is proven by a new main process": {
			goal:   Restarted,
			before: unit(cluster.Launched, on("a"), says("a", "active", "running", pid(312))),
			now:    new(unit(cluster.Launched, on("a"), restarted(1), says("a", "active", "running", pid(377), restarts(1)))),
			want:   "reached: active (running) on node-a: main process 377 instead of 312",
		},
		"a start that the cluster tried again is not the restart that was asked for": {
			goal:   Restarted,
			before: unit(cluster.Launched, on("a"), tried(2), says("a", "active", "running", pid(312), restarts(2))),
			now:    new(unit(cluster.Launched, on("a"), tried(2), restarted(1), says("a", "active", "running", pid(377), restarts(2)))),
			want:   "waiting: active (running) on node-a: the node has not restarted it yet",
		},
		"a new main process of another cause is no restart": {
			goal:   Restarted,
			before: unit(cluster.Launched, on("a"), says("a", "active", "running", pid(312))),
			now:    new(unit(cluster.Launched, on("a"), restarted(1), says("a", "active", "running", pid(377)))),
			want:   "waiting: active (running) on node-a: the node has not restarted it yet",
		},
		"a node that says it restarted with the same main process is not believed": {
			goal:   Restarted,
			before: unit(cluster.Launched, on("a"), says("a", "active", "running", pid(312))),
			now:    new(unit(cluster.Launched, on("a"), restarted(1), says("a", "active", "running", pid(312), restarts(1)))),
			want:   "waiting: active on node-a: still the main process 312",
		},
		"a restart that fails is a failure": {
			goal:   Restarted,
			before: unit(cluster.Launched, on("a"), says("a", "active", "running", pid(312))),
			now:    new(unit(cluster.Launched, on("a"), restarted(1), says("a", "failed", "failed", restarts(1), ended("exit-code", 1)))),
			want:   "FAILED: failed (exit-code, status 1) on node-a",
		},

		"stop awaits that the unit runs nowhere": {
			goal: Stopped, now: new(unit(cluster.Loaded, on("a"), says("a", "deactivating", "stop-sigterm"))),
			want: "waiting: deactivating (stop-sigterm) on node-a",
		},
		"a stopped unit is what stop awaits": {
			goal: Stopped, now: new(unit(cluster.Loaded, on("a"), says("a", "inactive", "dead"))),
			want: "reached: inactive (dead) on node-a",
		},
		"a copy on another node keeps stop waiting": {
			goal: Stopped, now: new(unit(cluster.Loaded, on("a"), says("a", "inactive", "dead"), says("b", "active", "running"))),
			want: "waiting: active (running) on node-b",
		},
		"a copy on a lost node may still run, so stop waits for it": {
			goal: Stopped, now: new(unit(cluster.Loaded, on("a"), says("a", "inactive", "dead"), says("c", cluster.ActiveUnknown, "", problem("node-c is lost; last seen active (running), and may still run there")))),
			want: "waiting: unknown on node-c: node-c is lost; last seen active (running), and may still run there",
		},
		"a unit that no node has is stopped": {
			goal: Stopped, now: new(unit(cluster.Loaded, pending("no nodes"))),
			want: "reached: not running",
		},

		"unload awaits that no node has the unit": {
			goal: Unloaded, now: new(unit(cluster.Inactive, says("a", "inactive", "dead"))),
			want: "waiting: inactive (dead) on node-a: still on node-a",
		},
		"an unload is not done while the placement stands": {
			goal: Unloaded, now: new(unit(cluster.Inactive, on("a"))),
			want: "waiting: placed on node-a: the leader has not taken it back yet",
		},
		"a unit that is nowhere is unloaded": {
			goal: Unloaded, now: new(unit(cluster.Inactive)),
			want: "reached: unloaded",
		},

		"destroy awaits that the last copy is gone": {
			goal: Destroyed, before: unit(cluster.Launched),
			now:  new(unit("", says("a", "deactivating", "stop"))),
			want: "waiting: deactivating (stop) on node-a: still on node-a",
		},
		"a unit that the cluster has not is destroyed": {
			goal: Destroyed, before: unit(cluster.Launched), want: "reached: destroyed",
		},
		"a unit that was submitted anew is another one": {
			goal: Destroyed, before: wire.UnitView{Unit: cluster.Unit{UID: "u0"}}, now: new(unit(cluster.Inactive)),
			want: "reached: destroyed",
		},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			w := New(c.goal, 10, []Unit{{Name: name, Before: c.before, Changed: !c.unchanged}})
			change := wire.Change{Revision: 10, Full: true, Nodes: nodes()}
			if c.now != nil {
				change.Units = []wire.UnitView{*c.now}
			}
			if diff := cmp.Diff(c.want, text(w.Apply(change))); diff != "" {
				t.Error(diff)
			}
			if again := w.Apply(change); len(again) > 0 {
				t.Errorf("the same message again says %s", text(again))
			}
		})
	}
}

func TestWhatIsOlderThanTheAnswerDoesNotCount(t *testing.T) {
	w := New(Launched, 10, []Unit{{Name: name, Changed: true}})
	old := unit(cluster.Launched, on("a"), says("a", "failed", "failed"))
	if got := w.Apply(wire.Change{Revision: 9, Full: true, Nodes: nodes(), Units: []wire.UnitView{old}}); len(got) > 0 {
		t.Fatalf("an old message says %s", text(got))
	}
	// The message that catches up need not be about the unit.
	if diff := cmp.Diff("FAILED: failed on node-a", text(w.Apply(wire.Change{Revision: 10}))); diff != "" {
		t.Error(diff)
	}
}

func TestAUnitThatWasAsWantedIsJudgedByWhatIsKnown(t *testing.T) {
	w := New(Launched, 10, []Unit{{Name: name}})
	w.Apply(wire.Change{Revision: 9, Full: true, Units: []wire.UnitView{unit(cluster.Launched, on("a"), says("a", "active", "running"))}})
	if !w.Done() {
		t.Error("a quiet cluster may never send a message as new as the answer")
	}
}

func TestAWaitIsToldAsItGoes(t *testing.T) {
	w := New(Launched, 10, []Unit{{Name: name, Changed: true}, {Name: "other.service", Changed: true}})
	other := func(v wire.UnitView) wire.UnitView { v.Name = "other.service"; return v }
	var told []string
	for _, c := range []wire.Change{
		{Revision: 10, Full: true, Nodes: nodes(), Units: []wire.UnitView{unit(cluster.Launched), other(unit(cluster.Launched))}},
		{Revision: 11, Units: []wire.UnitView{unit(cluster.Launched, on("a"))}},
		{Revision: 12, Units: []wire.UnitView{unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("exit-code", 1)))}},
		{Revision: 13, Units: []wire.UnitView{other(unit(cluster.Launched, on("b"), says("b", "active", "running")))}},
		{Revision: 14, Units: []wire.UnitView{unit(cluster.Launched, on("a"), says("a", "active", "running"))}},
	} {
		for _, event := range w.Apply(c) {
			told = append(told, string(event.Unit)+" "+text([]Event{event}))
		}
	}
	want := []string{
		"web.service waiting: waiting: the leader has not placed it yet",
		"other.service waiting: waiting: the leader has not placed it yet",
		"web.service waiting: placed on node-a: least loaded of 3 nodes",
		"web.service FAILED: failed (exit-code, status 1) on node-a",
		"other.service reached: active (running) on node-b",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if got, want := w.Tally(), (Tally{Reached: 1, Failed: 1}); got != want || !w.Done() {
		t.Errorf("tally %+v, want %+v", got, want)
	}
}

// What has only just begun to run may end at once, and starts again if its
// Restart= says so; what ran before or says itself that it is ready is sure.
func TestAUnitThatHasJustBegunToRunIsNotSureToStay(t *testing.T) {
	runs := unit(cluster.Launched, on("a"), says("a", "active", "running"))
	w := New(Launched, 10, []Unit{{Name: name, Changed: true}})
	for i, step := range []struct {
		view  wire.UnitView
		tally Tally
		young bool
	}{
		{runs, Tally{Reached: 1}, true},
		{unit(cluster.Launched, on("a"), says("a", "activating", "auto-restart")), Tally{Waiting: 1}, false},
		{runs, Tally{Reached: 1}, true},
		{unit(cluster.Launched, on("a"), says("a", "failed", "failed", ended("exit-code", 1))), Tally{Failed: 1}, false},
		{runs, Tally{Failed: 1}, false},
	} {
		w.Apply(wire.Change{Revision: cluster.Revision(10 + i), Units: []wire.UnitView{step.view}})
		if w.Tally() != step.tally || w.Young() != step.young {
			t.Errorf("after step %d: %+v, young: %v", i, w.Tally(), w.Young())
		}
	}
	for _, sure := range []struct {
		unit Unit
		view wire.UnitView
	}{
		{Unit{Name: name}, runs},
		{Unit{Name: name, Changed: true}, unit(cluster.Launched, on("a"), says("a", "active", "exited"))},
	} {
		w := New(Launched, 10, []Unit{sure.unit})
		w.Apply(wire.Change{Revision: 10, Full: true, Units: []wire.UnitView{sure.view}})
		if !w.Done() || w.Young() {
			t.Errorf("done: %v, young: %v", w.Done(), w.Young())
		}
	}
}

func TestAWatchBegunAnewForgetsWhatIsGone(t *testing.T) {
	w := New(Destroyed, 10, []Unit{{Name: name, Before: unit(cluster.Launched), Changed: true}})
	w.Apply(wire.Change{Revision: 10, Full: true, Units: []wire.UnitView{unit("", says("a", "active", "running"))}})
	if w.Done() {
		t.Fatal("done while a node has it")
	}
	w.Apply(wire.Change{Revision: 12, Full: true})
	if !w.Done() {
		t.Error("a unit that the new watch does not have is still awaited")
	}
}

// The state alone decides: however a cluster's changes are cut into messages,
// lost and begun anew, the waiter ends with the same tally.
func TestTheEndDoesNotDependOnTheMessages(t *testing.T) {
	steps := []wire.UnitView{
		unit(cluster.Launched), unit(cluster.Launched, pending("none")), unit(cluster.Launched, on("a")),
		unit(cluster.Launched, on("a"), says("a", "activating", "start")),
		unit(cluster.Launched, on("a"), says("a", "active", "running")),
	}
	rapid.Check(t, func(t *rapid.T) {
		w := New(Launched, 10, []Unit{{Name: name, Changed: true}})
		for i, step := range steps {
			last := i == len(steps)-1
			if !last && rapid.Bool().Draw(t, "lost") {
				continue
			}
			w.Apply(wire.Change{Revision: cluster.Revision(8 + i), Full: rapid.Bool().Draw(t, "full"), Units: []wire.UnitView{step}})
			if done := w.Done(); done != last {
				t.Fatalf("after step %d: done is %t", i, done)
			}
		}
	})
}
