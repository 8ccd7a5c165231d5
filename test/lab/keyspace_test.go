package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
)

// sidekicks is a lab with the old sidekicks in it. The last node is a worker.
type sidekicks struct{ *labtest.World }

const (
	sidekickNodes  = 4
	sidekickWorker = 4
)

// key returns what a node answers to etcdctl get; "" if there is no such key.
func (s sidekicks) key(i int, key string) string {
	r := s.In(i, "etcdctl", "get", key)
	if r.Code == 0 {
		return strings.TrimSpace(r.Out)
	}
	if r.Code != 4 || !strings.HasPrefix(r.Err, "Error:  100: Key not found (") {
		return fmt.Sprintf("exit code %d: %s%s", r.Code, r.Out, r.Err)
	}
	return ""
}

// everywhere waits until every node that is on answers so.
func (s sidekicks) everywhere(limit time.Duration, what, key, want string) {
	s.T.Helper()
	for i := 1; i <= sidekickNodes; i++ {
		if !s.N(i).On() {
			continue
		}
		s.Wait(limit, what, func() string {
			if got := s.key(i, key); got != want {
				return fmt.Sprintf("node-%d says %q, want %q", i, got, want)
			}
			return ""
		})
	}
}

func record(node int) string { return fmt.Sprintf(`{"host":"node-%d","port":8080}`, node) }

