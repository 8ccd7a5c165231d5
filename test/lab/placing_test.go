package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
	"argosy/internal/place"
)

// The subtests share one lab; each leaves it as it found it, without units.
func TestPlacing(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "placing", Nodes: 3})
	for _, sub := range []struct {
		name string
		test func(*labtest.World)
	}{
		{"six instances go two to a node, and each runs once after a daemon was away", sixInstances},
		{"a unit that fails on one node runs on another", failsOnOneNode},
		{"no node is promised to more than it has", promises},
		{"who is more important finds room", priority},
		{"instances go round the zones, and wishes are kept where they can be", zones},
		{"labels are live: who may run somewhere now does, who may not any more leaves", labels},
		{"a template is scaled", scale},
		{"what replaces a unit takes its place", replacement},
		{"units of every type run, and what a node does not support says so", everyType},
		{"three hundred units that fail keep nobody from starting", manyFail},
	} {
		ok := t.Run(sub.name, func(t *testing.T) { sub.test(w.Sub(t)) })
		if !ok {
			t.Fatal("the lab may not be as the next test wants it")
		}
	}
}

// sixInstances is the part on units of acceptance scenario A3.
func sixInstances(w *labtest.World) {
	w.OK(1, "submit", w.File("six@.service", labtest.Marked("argosy-six", "")))
	w.OK(1, "start", "six@{1..6}")
	for node, units := range where(w, 1) {
		if len(units) != 2 {
			w.T.Errorf("node-%d has %v", node, units)
		}
	}
	third := cluster.UnitName("six@3.service")
	on := w.WaitActive(1, third, 5*time.Second)
	other := on%3 + 1
	if log := w.OK(other, "journal", string(third)); !strings.Contains(log, "Started six@3.service") {
		w.T.Errorf("its journal, read on node-%d:\n%s", other, log)
	}
	// Its daemon away, a node is lost, and what it has runs elsewhere too; what
	// it runs goes on. Back, it ends its copies.
	w.In(on, "systemctl", "stop", "argosy.service")
	w.WaitCount("argosy-six", 8, 30*time.Second)
	w.In(on, "systemctl", "start", "argosy.service")
	w.WaitCount("argosy-six", 6, 30*time.Second)
	healthy(w)
	w.WaitCount("argosy-six", 6, 5*time.Second)
	w.OK(1, "destroy", "six@{1..6}", "six@.service")
}

