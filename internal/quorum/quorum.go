// Package quorum decides which nodes are servers, that is, members of etcd's
// voting set: 1, then 3, then 5 voters as nodes join; learners first; one
// change at a time. It is pure: Plan returns steps with reasons, and the
// leader's engine carries them out.
package quorum

import (
	"time"

	"argosy/internal/cluster"
)

// MemberInfo is a member as etcd itself lists it.
type MemberInfo struct {
	ID uint64
	// Name is "" until the member has started for the first time.
	Name    string
	PeerURL string
	Learner bool
}

// Node is what the plan needs to know of a node of the cluster.
type Node struct {
	ID cluster.NodeID
	// PeerURL is where etcd on that node would listen; "" if the node has not
	// reported an address yet.
	PeerURL string
	Joined  time.Time
	Health  cluster.Health
	// Silent is for how long it has not renewed its session.
	Silent time.Duration
}

// Input is all that a plan depends on.
type Input struct {
	Nodes   []Node
	Members []cluster.Member // the records
	Etcd    []MemberInfo     // what etcd says
	// Self is the leader's node; it is removed last.
	Self cluster.NodeID
	Now  time.Time
	// Grace is how long a voter may be silent before a worker takes its place.
	Grace time.Duration
}

// Kind says what a step does.
type Kind string

// The kinds of step. Record and Forget write our records only.
const (
	Record     Kind = "record"      // write Member as etcd has it
	Forget     Kind = "forget"      // delete the record
	AddLearner Kind = "add-learner" // record, then add to etcd as a learner
	Promote    Kind = "promote"     // learner to voter, then record
	Remove     Kind = "remove"      // record as leaving, remove from etcd, then delete the record
)

// Step is one change of the voting set or of the records about it.
type Step struct {
	Kind Kind
	// Member is the record as it is to be (Record, AddLearner), or the one
	// concerned. Its Node is "" for a member of etcd that no record names.
	Member cluster.Member
	Reason string
}
