package quorum

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"argosy/internal/cluster"
)

// LearnerMax is how long a learner may take to get in sync before it is
// removed, so that one that never does blocks nobody.
const LearnerMax = 10 * time.Minute

// Size returns how many voters suit a number of nodes. Even sets tolerate no
// more failures than the next smaller odd one, and a sixth voter costs more
// than it brings.
func Size(nodes int) int {
	switch {
	case nodes >= 5:
		return 5
	case nodes >= 3:
		return 3
	}
	return 1
}

// Plan returns the next steps, in order. It is empty if the voting set is as
// it should be, or if the only thing to do is to wait. Only one change of
// etcd's membership is planned at a time; the exception is a pair of learners,
// promoted one right after the other so that the set is even only in between.
func Plan(in Input) []Step {
	v := newView(in)
	if _, known := v.nodes[in.Self]; !known {
		return nil // a leader that was removed decides nothing
	}
	if steps := v.repairs(); len(steps) > 0 {
		return steps
	}
	for _, rule := range []func() []Step{
		v.leave, v.orphans, v.stuck, v.replace, v.shrink, v.promote, v.add,
	} {
		if steps := rule(); len(steps) > 0 {
			return steps
		}
	}
	return nil
}

// view is the input with its indexes. Everything in it is sorted by node.
type view struct {
	Input
	nodes    map[cluster.NodeID]Node
	records  map[cluster.NodeID]cluster.Member
	voters   []cluster.Member
	learners []cluster.Member
	adding   []cluster.Member
	// candidates are nodes that could become servers, longest a node first.
	candidates []Node
}

func newView(in Input) *view {
	v := &view{Input: in, nodes: map[cluster.NodeID]Node{}, records: map[cluster.NodeID]cluster.Member{}}
	v.Members = slices.Clone(in.Members)
	slices.SortFunc(v.Members, func(a, b cluster.Member) int { return cmp.Compare(a.Node, b.Node) })
	v.Etcd = slices.Clone(in.Etcd)
	slices.SortFunc(v.Etcd, func(a, b MemberInfo) int { return cmp.Compare(a.ID, b.ID) })
	for _, n := range in.Nodes {
		v.nodes[n.ID] = n
	}
	for _, m := range v.Members {
		v.records[m.Node] = m
		switch m.State {
		case cluster.MemberVoter:
			v.voters = append(v.voters, m)
		case cluster.MemberLearner:
			v.learners = append(v.learners, m)
		case cluster.MemberAdding:
			v.adding = append(v.adding, m)
		case cluster.MemberLeaving:
		}
	}
	for _, n := range in.Nodes {
		if _, member := v.records[n.ID]; !member && n.Health == cluster.Ready && n.PeerURL != "" {
			v.candidates = append(v.candidates, n)
		}
	}
	slices.SortFunc(v.candidates, func(a, b Node) int {
		return cmp.Or(a.Joined.Compare(b.Joined), cmp.Compare(a.ID, b.ID))
	})
	return v
}

// inEtcd returns the member of etcd that a record means. A record that is
// being added has no ID yet and is known by its URL.
func (v *view) inEtcd(m cluster.Member) (MemberInfo, bool) {
	for _, e := range v.Etcd {
		if m.MemberID != 0 && e.ID == m.MemberID || m.MemberID == 0 && e.PeerURL == m.PeerURL {
			return e, true
		}
	}
	return MemberInfo{}, false
}

// repairs makes the records agree with etcd, which is the authority on its own
// members: a leader may have died between the two.
func (v *view) repairs() []Step {
	var steps []Step
	known := map[uint64]bool{}
	for _, m := range v.Members {
		e, found := v.inEtcd(m)
		if found {
			known[e.ID] = true
		}
		if step, needed := v.repair(m, e, found); needed {
			steps = append(steps, step)
		}
	}
	for _, e := range v.Etcd {
		if known[e.ID] || e.Learner {
			continue
		}
		for _, n := range v.Nodes {
			if _, recorded := v.records[n.ID]; !recorded && n.PeerURL == e.PeerURL {
				steps = append(steps, v.record(cluster.Member{Node: n.ID, PeerURL: e.PeerURL}, e, "etcd has it as a voter, and there was no record of it"))
			}
		}
	}
	return steps
}