// where returns what is placed on each node, as the i-th node shows it.
func where(w *labtest.World, i int) map[int][]string {
	w.T.Helper()
	list, err := w.Client(i).Units(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	all := map[int][]string{}
	for _, u := range list.Items {
		if u.Placement == nil {
			continue
		}
		for _, id := range u.Placement.Nodes {
			all[w.Number(id)] = append(all[w.Number(id)], strings.TrimSuffix(string(u.Name), ".service"))
		}
	}
	for _, units := range all {
		slices.Sort(units)
	}
	return all
}

func failsOnOneNode(w *labtest.World) {
	text := `[Unit]
StartLimitBurst=2
[Service]
Restart=on-failure
ExecStartPre=/bin/bash -c 'test $$(hostname) != node-2 || exit 7'
ExecStart=/bin/bash -c 'exec -a argosy-picky /bin/sleep infinity'
[X-Argosy]
Prefer=name=node-2
`
	r := w.Run(1, "start", w.File("picky.service", text))
	if r.Code != 1 || !strings.Contains(r.Out+r.Err, "status=7") {
		w.T.Errorf("the first start ends with %d:\n%s%s", r.Code, r.Out, r.Err)
	}
	if r := w.Run(1, "status", "picky.service"); !strings.Contains(r.Out, "Tried: not again yet, next in") {
		w.T.Errorf("status says:\n%s", r.Out)
	}
	if on := w.WaitActive(1, "picky.service", 30*time.Second); on == 2 {
		w.T.Error("it is active where it cannot be")
	}
	w.WaitCount("argosy-picky", 1, 5*time.Second)
	r = w.Run(1, "status", "picky.service")
	for _, want := range []string{"moved from node-2, where it failed (a command before or after the main one failed)", "Tried: again once"} {
		if !strings.Contains(r.Out, want) {
			w.T.Errorf("status does not say %q:\n%s", want, r.Out)
		}
	}
	w.OK(1, "destroy", "picky.service")
}

func promises(w *labtest.World) {
	list, err := w.Client(1).Nodes(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	cpus := list.Items[0].CPUs // of the host, and so of each node
	text := labtest.Marked("argosy-greedy", fmt.Sprintf("[X-Argosy]\nCPU=%d\nMemory=1M\n", cpus))
	w.OK(1, "submit", w.File("greedy@.service", text))
	w.OK(1, "start", "greedy@{1..3}")
	w.OK(1, "start", "--no-block", "greedy@4")
	pending(w, "greedy@4.service", fmt.Sprintf("0 of 3 nodes: 3 lack %d of CPU", cpus))
	explain := w.OK(2, "explain", "greedy@4")
	if !strings.Contains(explain, "node-1, node-2, node-3: lacks") {
		w.T.Errorf("explain says:\n%s", explain)
	}
	wide := w.OK(3, "nodes", "--fields", "node,cpus,promised-cpu,promised-memory", "--no-legend")
	for i := 1; i <= 3; i++ {
		want := fmt.Sprintf("node-%d  %d  %d  1.0 MiB", i, cpus, cpus)
		if !strings.Contains(wide, want) {
			w.T.Errorf("not %q in:\n%s", want, wide)
		}
	}
	w.OK(1, "destroy", "greedy@2")
	w.WaitActive(1, "greedy@4.service", 5*time.Second)
	w.OK(1, "destroy", "greedy@{1,3,4}", "greedy@.service")
}

// pending waits until a unit waits for a node, for a reason.
func pending(w *labtest.World, name cluster.UnitName, reason string) {
	w.T.Helper()
	w.Wait(10*time.Second, string(name)+" pending", func() string {
		u, err := w.Unit(1, name)
		if err != nil || u.Placement == nil {
			return fmt.Sprintf("%v: not planned", err)
		}
		if !u.Placement.Pending() || u.Placement.Reason != reason {
			return u.Placement.Reason
		}
		return ""
	})
}

func priority(w *labtest.World) {
	list, err := w.Client(1).Nodes(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	sections := func(priority int) string {
		return fmt.Sprintf("[X-Argosy]\nCPU=%d\nRequire=name=node-3\nPriority=%d\n", list.Items[0].CPUs, priority)
	}
	w.OK(1, "start", w.File("low.service", labtest.Marked("argosy-low", sections(1))))
	w.OK(1, "start", w.File("high.service", labtest.Marked("argosy-high", sections(2))))
	w.WaitCount("argosy-low", 0, 5*time.Second)
	pending(w, "low.service", fmt.Sprintf("0 of 3 nodes: 2 do not meet name=node-3, 1 lacks %d of CPU", list.Items[0].CPUs))
	w.OK(1, "destroy", "high.service")
	w.WaitActive(1, "low.service", 5*time.Second)
	w.OK(1, "destroy", "low.service")
}

func zones(w *labtest.World) {
	for i, zone := range []string{"a", "a", "b"} {
		w.OK(1, "node", "label", fmt.Sprintf("node-%d", i+1), "zone="+zone)
	}
	w.OK(1, "submit", w.File("zoned@.service", labtest.Marked("argosy-zoned", "[X-Argosy]\nSpread=zone\nAway=-zoned@*.service\n")))
	w.OK(1, "start", "zoned@{1..4}")
	placed := where(w, 1)
	if len(placed[1]) != 1 || len(placed[2]) != 1 || len(placed[3]) != 2 {
		w.T.Errorf("zone a has node-1 and node-2, zone b has node-3, and they have %v", placed)
	}
	near := labtest.Marked("argosy-near", "[X-Argosy]\nNear=zoned@1.service\n")
	w.OK(1, "start", w.File("near.service", near))
	if got, want := w.WaitActive(1, "near.service", 5*time.Second), w.WaitActive(1, "zoned@1.service", 5*time.Second); got != want {
		w.T.Errorf("near.service is on node-%d, its neighbour on node-%d", got, want)
	}
	w.OK(1, "destroy", "near.service", "zoned@{1..4}", "zoned@.service")
	for i := 1; i <= 3; i++ {
		w.OK(1, "node", "label", fmt.Sprintf("node-%d", i), "zone-")
	}
}

func labels(w *labtest.World) {
	w.OK(1, "start", "--no-block", w.File("picky.service", labtest.Marked("argosy-label", "[X-Argosy]\nRequire=gpu, tier in (a, b)\n")))
	pending(w, "picky.service", "0 of 3 nodes: 3 do not meet gpu")
	w.OK(1, "node", "label", "node-1", "gpu=1", "tier=c")
	pending(w, "picky.service", "0 of 3 nodes: 2 do not meet gpu, 1 does not meet tier in (a, b)")
	w.OK(1, "node", "label", "node-1", "tier=b")
	if on := w.WaitActive(2, "picky.service", 2*time.Second); on != 1 {
		w.T.Errorf("it runs on node-%d", on)
	}
	w.OK(1, "node", "label", "node-3", "gpu=1", "tier=a")
	w.OK(1, "node", "label", "node-1", "gpu-")
	w.Wait(5*time.Second, "picky.service on node-3", func() string {
		if on := w.WaitActive(2, "picky.service", 5*time.Second); on != 3 {
			return fmt.Sprintf("on node-%d", on)
		}
		return ""
	})
	w.WaitCount("argosy-label", 1, 5*time.Second)
	w.OK(1, "destroy", "picky.service")
	w.OK(1, "node", "label", "node-1", "tier-")
	w.OK(1, "node", "label", "node-3", "gpu-", "tier-")
}

func scale(w *labtest.World) {
	w.OK(1, "start", w.File("many@.service", labtest.Marked("argosy-many", "[X-Argosy]\nReplicas=3\n")))
	w.WaitCount("argosy-many", 3, 5*time.Second)
	before := mainPID(w, "many@1.service")
	w.OK(2, "scale", "many@", "5")
	w.WaitCount("argosy-many", 5, 5*time.Second)
	w.OK(3, "scale", "many@", "1")
	w.WaitCount("argosy-many", 1, 5*time.Second)
	if after := mainPID(w, "many@1.service"); after != before {
		w.T.Error("the first instance was disturbed")
	}
	w.OK(1, "scale", "many@", "0")
	w.WaitCount("argosy-many", 0, 5*time.Second)
	w.OK(1, "destroy", "many@.service")
}

func replacement(w *labtest.World) {
	w.OK(1, "start", w.File("old.service", labtest.Marked("argosy-old", "")))
	was := w.WaitActive(1, "old.service", 5*time.Second)
	w.OK(1, "start", w.File("new.service", labtest.Marked("argosy-new", fmt.Sprintf("[X-Fleet]\nReplaces=old.service\n[X-Argosy]\nRequire=name=node-%d\n", was))))
	if on := w.WaitActive(1, "new.service", 5*time.Second); on != was {
		w.T.Errorf("new.service is on node-%d", on)
	}
	w.Wait(10*time.Second, "the old one elsewhere", func() string {
		if on := w.WaitActive(1, "old.service", 10*time.Second); on == was {
			return "it is where it was"
		}
		return ""
	})
	w.WaitCount("argosy-old", 1, 5*time.Second)
	// Each after the other in a circle lets the others be.
	w.OK(1, "destroy", "old.service", "new.service")
	w.Refused(1, "goes round in a circle", "submit",
		w.File("a.service", labtest.Marked("a", "[X-Fleet]\nMachineOf=b.service\n")),
		w.File("b.service", labtest.Marked("b", "[X-Fleet]\nMachineOf=a.service\n")))
}

// everyType starts units of each type. Lab nodes have no autofs and no swap:
// what such a unit then says must be clear.
func everyType(w *labtest.World) {
	beside := func(name string) string { return labtest.Marked("argosy-type", "[X-Fleet]\nMachineOf="+name+"\n") }
	w.OK(1, "load", "--no-block",
		w.File("ear.service", beside("ear.socket")), w.File("clock.service", beside("clock.timer")),
		w.File("eye.service", beside("eye.path")), w.File("mnt-auto.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt/auto\nType=tmpfs\n"))
	w.OK(1, "start",
		w.File("ear.socket", "[Socket]\nListenStream=/run/ear.sock\n"), w.File("clock.timer", "[Timer]\nOnActiveSec=1h\n"),
		w.File("eye.path", "[Path]\nPathExists=/nonexistent\n"), w.File("mnt-here.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt/here\nType=tmpfs\n"),
		w.File("stage.target", "[Unit]\nDescription=a stage\n"), w.File("share.slice", "[Slice]\nMemoryMax=1G\n"))
	for _, pair := range [][2]cluster.UnitName{{"ear.socket", "ear.service"}, {"clock.timer", "clock.service"}, {"eye.path", "eye.service"}} {
		u, err := w.Unit(1, pair[1])
		if err != nil || u.Placement == nil || len(u.Placement.Nodes) != 1 {
			w.T.Errorf("%s: %v %+v", pair[1], err, u.Placement)
			continue
		}
		if on := w.WaitActive(1, pair[0], 5*time.Second); on != w.Number(u.Placement.Nodes[0]) {
			w.T.Errorf("%s is on node-%d, its service is not", pair[0], on)
		}
	}
	w.Refused(1, "unsupported", "start", w.File("mnt-auto.automount", "[Automount]\nWhere=/mnt/auto\n"))
	w.Refused(1, "swap", "start", "--wait-timeout", "10s", w.File("var-swapfile.swap", "[Swap]\nWhat=/var/swapfile\n"))
	w.OK(1, "destroy", "ear.socket", "ear.service", "clock.timer", "clock.service", "eye.path", "eye.service",
		"mnt-auto.mount", "mnt-auto.automount", "mnt-here.mount", "stage.target", "share.slice", "var-swapfile.swap")
	for i := 1; i <= 3; i++ {
		if r := w.In(i, "find", "/run/argosy/units", "-type", "f"); strings.TrimSpace(r.Out) != "" {
			w.T.Errorf("node-%d still has %s", i, r.Out)
		}
	}
}

func manyFail(w *labtest.World) {
	w.OK(1, "submit", w.File("sick@.service", "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/bin/false\nRestart=on-failure\n"))
	w.OK(1, "submit", w.File("fine@.service", labtest.Marked("argosy-fine", "")))
	w.OK(1, "start", "--no-block", "sick@{1..300}")
	// How long that takes is measured in test/bench: it is the machine's affair.
	w.OK(1, "start", "--wait-timeout", "5m", "fine@{1..300}")
	w.WaitCount("argosy-fine", 300, 5*time.Second)
	w.OK(1, "destroy", "sick@{1..300}", "sick@.service", "fine@{1..300}", "fine@.service")
	w.WaitCount("argosy-fine", 0, 5*time.Second)
}

// TestTheBooksThreeMembers is acceptance scenario A4: three members with
// metadata, one that is lost, one that joins, and one that comes back.
func TestTheBooksThreeMembers(t *testing.T) {
	t.Parallel()
	w := labtest.New(t, labtest.Options{Name: "members", Nodes: 4})
	off := func(i int) {
		t.Helper()
		if err := w.N(i).PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	on := func(i int) {
		t.Helper()
		if err := w.N(i).PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	off(4) // it comes later; a worker
	for i, labels := range [][]string{
		{"region=east", "disk=ssd", "db=yes"},
		{"region=east", "disk=hdd", "web=yes"},
		{"region=west", "disk=ssd", "web=yes"},
		{"region=west", "disk=hdd", "web=yes"},
	} {
		w.OK(1, append([]string{"node", "label", fmt.Sprintf("node-%d", i+1)}, labels...)...)
	}
	is := func(what string, limit time.Duration, want map[string]string) {
		t.Helper()
		w.Wait(limit, what, func() string { return differs(w, want) })
	}
	is("node-4 is lost", 30*time.Second, map[string]string{}) // nothing runs
	w.Wait(30*time.Second, "node-4 is lost", func() string {
		if s := w.Status(1); s.NodesReady != 3 {
			return fmt.Sprintf("%d nodes are ready", s.NodesReady)
		}
		return ""
	})

	files := []string{
		w.File("db.service", labtest.Marked("argosy-db", "[X-Fleet]\nMachineMetadata=disk=ssd db=yes\n")),
		w.File("agent.service", labtest.Marked("argosy-agent", "[X-Fleet]\nGlobal=true\n")),
		w.File("audit.service", labtest.Marked("argosy-audit", "[X-Fleet]\nMachineID="+string(w.N(2).MachineID())+"\n")),
	}
	w.OK(1, "submit", w.File("web@.service", webServer("[X-Fleet]\nMachineMetadata=web=yes\nConflicts=web@*.service\n")))
	w.OK(1, "submit", w.File("web-sidekick@.service", labtest.Marked("argosy-kick", "[X-Fleet]\nMachineOf=web@%i.service\n")))
	w.OK(1, append([]string{"start", "--no-block"}, files...)...)
	w.OK(1, "start", "--no-block", "web@{1..3}", "web-sidekick@{1..3}")
	// The two that fit take node-2 and node-3, in any order.
	is("all placed", 15*time.Second, map[string]string{
		"db": "1", "audit": "2", "agent": "1 2 3", "web": "2 3 -", "web-sidekick": "2 3 -",
	})
	stands(w, "web@3.service", map[string]string{
		"node-1": "web=yes", "node-2": "web@", "node-3": "web@", "node-4": "lost",
	})
	pending(w, "web-sidekick@3.service", "MachineOf=web@3.service: that unit is pending itself")
	leastLoaded(w, "report.service", labtest.Marked("argosy-report", "[X-Fleet]\nMachineMetadata=region=east\nMachineMetadata=region=west\n"))

	// A label that lets a unit run has it run; nobody else notices.
	calm := pids(w, 1, 2, 3)
	w.OK(1, "node", "label", "node-1", "web=yes")
	is("the third pair on node-1", 5*time.Second, map[string]string{
		"db": "1", "audit": "2", "agent": "1 2 3", "report": "1 2 3|", "web": "1 2 3", "web-sidekick": "1 2 3",
	})
	undisturbed(t, calm, pids(w, 1, 2, 3))

	// node-2 is lost: its web and its audit wait, nothing else moves but report.
	// Who asks the other webs notices nothing.
	calm = pids(w, 1, 3)
	asked := askWebs(w, 3, 1, 3)
	off(2)
	stays(w, 1, "audit.service", "stays on node-2, which is lost: 0 of 4 nodes:")
	is("only report has left node-2", 10*time.Second, map[string]string{
		"db": "1", "audit": "2", "agent": "1 2 3", "report": "1 3|", "web": "1 2 3", "web-sidekick": "1 2 3",
	})
	asked()
	undisturbed(t, calm, pids(w, 1, 3))
	lostOn(w, 1, 2, "audit.service")

	// node-4 comes with web=yes: the pair of node-2 goes there.
	calm = pids(w, 1, 3)
	on(4)
	is("node-4 has a pair and the agent", 30*time.Second, map[string]string{
		"db": "1", "audit": "2", "agent": "1 2 3 4", "report": "1 3 4|", "web": "1 3 4", "web-sidekick": "1 3 4",
	})
	// node-2 comes back: audit returns, healthy ones stay.
	on(2)
	is("audit is back", 30*time.Second, map[string]string{
		"db": "1", "audit": "2", "agent": "1 2 3 4", "report": "1 3 4|", "web": "1 3 4", "web-sidekick": "1 3 4",
	})
	w.WaitActive(1, "audit.service", 30*time.Second)
	w.WaitCount("argosy-web4", 3, 30*time.Second)
	w.WaitCount("argosy-agent", 4, 30*time.Second)
	undisturbed(t, calm, pids(w, 1, 3))

	// Without node-1 there is no disk=ssd with db=yes: db stays there, lost.
	off(1)
	stays(w, 3, "db.service", "stays on node-1, which is lost: 0 of 4 nodes:")
	if n := labtest.Count("argosy-db"); n != 0 {
		t.Errorf("db runs %d times, and may nowhere", n)
	}
	on(1)
	w.WaitCount("argosy-db", 1, 30*time.Second)
}

// webServer is the text of a service that answers every request on a port, as a
// process that is counted as argosy-web4.
func webServer(sections string) string {
	return `[Service]
Type=exec
ExecStart=@/usr/bin/perl argosy-web4 -MIO::Socket::INET -e ' \
  $$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 128, ReuseAddr => 1) or die $$!; \
  while ($$c = $$s->accept) { \
    while (<$$c>) { last if /^\\r?$$/ } \
    print $$c "HTTP/1.0 200 OK\\r\\n\\r\\nweb\\n"; close $$c \
  }'
` + sections
}

// askWebs has a node ask the webs of other nodes, again and again, until the
// function that it returns is called: that one demands that all were answered.
func askWebs(w *labtest.World, from int, of ...int) (end func()) {
	w.T.Helper()
	urls := ""
	for _, i := range of {
		urls += fmt.Sprintf(" http://%s:8080/", w.N(i).Address())
	}
	loop := `ok=0; failed=0
while [ ! -e /run/asked ]; do for url in` + urls + `; do
  if [ "$(curl -sS -m 2 $url 2>&1)" = web ]; then ok=$((ok+1)); else failed=$((failed+1)); fi
done; done; echo $ok answered, $failed failed`
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		_, err := w.N(from).Exec(w.T.Context(), nil, &out, &out, "bash", "-c", loop)
		done <- err
	}()
	return func() {
		w.T.Helper()
		w.In(from, "touch", "/run/asked")
		err := <-done
		var answered, failed int
		if _, wrong := fmt.Sscanf(out.String(), "%d answered, %d failed", &answered, &failed); wrong != nil || answered < 10 || failed > 0 {
			w.T.Errorf("of the requests to the webs that stay: %v, %s", err, out.String())
		}
	}
}

// stands demands what "argosy explain" says of the first thing on each node that
// keeps a unit from it.
func stands(w *labtest.World, name cluster.UnitName, want map[string]string) {
	w.T.Helper()
	var e place.Explanation
	if err := json.Unmarshal([]byte(w.OK(1, "explain", string(name), "-o", "json")), &e); err != nil {
		w.T.Fatal(err)
	}
	for _, n := range e.Nodes {
		first := slices.IndexFunc(n.Checks, func(c place.FilterVerdict) bool { return !c.OK })
		if n.OK || first < 0 {
			w.T.Errorf("%s may be on %s", name, n.Name)
			continue
		}
		says := n.Checks[first].Filter + ": " + n.Checks[first].Why
		if wanted := want[n.Name]; wanted == "" || !strings.Contains(says, wanted) {
			w.T.Errorf("%s is kept from %s by %q, not by %q", name, n.Name, says, wanted)
		}
	}
	if len(e.Nodes) != len(want) {
		w.T.Errorf("%s is explained for %d nodes, not for %d", name, len(e.Nodes), len(want))
	}
}

// leastLoaded starts a unit that nodes 1 to 3 may have, and demands that it comes
// to one that has the fewest.
func leastLoaded(w *labtest.World, name cluster.UnitName, text string) {
	w.T.Helper()
	has := where(w, 1)
	w.OK(1, "start", w.File(string(name), text))
	on := w.WaitActive(1, name, 10*time.Second)
	for i := 1; i <= 3; i++ {
		if len(has[i]) < len(has[on]) {
			w.T.Errorf("%s went to node-%d, and before that they had %v", name, on, has)
		}
	}
}

// lostOn demands that a unit is shown as the cluster knows it, now that the node
// it is placed on is off, with two more units that may run nowhere else: not as
// running, whatever that node said last.
func lostOn(w *labtest.World, i, off int, name cluster.UnitName) {
	w.T.Helper()
	var list struct{ Items []wire.UnitView }
	out := w.OK(i, "list-units", "-o", "json", string(name))
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) != 1 || len(list.Items[0].Statuses) != 1 {
		w.T.Fatalf("%v\n%s", err, out)
	}
	want := fmt.Sprintf("node-%d is lost; last seen active (running), and may still run there", off)
	dead := strings.Replace(want, "lost", "dead", 1)
	s := list.Items[0].Statuses[0]
	if s.Active != cluster.ActiveUnknown || s.Problem != want && s.Problem != dead {
		w.T.Errorf("it is shown as %s, %s: %s", s.Active, s.Sub, s.Problem)
	}
	if r := w.Run(i, "status", "-n", "0", string(name)); r.Code != 3 || !strings.Contains(r.Out, "and may still run there") {
		w.T.Errorf("status ends with %d\n%s%s", r.Code, r.Out, r.Err)
	}
	w.Refused(i, "and may still run there", "start", "--wait-timeout", "1s", string(name))
	for _, path := range []string{"machines", "state"} {
		r := w.In(i, "curl", "-sf", "--unix-socket", "/run/argosy/argosy.sock", "http://argosy/fleet/v1/"+path)
		if r.Code != 0 || strings.Contains(r.Out, string(w.N(off).MachineID())) || !strings.Contains(r.Out, string(w.N(i).MachineID())) {
			w.T.Errorf("fleet's %s: exit code %d\n%s%s", path, r.Code, r.Out, r.Err)
		}
	}
	r := w.In(i, "curl", "-sf", "--unix-socket", "/run/argosy/argosy.sock", "http://argosy"+wire.PathMetrics)
	for _, line := range []string{`argosy_units{state="unknown"} 3`, `argosy_nodes{health="ready"} 2`, "fleet_engine_leader_start_time "} {
		if r.Code != 0 || !strings.Contains(r.Out, "\n"+line) {
			w.T.Errorf("the metrics lack %s: exit code %d\n%s%s", line, r.Code, r.Out, r.Err)
		}
	}
}

// stays waits until the cluster says that a unit has nowhere else to go.
func stays(w *labtest.World, i int, name cluster.UnitName, reason string) {
	w.T.Helper()
	w.Wait(30*time.Second, string(name)+" has nowhere else to go", func() string {
		u, err := w.Unit(i, name)
		if err != nil {
			return err.Error()
		}
		if !strings.HasPrefix(u.Placement.Reason, reason) {
			return u.Placement.Reason
		}
		return ""
	})
}

// differs compares where units are placed with what is wanted of the first
// names of units, and says how they differ: "1 2" on these nodes, "2 3 -" one on
// each and one on none, "1 3|" on one of them. Nothing wanted means no units.
func differs(w *labtest.World, want map[string]string) string {
	c := client.New(client.Config{Socket: w.N(1).Socket()})
	defer c.Close()
	list, err := c.Units(w.T.Context())
	if err != nil {
		return err.Error()
	}
	got := map[string][]string{}
	for _, u := range list.Items {
		name := u.Name.Prefix()
		switch {
		case u.Name.IsTemplate():
		case u.Placement == nil:
			return string(u.Name) + " is not planned yet"
		case u.Placement.Pending():
			got[name] = append(got[name], "-")
		}
		if u.Placement != nil {
			for _, id := range u.Placement.Nodes {
				got[name] = append(got[name], fmt.Sprint(w.Number(id)))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		slices.Sort(got[name])
		is := strings.TrimSpace(strings.TrimPrefix(strings.Join(got[name], " "), "- ") + dash(got[name]))
		wanted := want[name]
		if some, any := strings.CutSuffix(wanted, "|"); any {
			if !slices.Contains(strings.Fields(some), is) {
				return fmt.Sprintf("%s is on %s, not on one of %s", name, is, some)
			}
		} else if is != wanted {
			return fmt.Sprintf("%s is on %s, not on %s", name, is, wanted)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d kinds of units, not %d", len(got), len(want))
	}
	return ""
}

// dash moves the mark of a pending unit to the end.
func dash(words []string) string {
	if len(words) > 1 && words[0] == "-" {
		return " -"
	}
	return ""
}

// pids returns the main process of each unit that is active on some nodes.
func pids(w *labtest.World, nodes ...int) map[string]string {
	w.T.Helper()
	all := map[string]string{}
	for _, i := range nodes {
		out := w.In(i, "bash", "-c", `for u in /run/argosy/units/*; do n=$(basename $u); echo $n $(systemctl show -p MainPID --value $n); done`).Out
		for line := range strings.Lines(out) {
			name, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
			if pid != "0" && pid != "" {
				all[fmt.Sprintf("%s on node-%d", name, i)] = pid
			}
		}
	}
	return all
}

// undisturbed demands that what ran before runs still, as the same process.
func undisturbed(t *testing.T, before, after map[string]string) {
	t.Helper()
	if len(before) == 0 {
		t.Error("nothing ran before")
	}
	for name, pid := range before {
		if after[name] != pid {
			t.Errorf("%s was process %s and is %q", name, pid, after[name])
		}
	}
}
