package lab_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
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
	disk := filepath.Join(filepath.Dir(filepath.Dir(w.N(1).Socket())), "disk")
	entries, err := os.ReadDir(disk)
	if err != nil || len(entries) == 0 {
		t.Fatalf("the disk of node-1: %v", err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(disk, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
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
}
