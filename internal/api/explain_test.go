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
