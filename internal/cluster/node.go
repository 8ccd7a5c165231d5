package cluster

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Role says whether a node is a server (etcd member, serves the API, may lead)
// or a worker.
type Role string

// The roles of a node.
const (
	Server Role = "server"
	Worker Role = "worker"
)

// Cluster is the record of the cluster itself. Written once, when it is formed.
type Cluster struct {
	ID      ID        `json:"id"`
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
	// Timings are the same on every node: the safety of sessions rests on
	// both sides counting with the same figures.
	Timings Timings `json:"timings"`
	// Domain is what the names of the cluster end in: one name must mean the same on
	// every node. It is empty in records from before there were names.
	Domain string `json:"domain,omitempty"`
}

// Node is a machine of the cluster: what was fixed when it joined, and what
// operators say of it. Written at the join and by operators.
type Node struct {
	ID     NodeID    `json:"id"`
	Name   string    `json:"name"`
	Joined time.Time `json:"joined"`
	// Key is the fingerprint of the key that the node joined with (hex
	// SHA-256 of its SPKI). Another key is another node.
	Key string `json:"key,omitempty"`
	// Labels are set by operators and mask those that the node reports.
	// An empty value removes a reported label.
	Labels map[string]string `json:"labels,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// Report is what a node says of itself. Written by the node when it changes.
type Report struct {
	Node    NodeID            `json:"node"`
	Address netip.Addr        `json:"address"`
	Labels  map[string]string `json:"labels,omitempty"` // from argosy.conf
	Version string            `json:"version,omitempty"`
	Arch    string            `json:"arch,omitempty"` // Go's word: amd64, arm64
	CPUs    int               `json:"cpus,omitempty"`
	Memory  int64             `json:"memory,omitempty"` // bytes
	// Problems are conditions an operator should act on, in plain words.
	Problems []string `json:"problems,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// MergeLabels returns the labels of a node: those reported, masked by those of
// operators. Placing sees its facts beside them (NodeState.Label).
func MergeLabels(n Node, r Report) map[string]string {
	merged := maps.Clone(r.Labels)
	if merged == nil {
		merged = map[string]string{}
	}
	for k, v := range n.Labels {
		if v == "" {
			delete(merged, k)
		} else {
			merged[k] = v
		}
	}
	return merged
}

// Label returns the value of a label as placing sees it, and whether the node has
// it: that of operators, else that of the node's configuration, else a fact.
func (n *NodeState) Label(key string) (value string, there bool) {
	if value, set := n.Node.Labels[key]; set {
		return value, value != "" // an empty one removes it
	}
	if value, set := n.Report.Labels[key]; set {
		return value, true
	}
	return n.fact(key)
}

// fact returns what every node knows of itself under the name of a label.
func (n *NodeState) fact(key string) (string, bool) {
	switch key {
	case "name":
		return cmp.Or(n.Node.Name, n.Node.ID.Short()), true
	case "id":
		return string(n.Node.ID), true
	case "arch":
		return n.Report.Arch, n.Report.Arch != ""
	case "cpus":
		return strconv.Itoa(n.Report.CPUs), n.Report.CPUs > 0
	case "mem":
		// The kernel keeps some: a machine with 32G shows 31.3, and is meant
		// by mem>=32G.
		const gib = 1 << 30
		return strconv.FormatInt((n.Report.Memory+gib-1)/gib, 10) + "G", n.Report.Memory > 0
	case "version":
		return n.Report.Version, n.Report.Version != ""
	}
	return "", false
}

// Session is the sign of life of one boot of one node's daemon. It is renewed
// by compare-and-swap through a server; there is no other heartbeat.
// Written by the node, except Dead and Epoch, which the leader writes.
type Session struct {
	Node NodeID `json:"node"`
	// Incarnation is random and new at each start of the daemon.
	Incarnation string `json:"incarnation"`
	// BootID is the kernel's: a new one means that nothing of before still runs.
	BootID string `json:"bootID"`
	// Seq grows with each renewal.
	Seq int64 `json:"seq"`
	// Heard is the Seq of the last renewal whose answer the node got; 0 opens a
	// session. A node that does not hear that its renewals were stored renews
	// nothing: to be alive is to be heard and to hear.
	Heard int64 `json:"heard,omitempty"`
	// Usage is what the machine uses.
	Usage Usage `json:"usage,omitzero"`
	// Dead is set by the leader when the session has not moved for too long. A
	// node that finds its session dead fences itself and opens a new one.
	Dead bool `json:"dead,omitempty"`
	// Epoch grows by one each time the leader declares the session dead.
	Epoch Epoch `json:"epoch,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// Usage is an amount of a machine: used, or promised to units.
type Usage struct {
	CPU    int64 `json:"cpu"`    // thousandths of a core
	Memory int64 `json:"memory"` // bytes
}

// Add returns the sum of two amounts.
func (u Usage) Add(v Usage) Usage { return Usage{u.CPU + v.CPU, u.Memory + v.Memory} }

// Leader is the election record. It changes only when the leadership does;
// its revision fences every write of that leader.
type Leader struct {
	Node  NodeID    `json:"node"`
	Term  int64     `json:"term"` // grows by one with each change
	Since time.Time `json:"since"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// MemberState says how far a server has come on its way into etcd's voting set.
type MemberState string

// The states of a server, in order.
const (
	MemberAdding  MemberState = "adding"  // the record is written, etcd does not know it yet
	MemberLearner MemberState = "learner" // etcd sends it the log, it has no vote
	MemberVoter   MemberState = "voter"
	MemberLeaving MemberState = "leaving" // to be removed from etcd, then from here
)

// Member ties a server node to its etcd member. Written by the leader.
type Member struct {
	Node     NodeID      `json:"node"`
	MemberID uint64      `json:"memberID,string,omitempty"`
	State    MemberState `json:"state"`
	PeerURL  string      `json:"peerURL"`
	// Since is when the state was entered; a learner that stays one for too
	// long is removed.
	Since time.Time `json:"since"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// Token is an invitation to join. Only a hash of its secret is stored.
type Token struct {
	ID      string    `json:"id"`
	Digest  string    `json:"digest"` // hex SHA-256 of the secret
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Uses is how many nodes may still join with it; spent tokens stay until
	// they expire, so that a late use is told why it is refused.
	Uses int `json:"uses"`
	// UsedBy are the nodes that joined with it: their retries cost no use.
	UsedBy []NodeID `json:"usedBy,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// Admits reports whether the node may join with the token at a time, and if
// not, why. A node that was admitted before is admitted again: its first
// attempt may have failed half-way.
func (t Token) Admits(node NodeID, now time.Time) error {
	switch {
	case !now.Before(t.Expires):
		return Errorf(Denied, "token %s expired at %s", t.ID, t.Expires.UTC().Format(time.RFC3339)).
			WithHint("make a new one: argosy token create")
	case slices.Contains(t.UsedBy, node):
		return nil
	case t.Uses <= 0:
		return Errorf(Denied, "token %s is used up (%d joined with it)", t.ID, len(t.UsedBy)).
			WithHint("make a new one: argosy token create --uses N")
	}
	return nil
}