func (v *view) repair(m cluster.Member, e MemberInfo, found bool) (Step, bool) {
	_, inCluster := v.nodes[m.Node]
	if !found {
		reason := v.whyForget(m, inCluster)
		return Step{Kind: Forget, Member: m, Reason: reason}, reason != ""
	}
	if !inCluster {
		return Step{}, false
	}
	switch {
	case m.State == cluster.MemberAdding:
		return v.record(m, e, "etcd has taken it"), true
	case m.State == cluster.MemberLearner && !e.Learner:
		return v.record(m, e, "etcd has promoted it"), true
	case m.State == cluster.MemberVoter && e.Learner:
		return v.record(m, e, "etcd has it as a learner"), true
	}
	return Step{}, false
}

// whyForget says why the record of a member that etcd does not list is to be
// forgotten; "" if it may still come.
func (v *view) whyForget(m cluster.Member, inCluster bool) string {
	switch {
	case !inCluster:
		return "the node was removed from the cluster"
	case m.State == cluster.MemberLeaving:
		return "etcd has removed it"
	case m.State != cluster.MemberAdding:
		return "etcd does not know it any more"
	case v.Now.Sub(m.Since) > LearnerMax:
		return fmt.Sprintf("etcd did not take it within %s", LearnerMax)
	}
	return ""
}

// record makes the step that writes what etcd says.
func (v *view) record(m cluster.Member, e MemberInfo, reason string) Step {
	m.MemberID, m.State, m.Since = e.ID, cluster.MemberVoter, v.Now
	if e.Learner {
		m.State = cluster.MemberLearner
	}
	return Step{Kind: Record, Member: m, Reason: reason}
}

// leave removes members whose node was removed, or whose removal had begun.
func (v *view) leave() []Step {
	for _, m := range v.Members {
		_, inCluster := v.nodes[m.Node]
		switch {
		case m.State == cluster.MemberLeaving:
			return v.remove(m, "its removal had begun")
		case !inCluster && (m.State != cluster.MemberVoter || v.survives(m)):
			return v.remove(m, "its node was removed from the cluster")
		}
	}
	return nil
}

// orphans removes members of etcd that no record names: a node died between
// being added and being recorded, or came back with an empty disk.
func (v *view) orphans() []Step {
	for _, e := range v.Etcd {
		named := slices.ContainsFunc(v.Members, func(m cluster.Member) bool {
			found, ok := v.inEtcd(m)
			return ok && found.ID == e.ID
		})
		if !named && (e.Learner || len(v.voters) > 0) {
			m := cluster.Member{MemberID: e.ID, PeerURL: e.PeerURL, State: cluster.MemberLeaving}
			return v.remove(m, "no node of the cluster belongs to it")
		}
	}
	return nil
}

// stuck removes a learner that does not get in sync.
func (v *view) stuck() []Step {
	for _, m := range v.learners {
		if v.Now.Sub(m.Since) > LearnerMax {
			return v.remove(m, fmt.Sprintf("it was not in sync within %s", LearnerMax))
		}
	}
	return nil
}

// replace removes a voter that has been silent for too long, if there is a
// node to take its place. It is removed before the other is added, so that the
// set never counts on two that are not there.
func (v *view) replace() []Step {
	if len(v.candidates) == 0 {
		return nil
	}
	for _, m := range v.voters {
		n := v.nodes[m.Node]
		if (n.Health == cluster.Lost || n.Health == cluster.Dead) && n.Silent >= v.Grace && v.survives(m) {
			return v.remove(m, fmt.Sprintf("silent for %s; %s will take its place", n.Silent.Round(time.Second), v.candidates[0].ID.Short()))
		}
	}
	return nil
}

// shrink removes a voter when the set is larger than it can be kept: one that
// is not well if there is one, else the one that joined last, and never the
// leader's.
func (v *view) shrink() []Step {
	most := v.most()
	if len(v.voters) <= most {
		return nil
	}
	worst := slices.Clone(v.voters)
	slices.SortStableFunc(worst, func(a, b cluster.Member) int {
		na, nb := v.nodes[a.Node], v.nodes[b.Node]
		if (na.Health == cluster.Ready) != (nb.Health == cluster.Ready) {
			if nb.Health == cluster.Ready {
				return -1
			}
			return 1
		}
		return nb.Joined.Compare(na.Joined)
	})
	for _, m := range worst {
		if m.Node != v.Self && v.survives(m) {
			return v.remove(m, fmt.Sprintf("a set of %d suits the nodes that there are, not one of %d", most, len(v.voters)))
		}
	}
	return nil
}

