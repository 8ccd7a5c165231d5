package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/quorum"
	"argosy/internal/store"
)

// etcdMembers is etcd's membership in memory. A learner is in sync three
// seconds after it was added.
type etcdMembers struct {
	mu      sync.Mutex
	next    uint64
	members []quorum.MemberInfo
	inSync  map[uint64]time.Time
	most    int // voters at once
	evenFor time.Duration
	even    time.Time
}

func newEtcdMembers() *etcdMembers {
	return &etcdMembers{next: 2, inSync: map[uint64]time.Time{}, most: 1,
		members: []quorum.MemberInfo{{ID: 1, Name: "n00", PeerURL: peerURL(0)}}}
}

func peerURL(i int) string { return fmt.Sprintf("https://10.0.0.%d:7502", i+1) }

func (e *etcdMembers) List(context.Context) ([]quorum.MemberInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.members), nil
}

func (e *etcdMembers) AddLearner(_ context.Context, url string) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.ContainsFunc(e.members, func(m quorum.MemberInfo) bool { return m.PeerURL == url }) {
		return 0, cluster.Errorf(cluster.Exists, "%s is a member", url)
	}
	id := e.next
	e.next++
	e.members = append(e.members, quorum.MemberInfo{ID: id, Name: "started", PeerURL: url, Learner: true})
	e.inSync[id] = time.Now().Add(3 * time.Second)
	return id, nil
}

func (e *etcdMembers) Promote(_ context.Context, id uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.inSync[id]) {
		return cluster.Errorf(cluster.Unavailable, "member %d is not in sync yet", id)
	}
	for i := range e.members {
		if e.members[i].ID == id {
			e.members[i].Learner = false
		}
	}
	e.count()
	return nil
}

func (e *etcdMembers) Remove(_ context.Context, id uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.members = slices.DeleteFunc(e.members, func(m quorum.MemberInfo) bool { return m.ID == id })
	e.count()
	return nil
}

// count notes how long the set was even.
func (e *etcdMembers) count() {
	voters := 0
	for _, m := range e.members {
		if !m.Learner {
			voters++
		}
	}
	e.most = max(e.most, voters)
	if !e.even.IsZero() {
		e.evenFor = max(e.evenFor, time.Since(e.even))
		e.even = time.Time{}
	}
	if voters%2 == 0 {
		e.even = time.Now()
	}
}

// voters returns the nodes that are voters in etcd, and fails the test if the
// records say otherwise.
func (f *fleet) voters() []string {
	f.t.Helper()
	f.members.mu.Lock()
	defer f.members.mu.Unlock()
	var inEtcd, recorded []string
	for _, m := range f.members.members {
		if !m.Learner {
			inEtcd = append(inEtcd, m.PeerURL)
		}
	}
	for _, m := range f.state().Members {
		if m.State == cluster.MemberVoter {
			recorded = append(recorded, m.PeerURL)
		}
	}
	slices.Sort(inEtcd)
	slices.Sort(recorded)
	if diff := cmp.Diff(inEtcd, recorded); diff != "" {
		f.t.Errorf("the records differ from etcd (-etcd +records):\n%s", diff)
	}
	return inEtcd
}

func TestServersGrowByThemselves(t *testing.T) {
	for _, test := range []struct{ nodes, voters int }{{1, 1}, {2, 1}, {3, 3}, {4, 3}, {5, 5}, {7, 5}} {
		t.Run(fmt.Sprintf("%d nodes", test.nodes), func(t *testing.T) {
			sailWith(t, newEtcdMembers(), 1, test.nodes, func(f *fleet) {
				f.pass(time.Minute)
				if got := f.voters(); len(got) != test.voters {
					t.Errorf("voters: %v", got)
				}
				if f.members.evenFor > 100*time.Millisecond {
					t.Errorf("the set was even for %s", f.members.evenFor)
				}
				f.sound()
				f.history()
			})
		})
	}
}

// crew returns the two voters besides n00 and the worker of a cluster of four
// nodes, by number: which they are depends on who was ready first.
func (f *fleet) crew() (voters [2]int, worker int) {
	f.t.Helper()
	now := f.voters()
	at := 0
	for i := 1; i < 4; i++ {
		switch {
		case !slices.Contains(now, peerURL(i)):
			worker = i
		case at < 2:
			voters[at] = i
			at++
		}
	}
	if len(now) != 3 || at != 2 {
		f.t.Fatalf("voters: %v", now)
	}
	return voters, worker
}

func TestADeadVoterIsReplacedAfterTheGracePeriod(t *testing.T) {
	sailWith(t, newEtcdMembers(), 1, 4, func(f *fleet) {
		f.pass(time.Minute)
		before := f.voters()
		voters, worker := f.crew()
		victim := voters[1]
		f.stopNode(nodeID(victim))
		f.pass(4 * time.Minute)
		if diff := cmp.Diff(before, f.voters()); diff != "" {
			t.Errorf("voters before the grace period is over (-want +got):\n%s", diff)
		}
		f.pass(2 * time.Minute)
		after := []string{peerURL(0), peerURL(voters[0]), peerURL(worker)}
		slices.Sort(after)
		if diff := cmp.Diff(after, f.voters()); diff != "" {
			t.Errorf("voters after it (-want +got):\n%s", diff)
		}
		f.startNode(nodeID(victim))
		f.pass(time.Minute)
		if diff := cmp.Diff(after, f.voters()); diff != "" {
			t.Errorf("voters after its return (-want +got):\n%s", diff)
		}
		f.sound()
		f.history()
	})
}

func TestTheMemberOfARemovedNodeLeaves(t *testing.T) {
	sailWith(t, newEtcdMembers(), 1, 4, func(f *fleet) {
		f.pass(time.Minute)
		voters, worker := f.crew()
		f.commit(store.Delete(store.NodeKey(nodeID(voters[0]))))
		f.pass(time.Minute)
		want := []string{peerURL(0), peerURL(voters[1]), peerURL(worker)}
		slices.Sort(want)
		if diff := cmp.Diff(want, f.voters()); diff != "" {
			t.Errorf("voters (-want +got):\n%s", diff)
		}
		f.sound()
		f.history()
	})
}
