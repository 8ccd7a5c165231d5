package api

import (
	"strings"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/pki"
)

// Every kind of access against every kind of caller. A plus means allowed.
func TestWhoMayCallWhat(t *testing.T) {
	callers := []struct {
		name   string
		caller pki.Caller
	}{
		{"nobody", pki.Caller{Kind: pki.Anonymous}},
		{"the node itself", pki.Caller{Kind: pki.Node, Node: "target"}},
		{"another worker", pki.Caller{Kind: pki.Node, Node: "worker"}},
		{"a server", pki.Caller{Kind: pki.Node, Node: "server"}},
		{"a node that was removed", pki.Caller{Kind: pki.Node, Node: "removed"}},
		{"an operator", pki.Caller{Kind: pki.Operator, Name: "alice"}},
		{"root here", pki.Caller{Kind: pki.Local}},
	}
	known := roster{
		member:  func(id cluster.NodeID) bool { return id == "server" || id == "removed" },
		removed: func(id cluster.NodeID) bool { return id == "removed" },
	}
	for _, tt := range []struct {
		access access
		name   string
		want   string // one sign for each caller
	}{
		{anyone, "anyone", "+++++++"},
		{anyMember, "anyMember", "-+++-++"},
		{servers, "servers", "---+-++"},
		{operators, "operators", "-----++"},
		{operatorsOrOwn, "operatorsOrOwn", "-+---++"},
		{ownNode, "ownNode", "-+-----"},
		{ownServer, "ownServer", "-------"}, // the target was not chosen as a server
		{onlyLocal, "onlyLocal", "------+"},
		{access(0), "a route without access", "-------"},
	} {
		got := ""
		for _, c := range callers {
			err := authorize(tt.access, c.caller, "target", known)
			if err == nil {
				got += "+"
				continue
			}
			got += "-"
			if cluster.KindOf(err) != cluster.Denied || err.Error() == "" {
				t.Errorf("%s, %s: refused with %v", tt.name, c.name, err)
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if err := authorize(ownServer, pki.Caller{Kind: pki.Node, Node: "server"}, "server", known); err != nil {
		t.Errorf("a chosen server is refused its secrets: %v", err)
	}
	if err := authorize(ownNode, pki.Caller{Kind: pki.Node, Node: "removed"}, "removed", known); err != nil {
		t.Errorf("a removed node cannot learn that it was removed: %v", err)
	}
	err := authorize(ownNode, pki.Caller{Kind: pki.Node, Node: "worker"}, "target", known)
	if err == nil || !strings.Contains(err.Error(), "worker") || !strings.Contains(err.Error(), "target") {
		t.Errorf("the refusal does not name both nodes: %v", err)
	}
}
