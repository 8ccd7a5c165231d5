package lab_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
)

// shop is the application of examples/shop: redis, web servers that find it by name
// alone, and HAProxy whose configuration nobody edits. A visitor comes 20 times a second
// all the while.
type shop struct {
	*labtest.World
	lb, visitor int
}

// The web farm behind HAProxy that never needs an edit (acceptance scenario A5).
func TestShop(t *testing.T) {
	s := &shop{World: labtest.New(t, labtest.Options{Name: "shop", Nodes: 4}), lb: 1, visitor: 4}
	s.OK(1, "node", "label", "node-1", "edge=yes")
	s.OK(1, "node", "label", "node-2", "disk=ssd")
	s.OK(1, "node", "label", "node-3", "disk=ssd")
	const app = root + "/examples/shop/"
	if r := s.Run(1, "kv", "put", "/templates/lb", read(t, app+"haproxy.cfg.tmpl")); r.Code != 0 {
		t.Fatalf("put the template: %s", r.Err)
	}
	s.OK(1, "submit", app+"shop@.service")
	s.OK(1, "start", app+"counter.service", app+"lb-config.service", app+"lb.service", "shop@1", "shop@2", "shop@3")

	s.wait("three web servers in rotation", 3)
	for i := 1; i <= 4; i++ {
		rows := strings.Fields(s.OK(i, "services", "redis", "shop", "--no-legend", "--fields", "service,health"))
		if want := []string{"redis", "healthy", "shop", "healthy", "shop", "healthy", "shop", "healthy"}; !slices.Equal(rows, want) {
			t.Errorf("node-%d lists %v", i, rows)
		}
		if n := len(strings.Fields(s.In(i, "dig", "+short", "SRV", "_shop._tcp.argosy.internal").Out)); n != 3*4 {
			t.Errorf("node-%d answers %d words of SRV", i, n)
		}
	}
	s.visitsAreCountedAndShared(t)

	s.begin()
	s.during(t, "a process is killed", 2, func() {
		before := s.reloads()
		if r := s.In(s.home("shop@1.service"), "systemctl", "kill", "--signal=KILL", "shop@1.service"); r.Code != 0 {
			t.Fatal(r.Err)
		}
		s.Wait(10*time.Second, "it is out of rotation, or was", func() string {
			if s.reloads() == before {
				return "the configuration has not changed"
			}
			return ""
		})
		s.wait("it is back", 3)
	})
	s.during(t, "one is sick and lives", 0, func() {
		home, before := s.home("shop@2.service"), s.pid("shop@2.service")
		s.In(home, "touch", "/run/shop-sick-2")
		s.wait("it is out of rotation", 2)
		s.In(home, "rm", "/run/shop-sick-2")
		s.wait("it is well again", 3)
		if after := s.pid("shop@2.service"); after != before {
			t.Errorf("process %s, before %s", after, before)
		}
	})
	s.during(t, "one more", 0, func() {
		s.OK(1, "start", "shop@4")
		s.wait("it is in rotation", 4)
	})
	s.during(t, "one is started again", 0, func() { s.OK(1, "restart", "shop@3"); s.wait("it is back", 4) })
	s.during(t, "the leader's etcd stops", 0, func() {
		leader := s.Number(s.Status(1).Leader.Node)
		s.In(leader, "systemctl", "stop", "argosy-etcd.service")
		s.Soon(4, "kv", "put", "/written", "by whoever leads")
		for i := 1; i <= 4; i++ {
			if r := s.In(i, "getent", "hosts", "lb"); r.Code != 0 {
				t.Errorf("node-%d does not find lb: %s", i, r.Err)
			}
		}
		s.In(leader, "systemctl", "start", "argosy-etcd.service")
	})
	s.during(t, "redis has another port", 20*5, func() {
		text := strings.ReplaceAll(read(t, app+"counter.service"), "6379", "6380")
		s.OK(1, "start", "--replace", s.File("counter.service", text))
		s.healed()
	})
	s.during(t, "the node of redis has no power", 20*30, func() {
		home := s.home("counter.service")
		if err := s.N(home).PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Wait(30*time.Second, "redis elsewhere", func() string {
			if on := s.home("counter.service"); on == 0 || on == home {
				return fmt.Sprintf("it is on node-%d", on)
			}
			return ""
		})
		s.healed()
		if err := s.N(home).PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wait("all are back", 4)
	})

	// Cut off, the balancer goes on with what it knew, and its node says how old that is.
	if err := s.Cut(t.Context(), "node-1"); err != nil {
		t.Fatal(err)
	}
	s.Wait(60*time.Second, "it says that it is old", func() string {
		if r := s.Run(s.lb, "services", "shop"); !strings.Contains(r.Err, "stale") {
			return r.Err + r.Out
		}
		return ""
	})
	if r := s.In(s.lb, "curl", "-s", "-m", "5", "http://127.0.0.1/health"); r.Out != "health\n" {
		t.Errorf("cut off, the balancer answers %q", r.Out)
	}
	if err := s.Heal(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
}

// visitsAreCountedAndShared: 300 visits are shared evenly, and none is counted twice.
func (s *shop) visitsAreCountedAndShared(t *testing.T) {
	t.Helper()
	r := s.In(s.visitor, "bash", "-c", "for i in {1..300}; do curl -s -m 5 http://lb/; done")
	last, shares := 0, map[string]int{}
	for line := range strings.Lines(r.Out) {
		words := strings.Fields(line) // visit 17 of web 2 on node-3
		if len(words) != 7 {
			t.Fatalf("%q", line)
		}
		n, err := strconv.Atoi(words[1])
		if err != nil || n <= last {
			t.Errorf("visit %s after %d", words[1], last)
		}
		last = n
		shares[words[4]]++
	}
	for web, n := range shares {
		if len(shares) != 3 || n < 85 || n > 115 {
			t.Errorf("web %s has %d of 300 visits: %v", web, n, shares)
		}
	}
}

// begin has the visitor come 20 times a second; each answer is a line.
func (s *shop) begin() {
	s.T.Helper()
	const visits = `while :; do curl -s -m 5 -o /dev/null -w "%{http_code}\n" http://lb/ >>/run/visits & sleep 0.05; done`
	if r := s.In(s.visitor, "systemd-run", "--quiet", "--unit=visits", "bash", "-c", visits); r.Code != 0 {
		s.T.Fatal(r.Err)
	}
}

// answers returns how many visits there were, and the codes of those that went wrong.
func (s *shop) answers() (all int, wrong []string) {
	s.T.Helper()
	for _, code := range strings.Fields(s.In(s.visitor, "cat", "/run/visits").Out) {
		if all++; code != "200" {
			wrong = append(wrong, code)
		}
	}
	return all, wrong
}

// during fails if more visits go wrong meanwhile than may.
func (s *shop) during(t *testing.T, what string, may int, f func()) {
	t.Helper()
	before, wrongBefore := s.answers()
	f()
	after, wrong := s.answers()
	wrong = wrong[len(wrongBefore):]
	t.Logf("%s: %d of %d visits went wrong", what, len(wrong), after-before)
	if len(wrong) > may {
		t.Errorf("%s: %d of %d visits went wrong (%v), want %d at most", what, len(wrong), after-before, slices.Compact(wrong), may)
	}
}

// wait waits until so many web servers are in the balancer's configuration and in use.
func (s *shop) wait(what string, n int) {
	s.T.Helper()
	s.Wait(20*time.Second, what, func() string {
		if got := s.servers(); got != n {
			return fmt.Sprintf("%d web servers in the configuration, want %d", got, n)
		}
		return ""
	})
}

func (s *shop) servers() int {
	r := s.In(s.lb, "grep", "-c", "^    server ", "/run/lb/haproxy.cfg")
	n, _ := strconv.Atoi(strings.TrimSpace(r.Out))
	return n
}

// reloads counts how often the balancer was told of another configuration.
func (s *shop) reloads() int {
	return strings.Count(s.In(s.lb, "journalctl", "-o", "cat", "-u", "lb-config.service").Out, "msg=changed")
}

// healed waits until twenty visits in a row went well.
func (s *shop) healed() {
	s.T.Helper()
	s.Wait(40*time.Second, "visits go well again", func() string {
		codes := strings.Fields(s.In(s.visitor, "tail", "-n", "20", "/run/visits").Out)
		if slices.ContainsFunc(codes, func(code string) bool { return code != "200" }) {
			return strings.Join(codes, " ")
		}
		return ""
	})
}

func (s *shop) home(unit cluster.UnitName) int {
	s.T.Helper()
	for i := 1; i <= 3; i++ {
		if v, err := s.Unit(i, unit); err == nil && v.Placement != nil && len(v.Placement.Nodes) == 1 {
			return s.Number(v.Placement.Nodes[0])
		}
	}
	return 0
}

func (s *shop) pid(unit string) string {
	s.T.Helper()
	return s.OK(1, "list-units", unit, "--no-legend", "--fields", "pid")
}

// read returns the text of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