// most is the largest set that the nodes can ever fill. Nodes that are merely
// lost count, because they come back; a worker that was silent for the grace
// period does not, or the set could rest on an even number.
func (v *view) most() int {
	nodes := 0
	for _, n := range v.Nodes {
		if v.records[n.ID].State == cluster.MemberVoter || n.Silent < v.Grace {
			nodes++
		}
	}
	return Size(nodes)
}

// promote makes voters of learners that have started: one if that makes the
// set odd, else two right after each other.
func (v *view) promote() []Step {
	var ready []cluster.Member
	for _, m := range v.learners {
		e, _ := v.inEtcd(m)
		if e.Name != "" && v.nodes[m.Node].Health == cluster.Ready {
			ready = append(ready, m)
		}
	}
	// The one that was added last comes first: if it is not in sync yet, etcd
	// refuses it and the set stays odd. If it is, the other most likely is too.
	slices.SortStableFunc(ready, func(a, b cluster.Member) int { return b.Since.Compare(a.Since) })
	count := 1 + len(v.voters)%2
	if len(ready) < count || len(v.voters)+count > v.goal() {
		return nil
	}
	var steps []Step
	for i, m := range ready[:count] {
		m.State, m.Since = cluster.MemberVoter, v.Now
		steps = append(steps, Step{Kind: Promote, Member: m,
			Reason: fmt.Sprintf("voter %d of %d", len(v.voters)+i+1, v.goal())})
	}
	return steps
}

// add begins to make a server of a node, if the set should be larger.
func (v *view) add() []Step {
	if len(v.adding) > 0 {
		m := v.adding[0]
		if v.nodes[m.Node].Health != cluster.Ready {
			return nil // it is forgotten after LearnerMax
		}
		return []Step{{Kind: AddLearner, Member: m, Reason: "it was about to be added"}}
	}
	if len(v.candidates) == 0 || len(v.voters)+len(v.learners) >= v.goal() {
		return nil
	}
	if v.starting() {
		return nil
	}
	n := v.candidates[0]
	m := cluster.Member{Node: n.ID, State: cluster.MemberAdding, PeerURL: n.PeerURL, Since: v.Now}
	return []Step{{Kind: AddLearner, Member: m,
		Reason: fmt.Sprintf("%d of %d voters so far", len(v.voters), v.goal())}}
}

// starting reports whether a learner is about to start for the first time. The
// next one waits for that: a new member asks all others for their version
// before it serves, and two that start together ask each other in vain for the
// seven seconds that etcd gives such a request.
func (v *view) starting() bool {
	return slices.ContainsFunc(v.learners, func(m cluster.Member) bool {
		e, _ := v.inEtcd(m)
		return e.Name == "" && v.nodes[m.Node].Health == cluster.Ready
	})
}

// goal is how many voters there should be with the nodes there are now: the
// size that suits those that are ready or vote already, but odd, and no more
// than can be had.
func (v *view) goal() int {
	nodes := 0
	for _, n := range v.Nodes {
		if n.Health == cluster.Ready || v.records[n.ID].State == cluster.MemberVoter {
			nodes++
		}
	}
	most := len(v.voters) + len(v.learners) + len(v.adding) + len(v.candidates)
	if most%2 == 0 {
		most--
	}
	return min(Size(nodes), most)
}

// survives reports whether the set still has a majority without a voter.
func (v *view) survives(without cluster.Member) bool {
	alive, left := 0, 0
	for _, m := range v.voters {
		if m.Node == without.Node {
			continue
		}
		left++
		if h := v.nodes[m.Node].Health; h == cluster.Ready {
			alive++
		}
	}
	return left > 0 && alive > left/2
}

func (v *view) remove(m cluster.Member, reason string) []Step {
	m.State, m.Since = cluster.MemberLeaving, v.Now
	return []Step{{Kind: Remove, Member: m, Reason: reason}}
}
