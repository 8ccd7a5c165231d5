package api

import (
	"fmt"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// A node stops its etcd when it is removed, whether it leaves by itself or is
// told to: what the cluster knows must not go with it.
func TestANodeThatTheQuorumNeedsIsNotRemoved(t *testing.T) {
	const third = cluster.NodeID("00000000000000000000000000000003")
	voter := func(id cluster.NodeID) store.Op {
		return store.PutMember(cluster.Member{Node: id, MemberID: 7, State: cluster.MemberVoter})
	}
	node := func(id cluster.NodeID) store.Op { return store.PutNode(cluster.Node{ID: id, Name: "node-3"}) }
	for _, tt := range []struct {
		name string
		ops  []store.Op
		lost cluster.NodeID
		gone cluster.NodeID
		says string // "": it is removed
	}{
		{"the only server", nil, "", here, "node-1 is the only server: the cluster would end with it"},
		{"a worker beside the only server", nil, "", there, ""},
		{"one of two: the set is just changing", []store.Op{voter(there)}, "", here, "node-1 is needed: without it 1 of 2 servers would be well, which is no majority"},
		{"one of three", []store.Op{voter(there), voter(third), node(third)}, "", here, ""},
		{"one of three, while another is lost", []store.Op{voter(there), voter(third), node(third)}, third, here, "node-1 is needed: without it 1 of 3 servers would be well, which is no majority"},
		{"the one of three that is lost", []store.Op{voter(there), voter(third), node(third)}, third, third, ""},
		{"one of three, while another was just removed", []store.Op{voter(there), voter(third)}, "", here, "node-1 is needed: without it 1 of 3 servers would be well, which is no majority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.server.Health = func(id cluster.NodeID) cluster.Health {
					if id == tt.lost {
						return cluster.Lost
					}
					return cluster.Ready
				}
				if len(tt.ops) > 0 {
					b.put(tt.ops...)
				}
				problem := b.call("DELETE", fmt.Sprintf("/v1/nodes/%s", tt.gone), nil, nil)
				_, there := findNode(b.server.Mirror.State(), tt.gone)
				switch {
				case tt.says == "" && (problem != nil || there):
					t.Errorf("not removed: %+v", problem)
				case tt.says != "" && (problem == nil || problem.Detail != tt.says || problem.Code != "conflict" || problem.Hint == "" || !there):
					t.Errorf("removed: %v; %+v", !there, problem)
				}
			})
		})
	}
}
