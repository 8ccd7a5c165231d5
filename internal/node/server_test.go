package node

import (
	"net/netip"
	"slices"
	"testing"

	"argosy/internal/cluster"
)

func TestANodeServesAsLongAsItsVoteCounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		state  cluster.MemberState // of the node's own record; "" means none
		serves bool
	}{
		{"a voter", cluster.MemberVoter, true},
		{"one that is leaving: its vote may be needed to remove it", cluster.MemberLeaving, true},
		{"one without a record", "", false},
		{"one that was removed and begins anew as a learner", cluster.MemberLearner, false},
		{"one that was removed and is to be added", cluster.MemberAdding, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := &cluster.State{
				Nodes: []cluster.NodeState{
					{Node: cluster.Node{ID: "a"}, Report: cluster.Report{Address: netip.MustParseAddr("10.0.0.1")}},
					{Node: cluster.Node{ID: "b"}, Report: cluster.Report{Address: netip.MustParseAddr("10.0.0.2")}},
				},
				Members: []cluster.Member{{Node: "b", State: cluster.MemberVoter}},
			}
			if tt.state != "" {
				state.Members = append(state.Members, cluster.Member{Node: "a", State: tt.state})
			}
			endpoints, serves := otherMembers(state, "a")
			if serves != tt.serves {
				t.Errorf("serves: %v", serves)
			}
			if want := []string{"https://10.0.0.2:7501"}; !slices.Equal(endpoints, want) {
				t.Errorf("to ask when its own member is silent: %v, want %v: the own one may run and not hear etcd's leader", endpoints, want)
			}
		})
	}
}

func TestWhichMembersAServerAsks(t *testing.T) {
	const own, other = "https://10.0.0.1:7501", "https://10.0.0.2:7501"
	for _, tt := range []struct {
		name   string
		state  cluster.MemberState // of its own record
		alone  bool
		silent bool // its own member is
		want   string
	}{
		{"its own, which is the nearest", cluster.MemberVoter, false, false, own},
		{"others, if its own is silent", cluster.MemberVoter, false, true, other},
		{"others, if its own is to go: that need not hear of it", cluster.MemberLeaving, false, false, other},
		{"its own, if there is no other", cluster.MemberVoter, true, true, own},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := &cluster.State{
				Nodes:   []cluster.NodeState{{Node: cluster.Node{ID: "b"}, Report: cluster.Report{Address: netip.MustParseAddr("10.0.0.2")}}},
				Members: []cluster.Member{{Node: "a", State: tt.state}},
			}
			if !tt.alone {
				state.Members = append(state.Members, cluster.Member{Node: "b", State: cluster.MemberVoter})
			}
			if got := toAsk(state, "a", own, tt.silent); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("asks %v", got)
			}
		})
	}
}

func TestAMemberThatHasNotStartedGetsItsNameInEtcdsList(t *testing.T) {
	got := ownName("n1=https://10.0.0.1:7502,member-2f=https://10.0.0.2:7502", "n2", "https://10.0.0.2:7502")
	if want := "n1=https://10.0.0.1:7502,n2=https://10.0.0.2:7502"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
