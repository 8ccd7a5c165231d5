package lab_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
	"argosy/internal/quorum"
)

// All nodes boot at the same instant with the same list, and one cluster comes
// out of it. Its certificates live for so short a time that they are renewed
// during the test.
func TestAStaticListFormsExactlyOneCluster(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "static", Nodes: 3, NoForm: true, Settings: `CertificateLife=20s
[Cluster]
Peers=10.77.0.1 10.77.0.2 10.77.0.3
ClusterSecret=correct horse battery staple
`})
	healthy(w)
	ids := map[cluster.ID]bool{}
	for i := 1; i <= 3; i++ {
		ids[w.Status(i).Cluster.ID] = true
	}
	if len(ids) != 1 {
		t.Fatalf("clusters %v", ids)
	}
	first := certificates(w)
	w.Wait(90*time.Second, "every certificate is renewed", func() string {
		for path, text := range certificates(w) {
			if first[path] == text {
				return path + " is as it was"
			}
		}
		return ""
	})
	healthy(w)
	w.OK(1, "start", w.File("after.service", labtest.Marked("argosy-after", "")))

	// A founder whose disk was wiped finds the others, and joins them.
	if err := w.N(1).PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Wait(30*time.Second, "the others remove it", func() string {
		if r := w.Run(2, "node", "rm", "node-1", "--yes"); r.Code != 0 {
			return fmt.Sprintf("exit code %d: %s", r.Code, r.Err) // etcd may be electing
		}
		return ""
	})
	// One of two is no server any more; it may be the one that is asked first.
	w.Wait(30*time.Second, "one voter is left", func() string {
		if voters := w.Status(2).Voters; len(voters) != 1 {
			return fmt.Sprintf("voters %v", voters)
		}
		return ""
	})
	wipe(w, 1)
	if err := w.N(1).PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Wait(60*time.Second, "node-1 is back in the same cluster", func() string {
		r := w.Run(1, "status", "-o", "json")
		var s wire.Status
		if err := json.Unmarshal([]byte(r.Out), &s); err != nil || !s.Formed {
			return fmt.Sprintf("exit code %d: %s%s", r.Code, r.Out, r.Err)
		}
		if !ids[s.Cluster.ID] {
			t.Fatalf("a second cluster %s was founded beside %v", s.Cluster.ID, ids)
		}
		return ""
	})
	// It is chosen as a server again, and so may be one that was dropped while
	// there were two nodes: three voters in the end, all of them well.
	healthy(w)
	t.Run("the founder comes last", func(t *testing.T) {
		inOrder(w.Sub(t), []step{
			{2, "1 of 3 peers answer"}, {3, "waiting for 10.77.0.1, the first of Peers="}, {1, ""},
		})
	})
	t.Run("the founder comes first, the others later", func(t *testing.T) {
		inOrder(w.Sub(t), []step{{1, "1 of 3 peers answer"}, {3, ""}, {2, ""}})
	})
}

// step is a node that is switched on, and what it must then say that it waits
// for: "" if it must be in the cluster.
type step struct {
	node  int
	waits string
}

