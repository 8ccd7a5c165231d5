package lab_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
)

// Services are known on every node, a worker's included, for as long as they are
// there, and with their age while no server answers.
func TestServices(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "services", Nodes: 4})
	const worker = 4
	w.OK(1, "submit", w.File("web@.service", labtest.Marked("argosy-services-web", "")+
		"[X-Fleet]\nConflicts=web@*.service\n[X-Argosy]\nPublish=web 8080/tcp slot=%i\n"))
	w.OK(1, "start", "web@1", "web@2")
	// knows says what a node answers other than what it is to.
	knows := func(i int, want string) string {
		r := w.Run(i, "services", "--no-legend", "--fields", "unit,node,health,parameters")
		if got := strings.Join(strings.Fields(r.Out), " "); r.Code != 0 || got != want {
			return fmt.Sprintf("node-%d: exit code %d, %q%s, want %q", i, r.Code, got, r.Err, want)
		}
		return ""
	}
	everywhere := func(what, want string) {
		t.Helper()
		for i := 1; i <= worker; i++ {
			w.Wait(10*time.Second, what, func() string { return knows(i, want) })
		}
	}
	row := func(slot, node int, health string) string {
		return fmt.Sprintf("web@%d.service node-%d %s slot=%d", slot, node, health, slot)
	}
	homes := map[int]int{}
	for slot := 1; slot <= 2; slot++ {
		homes[slot] = w.WaitActive(1, cluster.UnitName(fmt.Sprintf("web@%d.service", slot)), 10*time.Second)
	}
	both := row(1, homes[1], "healthy") + " " + row(2, homes[2], "healthy")
	everywhere("what is there", both)

	if r := w.In(homes[2], "systemctl", "kill", "--signal=KILL", "web@2.service"); r.Code != 0 {
		t.Fatalf("kill: %s", r.Err)
	}
	everywhere("a process that was killed", row(1, homes[1], "healthy")+" "+row(2, homes[2], "unhealthy"))
	w.OK(1, "restart", "web@2")
	everywhere("what came back", both)

	// Whatever the worker knew it knows after its daemon's restart, without servers,
	// and says how old it is.
	for i := 1; i < worker; i++ {
		if r := w.In(i, "systemctl", "stop", "argosy.service"); r.Code != 0 {
			t.Fatalf("stop: %s", r.Err)
		}
	}
	if r := w.In(worker, "systemctl", "restart", "argosy.service"); r.Code != 0 {
		t.Fatalf("restart: %s", r.Err)
	}
	w.Wait(40*time.Second, "what is old", func() string {
		if r := w.Run(worker, "services"); !strings.Contains(r.Err, "stale: this is what was known") {
			return r.Err + r.Out
		}
		return knows(worker, both)
	})
	for i := 1; i < worker; i++ {
		if r := w.In(i, "systemctl", "start", "argosy.service"); r.Code != 0 {
			t.Fatalf("start: %s", r.Err)
		}
	}
	w.OK(1, "destroy", "web@1", "web@2")
	everywhere("what is gone", "")
}
