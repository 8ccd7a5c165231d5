package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/audit"
	"argosy/internal/cluster"
)

// sound returns a cluster that breaks nothing.
func sound() *cluster.State {
	node := func(id cluster.NodeID) cluster.NodeState {
		return cluster.NodeState{
			Node: cluster.Node{ID: id, Name: string(id)}, Report: cluster.Report{Node: id},
			Session: cluster.Session{Node: id, Incarnation: "i", Seq: 7, Epoch: 1},
		}
	}
	unit := func(name cluster.UnitName, text string) cluster.Unit {
		return cluster.Unit{Name: name, UID: cluster.UID(name), Text: text, Desired: cluster.Launched}
	}
	placed := func(name cluster.UnitName, nodes ...cluster.NodeID) cluster.Placement {
		return cluster.Placement{Unit: name, UID: cluster.UID(name), Nodes: nodes, Epoch: 3, Reason: "because"}
	}
	return &cluster.State{
		Revision: 50,
		Cluster:  cluster.Cluster{ID: "c"},
		Leader:   cluster.Leader{Node: "a", Term: 4, Revision: 20},
		Nodes:    []cluster.NodeState{node("a"), node("b")},
		Units: []cluster.Unit{
			unit("db.service", "[Service]\nExecStart=/bin/true\n"),
			unit("web.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nConflicts=db*\n"),
		},
		Placements: []cluster.Placement{placed("db.service", "a"), placed("web.service", "b")},
		Statuses:   []cluster.Status{{Unit: "db.service", Node: "a"}, {Unit: "web.service", Node: "b"}},
		Members: []cluster.Member{
			{Node: "a", MemberID: 1, State: cluster.MemberVoter}, {Node: "b", MemberID: 2, State: cluster.MemberLearner},
		},
		Tokens: []cluster.Token{{ID: "t", Uses: 0}},
	}
}