// inOrder forms the cluster of the list anew, from empty disks, in an order.
func inOrder(w *labtest.World, steps []step) {
	w.T.Helper()
	for i := 1; i <= 3; i++ {
		if err := w.N(i).PowerOff(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
		wipe(w, i)
	}
	for _, s := range steps {
		if err := w.N(s.node).PowerOn(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
		w.Wait(30*time.Second, fmt.Sprintf("node-%d, %q", s.node, s.waits), func() string {
			r := w.Run(s.node, "status", "-o", "json")
			var page wire.Status
			err := json.Unmarshal([]byte(r.Out), &page)
			if err != nil || page.Formed != (s.waits == "") || !strings.Contains(strings.Join(page.Problems, "\n"), s.waits) {
				return fmt.Sprintf("exit code %d: %s%s", r.Code, r.Out, r.Err)
			}
			return ""
		})
	}
	healthy(w)
	// Two clusters of one list would have the same ID, but not the same birthday.
	first := w.Status(1).Cluster
	for i := 2; i <= 3; i++ {
		if own := w.Status(i).Cluster; own.ID != first.ID || !own.Created.Equal(first.Created) {
			w.T.Errorf("node-%d is in %+v, node-1 in %+v", i, own, first)
		}
	}
}

// wipe empties the disk of a node that is off.
func wipe(w *labtest.World, i int) {
	w.T.Helper()
	disk := filepath.Join(filepath.Dir(filepath.Dir(w.N(i).Socket())), "disk")
	entries, err := os.ReadDir(disk)
	if err != nil || len(entries) == 0 {
		w.T.Fatalf("the disk of %s: %v", w.N(i).Name(), err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(disk, entry.Name())); err != nil {
			w.T.Fatal(err)
		}
	}
}

// certificates returns the certificates of all nodes, by their paths.
func certificates(w *labtest.World) map[string]string {
	all := map[string]string{}
	for i := 1; i <= 3; i++ {
		for _, path := range []string{"/var/lib/argosy/identity/node.pem", "/var/lib/argosy/etcd-cert.pem"} {
			all[fmt.Sprintf("node-%d:%s", i, path)] = w.In(i, "cat", path).Out
		}
	}
	return all
}

// A cluster grows from one node to three servers and a worker, and nodes part
// from it in the three ways there are.
func TestANodeJoinsByTokenAndParts(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "part", Nodes: 4})
	if s := w.Status(4); s.Role != cluster.Worker || s.Cluster.ID != w.Status(1).Cluster.ID {
		t.Errorf("node-4 is %+v", s)
	}
	t.Run("a worker may see the page and nothing of others", func(t *testing.T) {
		w.Sub(t).Refused(4, "may read and change only what is placed on it", "list-units")
	})
	t.Run("a worker runs units, and its journal is read from a server", func(t *testing.T) {
		w := w.Sub(t)
		w.OK(1, "start", w.File("work.service", labtest.Marked("argosy-work", "[X-Fleet]\nMachineID="+string(w.N(4).MachineID())+"\n")))
		if log := w.OK(2, "journal", "work.service"); !strings.Contains(log, "Started work.service") {
			t.Errorf("journal:\n%s", log)
		}
	})
	t.Run("a worker says that the quorum is lost", func(t *testing.T) {
		w := w.Sub(t)
		for _, i := range []int{2, 3} {
			if err := w.N(i).PowerOff(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		saysQuorumIsLost(w, 4)
		if r := runSoon(w, 4, "status"); !strings.Contains(r.Out, "Quorum: no") {
			t.Errorf("status:\n%s%s", r.Out, r.Err)
		}
		for _, i := range []int{2, 3} {
			if err := w.N(i).PowerOn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		healthyOf(w, 4)
	})
	t.Run("leaving takes everything along", func(t *testing.T) {
		w := w.Sub(t)
		if r := w.In(4, "argosy", "leave", "--yes"); r.Code != 0 {
			t.Fatalf("leave: %s%s", r.Out, r.Err)
		}
		w.WaitCount("argosy-work", 0, 10*time.Second)
		if s := w.Status(4); s.Formed {
			t.Errorf("after leaving: %+v", s)
		}
		w.Wait(20*time.Second, "the others forget it", func() string {
			if s := w.Status(1); s.Nodes != 3 {
				return fmt.Sprintf("%d nodes", s.Nodes)
			}
			return ""
		})
		w.OK(1, "destroy", "work.service")
	})
	t.Run("a token is good for one node, which may retry with it", func(t *testing.T) {
		w := w.Sub(t)
		token := strings.TrimSpace(w.OK(1, "token", "create"))
		joinHalfWay(w, 4, token)
		if r := w.In(4, "argosy", "join", token); r.Code != 0 {
			t.Fatalf("join: %s%s", r.Out, r.Err)
		}
		if r := w.In(4, "argosy", "join", token); r.Code == 0 || !strings.Contains(r.Err, "already") {
			t.Errorf("joining again: code %d, %s", r.Code, r.Err)
		}
		if r := w.In(4, "argosy", "reset", "--yes"); r.Code != 0 {
			t.Fatalf("reset: %s%s", r.Out, r.Err)
		}
		// Its key is gone with the reset, so to the cluster it is a stranger
		// that claims a known node's ID.
		if r := w.In(4, "argosy", "join", token); r.Code == 0 || !strings.Contains(r.Err, "another key") {
			t.Errorf("with another key: code %d, %s", r.Code, r.Err)
		}
		w.OK(1, "node", "rm", "node-4", "--yes")
		fresh := strings.TrimSpace(w.OK(1, "token", "create"))
		if r := w.In(4, "argosy", "join", fresh); r.Code != 0 {
			t.Fatalf("join: %s%s", r.Out, r.Err)
		}
	})
	t.Run("a node that was removed stops its units and forgets the cluster", func(t *testing.T) {
		w := w.Sub(t)
		w.OK(1, "start", w.File("gone.service", labtest.Marked("argosy-gone", "[X-Fleet]\nMachineID="+string(w.N(4).MachineID())+"\n")))
		w.OK(1, "node", "rm", "node-4", "--yes")
		w.WaitCount("argosy-gone", 0, 30*time.Second)
		w.Wait(30*time.Second, "it is in no cluster", func() string {
			if s := w.Status(4); s.Formed {
				return "still formed"
			}
			return ""
		})
		w.OK(1, "destroy", "gone.service")
	})
	t.Run("servers leave, the leader's node too, and the quorum stays", func(t *testing.T) { serversLeave(w.Sub(t)) })
}

// joinHalfWay has a node admitted with a token, and its daemon killed before it
// is a node: its disk cannot take what it was answered.
func joinHalfWay(w *labtest.World, i int, token string) {
	w.T.Helper()
	const obstacle = "/var/lib/argosy/cluster.json"
	w.In(i, "mkdir", "-p", obstacle+"/in-the-way")
	if r := w.In(i, "argosy", "join", token); r.Code == 0 || !strings.Contains(r.Err, "keep the node's identity") {
		w.T.Errorf("a join that cannot be kept: code %d, %s%s", r.Code, r.Out, r.Err)
	}
	if s := w.Status(i); s.Formed {
		w.T.Errorf("after half a join: %+v", s)
	}
	// The servers have admitted it, and its token is used up.
	if s := w.Status(1); s.Nodes != i {
		w.T.Errorf("the cluster has %d nodes, want %d", s.Nodes, i)
	}
	w.In(i, "systemctl", "kill", "-s", "KILL", "argosy.service")
	w.In(i, "rm", "-r", obstacle)
	w.Wait(10*time.Second, "the daemon is back", func() string {
		r := w.Run(i, "status", "-o", "json")
		if !json.Valid([]byte(r.Out)) {
			return r.Err
		}
		return ""
	})
}

// serversLeave takes servers out of a cluster of three servers and a worker,
// which takes a place that is free; in the end of two nodes one votes.
func serversLeave(w *labtest.World) {
	t := w.T
	token := strings.TrimSpace(w.OK(1, "token", "create"))
	if r := w.In(4, "argosy", "join", token); r.Code != 0 {
		t.Fatalf("join: %s%s", r.Out, r.Err)
	}
	w.OK(1, "submit", w.File("stays@.service", labtest.Marked("argosy-stays", "")))
	w.OK(1, "start", "stays@{1..4}")
	leader := w.Number(w.Status(1).Leader.Node)
	first := leader%3 + 1 // a server that does not lead
	nodes := []int{1, 2, 3, 4}
	for _, i := range []int{first, leader} {
		if i == leader { // who it is now: the leadership may have moved
			i = w.Number(w.Status(nodes[0]).Leader.Node)
		}
		if r := w.In(i, "argosy", "leave", "--yes"); r.Code != 0 {
			t.Fatalf("node-%d leaves: %s%s", i, r.Out, r.Err)
		}
		nothingOfEtcd(w, i)
		nodes = slices.DeleteFunc(nodes, func(n int) bool { return n == i })
		votersOf(w, nodes)
		w.WaitCount("argosy-stays", 4, 30*time.Second)
	}
	last := w.Number(w.Status(nodes[0]).Leader.Node)
	w.Wait(10*time.Second, "the only server is told so", func() string {
		r := w.In(last, "argosy", "leave", "--yes")
		if r.Code == 0 {
			t.Fatal("the only server left")
		}
		if !strings.Contains(r.Err, "is the only server") {
			return r.Err // the one that left may still be counted
		}
		return ""
	})
	w.Soon(last, "destroy", "stays@{1..4}", "stays@.service")
	// The one that was a server until now does not wait for its own member, which is
	// silent, and would be left after 12 s only.
	w.WaitCount("argosy-stays", 0, 8*time.Second)
}

// votersOf demands that the nodes that are left have as many voters as suit
// them, all well, and no learners: the set is odd again.
func votersOf(w *labtest.World, nodes []int) {
	w.T.Helper()
	w.Wait(60*time.Second, fmt.Sprintf("the voters of %v", nodes), func() string {
		s := w.Status(nodes[0])
		well := 0
		for _, v := range s.Voters {
			if v.Healthy && v.State == cluster.MemberVoter {
				well++
			}
		}
		if want := quorum.Size(len(nodes)); well != want || len(s.Voters) != want || s.Nodes != len(nodes) || s.NodesReady != len(nodes) || s.Leader == nil {
			return fmt.Sprintf("%d of %d nodes ready, voters %+v", s.NodesReady, s.Nodes, s.Voters)
		}
		return ""
	})
}

// nothingOfEtcd demands that a node has no trace of the store.
func nothingOfEtcd(w *labtest.World, i int) {
	w.T.Helper()
	if s := w.Status(i); s.Formed {
		w.T.Errorf("node-%d has left and shows %+v", i, s)
	}
	if r := w.In(i, "systemctl", "is-active", "argosy-etcd.service"); r.Code == 0 {
		w.T.Errorf("etcd runs on node-%d", i)
	}
	if r := w.In(i, "pgrep", "-f", "argosy etcd"); r.Code == 0 {
		w.T.Errorf("a process of etcd is left on node-%d: %s", i, r.Out)
	}
	if r := w.In(i, "find", "/var/lib/argosy", "-name", "*etcd*", "-o", "-name", "authority.pem", "-o", "-name", "*.snap", "-o", "-name", "*.wal"); r.Out != "" {
		w.T.Errorf("left on the disk of node-%d: %s", i, r.Out)
	}
	for _, port := range []int{wire.PortAPI, wire.PortEtcdClient, wire.PortEtcdPeer} {
		if r := w.In(i, "ss", "-Htnl", "sport", "=", fmt.Sprint(port)); r.Out != "" {
			w.T.Errorf("on node-%d somebody listens: %s", i, r.Out)
		}
	}
}