// The units of the old time run as they are: what they say is found on every node, by
// etcdctl and by curl, is gone when they stop, and within its time when their node is.
func TestSidekicks(t *testing.T) {
	s := sidekicks{labtest.New(t, labtest.Options{Name: "sidekicks", Nodes: sidekickNodes})}
	s.OK(1, "submit", root+"/examples/sidekick/app@.service", root+"/examples/sidekick/app-discovery@.service")
	s.OK(1, "start", "app@1", "app@2", "app-discovery@1", "app-discovery@2")
	homes := map[int]int{}
	for n := 1; n <= 2; n++ {
		homes[n] = s.WaitActive(1, cluster.UnitName(fmt.Sprintf("app-discovery@%d.service", n)), 10*time.Second)
		s.everywhere(10*time.Second, "what a sidekick says", fmt.Sprintf("/services/app/%d", n), record(homes[n]))
	}

	t.Run("whatever asks finds it", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		for _, i := range []int{1, sidekickWorker} {
			for line, want := range map[string]string{
				"etcdctl ls --recursive -p /services":                                              "/services/app/\n/services/app/1\n/services/app/2\n",
				"curl -sS 127.0.0.1:2379/v2/keys/services/app/1":                                   `"value":"{\"host\":\"` + fmt.Sprintf("node-%d", homes[1]),
				"curl -sSL 127.0.0.1:4001/v2/keys/services/app?recursive=true":                     `"dir":true`,
				"curl -sS -o /dev/null -w '%{http_code}' 127.0.0.1:2379/v2/keys/none":              "404",
				"ETCDCTL_API=3 etcdctl get --prefix /services/app/ --keys-only":                    "/services/app/1\n\n/services/app/2\n",
				"argosy kv get /services/app/1":                                                    record(homes[1]),
				"etcdctl cluster-health":                                                           "cluster is healthy",
				"etcdctl endpoint health":                                                          "is healthy",
				"etcdctl get --prefix /argosy --keys-only; etcdctl get '' --from-key --count-only": "2\n",
			} {
				if r := s.In(i, "bash", "-c", line); r.Code != 0 || !strings.Contains(r.Out, want) {
					t.Errorf("node-%d: %s: exit code %d\n%s%s\nwant %q", i, line, r.Code, r.Out, r.Err, want)
				}
			}
			if r := s.In(i, "curl", "-sS", "--max-time", "1", fmt.Sprintf("10.77.0.%d:2379/version", i)); r.Code != 7 {
				t.Errorf("node-%d answers others: exit code %d, %s%s", i, r.Code, r.Out, r.Err)
			}
		}
	})

	t.Run("every line of the guide works, as it stands there", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		text, err := os.ReadFile(filepath.Join(root, "docs/guide/discovery.md"))
		if err != nil {
			t.Fatal(err)
		}
		lines := regexp.MustCompile(`(?m)^    ((?:ETCDCTL_API=3 )?etcdctl .*|curl -sS .*)$`).FindAllStringSubmatch(string(text), -1)
		if len(lines) < 15 {
			t.Fatalf("the guide has only %d lines to type", len(lines))
		}
		for _, line := range lines {
			if r := s.In(sidekickWorker, "bash", "-c", strings.Replace(line[1], "curl ", "curl --fail ", 1)); r.Code != 0 {
				t.Errorf("%s: exit code %d\n%s%s", line[1], r.Code, r.Out, r.Err)
			}
		}
	})

	t.Run("it is gone when its unit stops", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		s.OK(1, "stop", "app@2") // and by BindsTo= its sidekick
		s.everywhere(10*time.Second, "what stopped", "/services/app/2", "")
		s.everywhere(time.Second, "what runs on", "/services/app/1", record(homes[1]))
	})

	t.Run("it says where its unit runs after the loss of its node", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		home := homes[1]
		other := home%3 + 1
		if err := s.N(home).PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := 0
		s.Wait(40*time.Second, "the unit elsewhere", func() string {
			u, err := s.Unit(other, "app-discovery@1.service")
			if err != nil || u.Placement == nil || len(u.Placement.Nodes) != 1 || s.Number(u.Placement.Nodes[0]) == home {
				return fmt.Sprintf("%+v, %v", u.Placement, err)
			}
			now = s.Number(u.Placement.Nodes[0])
			return ""
		})
		s.everywhere(20*time.Second, "what the sidekick says elsewhere", "/services/app/1", record(now))
		if err := s.N(home).PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Soon(home, "status")
	})

	t.Run("it is gone within its time when nothing runs any more", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		text, err := os.ReadFile(filepath.Join(root, "examples/sidekick/app-discovery@.service"))
		if err != nil {
			t.Fatal(err)
		}
		pinned := strings.NewReplacer("--ttl 60", "--ttl 6", "sleep 45", "sleep 4", "app@%i", "pinned", "/app/%i", "/pinned").Replace(string(text))
		s.OK(1, "start", s.File("pinned.service", labtest.Marked("argosy-pinned", "[X-Fleet]\nMachineID="+string(s.N(sidekickWorker).MachineID())+"\n")),
			s.File("pinned-discovery.service", pinned))
		s.everywhere(10*time.Second, "what the worker says", "/services/pinned", record(sidekickWorker))
		if err := s.N(sidekickWorker).PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.everywhere(6*time.Second+2*time.Second, "what a node said that is off", "/services/pinned", "")
		if err := s.N(sidekickWorker).PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Soon(sidekickWorker, "kv", "ls")
	})

	t.Run("who watches through a worker misses nothing when its server goes", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		watch := "ETCDCTL_API=3 etcdctl watch /watched --prefix >/tmp/told 2>&1 & echo $! >/tmp/watch; sleep 1"
		if r := s.In(sidekickWorker, "bash", "-c", watch); r.Code != 0 {
			t.Fatal(r.Err)
		}
		told := func() string { return s.In(sidekickWorker, "cat", "/tmp/told").Out }
		s.OK(1, "kv", "put", "/watched", "1")
		s.Wait(5*time.Second, "the first change", func() string {
			if text := told(); text != "PUT\n/watched\n1\n" {
				return "told " + text
			}
			return ""
		})
		for i := 1; i <= 3; i++ { // one of them is the one that is asked
			if r := s.In(i, "systemctl", "restart", "argosy.service"); r.Code != 0 {
				t.Fatal(r.Err)
			}
			s.Soon(i, "kv", "put", "/watched", fmt.Sprint(i+1))
		}
		s.Wait(15*time.Second, "the last change", func() string {
			if text := told(); text != "PUT\n/watched\n1\nPUT\n/watched\n2\nPUT\n/watched\n3\nPUT\n/watched\n4\n" {
				return "told " + text
			}
			return ""
		})
		s.In(sidekickWorker, "bash", "-c", "kill $(cat /tmp/watch)")
	})

	t.Run("without a quorum it says so, and nothing hangs", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		for _, i := range []int{2, 3} {
			if r := s.In(i, "systemctl", "stop", "argosy-etcd.service", "argosy.service"); r.Code != 0 {
				t.Fatal(r.Err)
			}
		}
		for _, i := range []int{1, sidekickWorker} {
			for _, line := range []string{"etcdctl set /x 1", "etcdctl put x 1", "etcdctl get /x", "argosy kv put x 1", "argosy kv get x"} {
				if r := s.In(i, "timeout", "20", "bash", "-c", line); r.Code == 0 || r.Code == 124 || r.Err == "" {
					t.Errorf("node-%d: %s: exit code %d after %s\n%s%s", i, line, r.Code, r.Lasted, r.Out, r.Err)
				}
			}
		}
		for _, i := range []int{2, 3} {
			if r := s.In(i, "systemctl", "start", "argosy-etcd.service", "argosy.service"); r.Code != 0 {
				t.Fatal(r.Err)
			}
		}
		s.Soon(sidekickWorker, "kv", "put", "/x", "1")
	})

	t.Run("its ports are gone with the cluster, and taken ones are told", func(t *testing.T) {
		s := sidekicks{s.Sub(t)}
		s.OK(sidekickWorker, "leave", "--yes")
		if r := s.In(sidekickWorker, "curl", "-sS", "--max-time", "1", "127.0.0.1:2379/version"); r.Code != 7 {
			t.Errorf("a node that left answers: exit code %d, %s%s", r.Code, r.Out, r.Err)
		}
		taken := "systemd-socket-activate -l 127.0.0.1:2379 sleep 1000 >/dev/null 2>&1 & sleep 1"
		s.In(sidekickWorker, "bash", "-c", taken)
		token := strings.TrimSpace(s.OK(1, "token", "create"))
		s.OK(sidekickWorker, "join", token)
		s.Wait(15*time.Second, "a port that is taken", func() string {
			if list := s.OK(1, "nodes", "-o", "wide"); !strings.Contains(list, "the key space is not served at 127.0.0.1:2379") {
				return list
			}
			return ""
		})
		if r := s.In(sidekickWorker, "curl", "-sS", "127.0.0.1:4001/version"); r.Code != 0 {
			t.Errorf("the other port does not answer: %s", r.Err)
		}
	})
}