func messages(findings []audit.Finding) []string {
	var out []string
	for _, f := range findings {
		text := f.String()
		if f.Passing {
			text += " (passing)"
		}
		out = append(out, text)
	}
	return out
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*cluster.State)
		want  []string
	}{
		{"a sound cluster has no findings", func(*cluster.State) {}, nil},
		{"an ordinary unit is on one node", func(s *cluster.State) { s.Placements[0].Nodes = []cluster.NodeID{"a", "b"} },
			[]string{
				"conflict: web.service and db.service conflict and are both placed on b (passing)",
				"one-node: db.service is placed on 2 nodes and is not global",
			}},
		{"a global unit may be on many", func(s *cluster.State) {
			s.Placements[0].Nodes, s.Placements[0].Global = []cluster.NodeID{"a", "b"}, true
			s.Placements[1].Nodes = nil
		}, nil},
		{"epochs begin at one", func(s *cluster.State) { s.Placements[0].Epoch = 0 },
			[]string{"epoch: the placement of db.service has epoch 0; epochs begin at 1"}},
		{"nodes of a placement are sorted", func(s *cluster.State) {
			s.Placements[0].Nodes, s.Placements[0].Global = []cluster.NodeID{"b", "a"}, true
			s.Placements[1].Nodes = nil
		}, []string{"placement-order: the nodes of db.service are not sorted, or one is named twice"}},
		{"nodes of a placement are named once", func(s *cluster.State) {
			s.Placements[0].Nodes, s.Placements[0].Global = []cluster.NodeID{"a", "a"}, true
		}, []string{"placement-order: the nodes of db.service are not sorted, or one is named twice"}},
		{"every placement has a reason", func(s *cluster.State) { s.Placements[0].Reason = "" },
			[]string{"reason: the placement of db.service has no reason"}},
		{"what is placed exists", func(s *cluster.State) { s.Units = s.Units[1:] },
			[]string{"placed-unit: db.service is placed and does not exist (passing)"}},
		{"what is placed is the unit of that UID", func(s *cluster.State) { s.Units[0].UID = "other" },
			[]string{"placed-unit: db.service is placed as it was before it was destroyed and submitted again (passing)"}},
		{"what is placed is not inactive", func(s *cluster.State) { s.Units[0].Desired = cluster.Inactive },
			[]string{"placed-unit: db.service is placed and inactive (passing)"}},
		{"a placement is on nodes that exist", func(s *cluster.State) { s.Placements[0].Nodes = []cluster.NodeID{"x"} },
			[]string{"placed-node: db.service is placed on x, which is no node of the cluster (passing)"}},
		{"units that are to be away from each other are apart", func(s *cluster.State) {
			s.Units[0].Text += "[X-Argosy]\nAway=-cache* web*\n"
			s.Placements[0].Nodes = []cluster.NodeID{"b"}
		}, []string{
			"conflict: db.service and web.service conflict and are both placed on b (passing)",
			"conflict: web.service and db.service conflict and are both placed on b (passing)",
		}},
		{"no node is promised to more than it has", func(s *cluster.State) {
			s.Units[0].Text += "[X-Argosy]\nCPU=3\nMemory=3G\n"
			s.Nodes[0].Report.CPUs, s.Nodes[0].Report.Memory = 2, 2<<30
		}, []string{
			"room: a is promised to more than its CPUs (passing)",
			"room: a is promised to more than its memory (passing)",
		}},
		{"a node that has not said what it has", func(s *cluster.State) { s.Units[0].Text += "[X-Argosy]\nCPU=3\n" }, nil},
		{"a node that is full", func(s *cluster.State) {
			s.Units[0].Text += "[X-Argosy]\nCPU=2\n"
			s.Nodes[0].Report.CPUs = 2
		}, nil},
		{"a unit is on the machine that it wants", func(s *cluster.State) { s.Units[0].Text += "[X-Fleet]\nMachineID=0123abcd\n" },
			[]string{"machine: db.service is placed on a and wants machine 0123abcd (passing)"}},
		{"a unit is where the labels are that it needs", func(s *cluster.State) {
			s.Units[0].Text += "[X-Fleet]\nMachineMetadata=zone=x zone=y\n[X-Argosy]\nRequire=!gpu, name=a, cpus>=2\n"
			s.Nodes[0].Node.Labels, s.Nodes[0].Report.CPUs = map[string]string{"gpu": "1", "zone": "z"}, 2
		}, []string{
			"labels: db.service is placed on a, which does not meet !gpu (passing)",
			"labels: db.service is placed on a, which does not meet zone in (x, y) (passing)",
		}},
		{"labels of operators mask those of the node, and facts", func(s *cluster.State) {
			s.Units[0].Text += "[X-Argosy]\nRequire=zone=x, !disk, mem>=1G, !arch\n"
			s.Nodes[0].Report.Labels = map[string]string{"zone": "y", "disk": "ssd"}
			s.Nodes[0].Report.Memory, s.Nodes[0].Report.Arch = 1<<30-1, "amd64"
			s.Nodes[0].Node.Labels = map[string]string{"zone": "x", "disk": "", "arch": ""}
		}, nil},
		{"a unit is with those that it follows", func(s *cluster.State) { s.Units[1].Text = "[X-Fleet]\nMachineOf=db.service\n" },
			[]string{"machine-of: web.service is placed on b without db.service (passing)"}},
		{"a unit is near those that it must be near", func(s *cluster.State) { s.Units[1].Text = "[X-Argosy]\nNear=*b.service -cache*\n" },
			[]string{"near: web.service is placed on b without any *b.service (passing)"}},
		{"a unit that has its company", func(s *cluster.State) {
			s.Units[1].Text = "[X-Fleet]\nMachineOf=db.service\n[X-Argosy]\nNear=d*\n"
			s.Placements[1].Nodes = []cluster.NodeID{"a"}
		}, nil},
		{"units that conflict are apart", func(s *cluster.State) { s.Placements[0].Nodes = []cluster.NodeID{"b"} },
			[]string{"conflict: web.service and db.service conflict and are both placed on b (passing)"}},
		{"a session belongs to its node", func(s *cluster.State) { s.Nodes[0].Session.Node = "b" },
			[]string{"session: node a has the session of b"}},
		{"a report belongs to its node", func(s *cluster.State) { s.Nodes[0].Report.Node = "b" },
			[]string{"report: node a has the report of b"}},
		{"a status is of a node that exists", func(s *cluster.State) { s.Statuses[0].Node = "x" },
			[]string{"status-node: a status of db.service is of x, which is no node of the cluster (passing)"}},
		{"what a unit offers that runs", func(s *cluster.State) {
			s.Statuses[0].Active = "active"
			s.Statuses[0].Offers = []cluster.Offer{{Service: "db", Port: 1, Healthy: true}, {Service: "db", Port: 2, Reason: "no answer"}}
		}, nil},
		{"nothing is announced of a unit that does not run", func(s *cluster.State) {
			s.Statuses[0].Active, s.Statuses[0].Sub = "deactivating", "stop-sigterm"
			s.Statuses[0].Offers = []cluster.Offer{{Service: "db", Port: 1, Healthy: true}, {Service: "db", Port: 2}}
		}, []string{"offer: db is announced by db.service on a: the unit is deactivating (stop-sigterm)"}},
		{"a unit makes an offer once", func(s *cluster.State) {
			s.Statuses[0].Active = "active"
			s.Statuses[0].Offers = []cluster.Offer{{Service: "db", Port: 1}, {Service: "db", Port: 1}}
		}, []string{"offer-order: the offers of db.service on a are not sorted, or one is made twice"}},
		{"servers are nodes", func(s *cluster.State) { s.Members[0].Node, s.Members[1].Node = "b", "x" },
			[]string{"member-node: server x is no node of the cluster (passing)"}},
		{"two nodes are not one member", func(s *cluster.State) { s.Members[1].MemberID = 1 },
			[]string{"member-id: nodes a and b are the same member of etcd"}},
		{"one server is added at a time", func(s *cluster.State) {
			s.Members[0].State, s.Members[1].State = cluster.MemberAdding, cluster.MemberAdding
		}, []string{"one-change: 2 servers are being added at once"}},
		{"one server is removed at a time", func(s *cluster.State) {
			s.Members[0].State, s.Members[1].State = cluster.MemberLeaving, cluster.MemberLeaving
		}, []string{"one-change: 2 servers are being removed at once"}},
		{"two learners at most", func(s *cluster.State) {
			s.Nodes = append(s.Nodes, cluster.NodeState{Node: cluster.Node{ID: "c"}})
			s.Members = []cluster.Member{
				{Node: "a", State: cluster.MemberLearner}, {Node: "b", State: cluster.MemberLearner}, {Node: "c", State: cluster.MemberLearner},
			}
		}, []string{"one-change: 3 servers are learners at once; the limit is 2"}},
		{"a token is not used too often", func(s *cluster.State) { s.Tokens[0].Uses = -1 },
			[]string{"token: token t has -1 uses left"}},
		{"lists are sorted and name nothing twice", func(s *cluster.State) { s.Nodes[1] = s.Nodes[0]; s.Nodes[0], s.Units[0] = s.Nodes[1], s.Units[1] },
			[]string{
				"member-node: server b is no node of the cluster (passing)",
				"order: the list of nodes is not sorted, or names something twice, at position 1",
				"order: the list of units is not sorted, or names something twice, at position 1",
				"placed-node: web.service is placed on b, which is no node of the cluster (passing)",
				"placed-unit: db.service is placed and does not exist (passing)",
				"status-node: a status of web.service is of b, which is no node of the cluster (passing)",
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := sound()
			test.spoil(state)
			if diff := cmp.Diff(test.want, messages(audit.Check(state))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLastingLeavesOutWhatPasses(t *testing.T) {
	state := sound()
	state.Units = state.Units[1:]
	state.Tokens[0].Uses = -1
	want := []string{"token: token t has -1 uses left"}
	if diff := cmp.Diff(want, messages(audit.Lasting(audit.Check(state)))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestCheckStep(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*cluster.State)
		want  []string
	}{
		{"standing still breaks nothing", func(*cluster.State) {}, nil},
		{"a cluster stays the same", func(s *cluster.State) { s.Cluster.ID = "d" },
			[]string{`cluster: cluster c became cluster "d"`}},
		{"revisions do not go back", func(s *cluster.State) { s.Revision = 49 },
			[]string{"revision: the revision went back from 50 to 49"}},
		{"terms do not go back", func(s *cluster.State) { s.Leader.Term = 3 },
			[]string{"term: the term went back from 4 to 3"}},
		{"a term has one leader", func(s *cluster.State) { s.Leader.Node = "b" },
			[]string{"term: term 4 belongs to a and to b"}},
		{"a new leader has a new term", func(s *cluster.State) { s.Leader = cluster.Leader{Node: "b", Term: 5, Revision: 40} }, nil},
		{"a unit keeps its UID", func(s *cluster.State) { s.Units[0].UID = "other" },
			[]string{"uid: the UID of db.service changed from db.service to other while it existed"}},
		{"a unit that is submitted again has another", func(s *cluster.State) {
			s.Units[0].UID, s.Units[0].Created = "other", time.Unix(1, 0)
		}, nil},
		{"epochs do not go back", func(s *cluster.State) { s.Placements[0].Epoch = 2 },
			[]string{"epoch: the epoch of db.service went back from 3 to 2"}},
		{"a unit does not move within an epoch", func(s *cluster.State) { s.Placements[0].Nodes = []cluster.NodeID{"b"} },
			[]string{"epoch: db.service moved from [a] to [b] within epoch 3"}},
		{"a unit moves with a new epoch", func(s *cluster.State) {
			s.Placements[0].Nodes, s.Placements[0].Epoch = []cluster.NodeID{"b"}, 4
		}, nil},
		{"what is to run keeps its placement", func(s *cluster.State) { s.Placements = s.Placements[1:] },
			[]string{"kept: the placement of db.service, which is to run, is gone"}},
		{"what was stopped loses it", func(s *cluster.State) {
			s.Units[0].Desired, s.Units[0].Revision, s.Placements = cluster.Inactive, 51, s.Placements[1:]
		}, nil},
		{"what was stopped and started again may not have one yet", func(s *cluster.State) {
			s.Units[0].Revision, s.Placements = 51, s.Placements[1:]
		}, nil},
		{"what was destroyed loses it", func(s *cluster.State) { s.Units, s.Placements = s.Units[1:], s.Placements[1:] }, nil},
		{"a session does not go back", func(s *cluster.State) { s.Nodes[0].Session.Seq = 6 },
			[]string{"session: the session of a went back from 7 to 6"}},
		{"a new incarnation counts anew", func(s *cluster.State) {
			s.Nodes[0].Session.Incarnation, s.Nodes[0].Session.Seq = "j", 1
		}, nil},
		{"session epochs do not go back", func(s *cluster.State) { s.Nodes[0].Session.Epoch = 0 },
			[]string{"session: the session epoch of a went back from 1 to 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			after := sound()
			test.spoil(after)
			if diff := cmp.Diff(test.want, messages(audit.CheckStep(sound(), after))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheDeadDoNotRise(t *testing.T) {
	before := sound()
	before.Nodes[0].Session.Dead = true
	want := []string{"session: the session of a was declared dead and came back to life"}
	if diff := cmp.Diff(want, messages(audit.CheckStep(before, sound()))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
