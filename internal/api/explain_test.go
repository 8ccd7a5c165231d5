package api

import (
	"strings"
	"testing"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/store"
)

func TestUnitsThatLookToEachOtherInACircleAreRefused(t *testing.T) {
	b := newBench(t)
	follows := func(name cluster.UnitName, peer string) wire.SubmitUnit {
		return wire.SubmitUnit{Name: name, Text: hello + "[X-Fleet]\nMachineOf=" + peer + "\n"}
	}
	if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{follows("a.service", "b.service")}}); problem != nil {
		t.Fatalf("a peer that there is not yet: %+v", problem)
	}
	_, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: "c.service", Text: hello}, follows("b.service", "a.service")}})
	if problem == nil || !strings.Contains(problem.Detail, "b.service: MachineOf goes round in a circle") || problem.Hint == "" {
		t.Errorf("a circle with a unit that is stored: %+v", problem)
	}
	if stored := b.units(); len(stored) != 1 {
		t.Errorf("stored: %v", stored)
	}
	// Who replaces the stored unit by one that looks to nobody opens the circle.
	_, problem = submit(b, wire.SubmitRequest{Replace: true, Units: []wire.SubmitUnit{{Name: "a.service", Text: hello}, follows("b.service", "a.service")}})
	if problem != nil {
		t.Errorf("without a circle: %+v", problem)
	}
}

// A unit that looks to nobody gives way to whoever replaces it, and that may be
// what closes the circle.
func TestAPlainUnitThatClosesACircleIsRefused(t *testing.T) {
	b := newBench(t)
	unit := func(name cluster.UnitName, options string) wire.SubmitUnit {
		return wire.SubmitUnit{Name: name, Text: hello + "[X-Fleet]\n" + options}
	}
	first := []wire.SubmitUnit{unit("r.service", "MachineOf=y.service\nReplaces=x*.service\n"), unit("y.service", "MachineOf=x.service\n")}
	if _, problem := submit(b, wire.SubmitRequest{Units: first}); problem != nil {
		t.Fatalf("without x.service there is no circle: %+v", problem)
	}
	_, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{unit("good.service", ""), unit("x.service", "")}})
	if problem == nil || problem.Code != "invalid" || problem.Hint == "" || !strings.HasPrefix(problem.Detail, "x.service: MachineOf and Replaces go round in a circle:") {
		t.Errorf("x.service: %+v", problem)
	}
	if stored := b.units(); len(stored) != 2 {
		t.Errorf("stored: %v", stored)
	}
	if _, problem := submit(b, one("xx.service", hello)); problem != nil {
		t.Errorf("who is replaced and looked to by nobody: %+v", problem)
	}
}

func TestScalingIntoACircleIsRefused(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{
		{Name: "a@.service", Text: hello + "[X-Fleet]\nMachineOf=b@1.service\n"},
		{Name: "b@.service", Text: hello + "[X-Fleet]\nMachineOf=a@1.service\n"},
	}}); problem != nil {
		t.Fatal(problem)
	}
	if _, problem := scaled(b, "a@.service", 2); problem != nil {
		t.Fatalf("without b@1.service there is no circle: %+v", problem)
	}
	_, problem := scaled(b, "b@.service", 2)
	if problem == nil || problem.Code != "invalid" || !strings.Contains(problem.Detail, "b@1.service: MachineOf goes round in a circle: b@1.service -> a@1.service -> b@1.service") {
		t.Errorf("with it: %+v", problem)
	}
	if stored := b.units(); len(stored) != 4 {
		t.Errorf("stored: %v", stored)
	}
	if got, problem := scaled(b, "a@.service", 0); problem != nil || len(got) != 2 {
		t.Errorf("what goes closes no circle: %v %+v", got, problem)
	}
	if _, problem := scaled(b, "b@.service", 2); problem != nil {
		t.Errorf("without a@1.service: %+v", problem)
	}
}

func TestExplainSaysNodeByNodeWhyNot(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, one("web.service", hello+"[X-Fleet]\nMachineMetadata=disk=ssd\n")); problem != nil {
		t.Fatal(problem)
	}
	var e place.Explanation
	path := strings.Replace(wire.PathExplain, "{name}", "web.service", 1)
	if problem := b.call("GET", path, nil, &e); problem != nil {
		t.Fatal(problem)
	}
	if len(e.Nodes) != 2 || e.Nodes[0].OK || len(e.Changes) != 1 || e.Changes[0].Why != "lacks disk=ssd" || len(e.Changes[0].Nodes) != 2 {
		t.Errorf("%+v", e)
	}
	path = strings.Replace(wire.PathExplain, "{name}", "no.service", 1)
	if problem := b.call("GET", path, nil, &e); problem == nil || problem.Code != "not-found" {
		t.Errorf("a unit that there is not: %+v", problem)
	}
}

func TestANodeShowsWhatItPromisedAndWhatItUses(t *testing.T) {
	b := newBench(t)
	text := hello + "[X-Argosy]\nCPU=0.5\nMemory=1G\n"
	b.put(
		store.PutUnit(cluster.Unit{Name: "a.service", UID: "1", Text: text, Hash: cluster.HashText(text), Desired: cluster.Launched}),
		store.PutUnit(cluster.Unit{Name: "b.service", UID: "1", Text: text, Hash: cluster.HashText(text), Desired: cluster.Launched}),
		store.PutPlacement(cluster.Placement{Unit: "a.service", UID: "1", Nodes: []cluster.NodeID{here}, Epoch: 1, Reason: "-"}),
		store.PutPlacement(cluster.Placement{Unit: "b.service", UID: "1", Nodes: []cluster.NodeID{here}, Epoch: 1, Reason: "-"}),
		store.PutSession(cluster.Session{Node: here, Incarnation: "i", Seq: 1, Usage: cluster.Usage{CPU: 300, Memory: 2 << 30}}),
	)
	var list wire.List[wire.NodeView]
	if problem := b.call("GET", wire.PathNodes, nil, &list); problem != nil {
		t.Fatal(problem)
	}
	for _, n := range list.Items {
		promised, used := cluster.Usage{}, cluster.Usage{}
		if n.ID == here {
			promised, used = cluster.Usage{CPU: 1000, Memory: 2 << 30}, cluster.Usage{CPU: 300, Memory: 2 << 30}
		}
		if n.Promised != promised || n.Used != used {
			t.Errorf("%s promised %+v and uses %+v", n.Name, n.Promised, n.Used)
		}
	}
}
