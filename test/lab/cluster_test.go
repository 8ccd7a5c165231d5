// Package lab_test runs on lab nodes: real systemd, real etcd, real TLS. It
// needs root and the built program; make test sees to both.
package lab_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
	"argosy/internal/node"
	"argosy/internal/pki"
)

// The subtests share one lab, since a lab takes seconds to make. Each leaves
// it as it found it: three servers, ready, without units.
func TestThreeNodes(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "three", Nodes: 3})
	for _, sub := range []struct {
		name string
		test func(*labtest.World)
	}{
		{"every node shows the same healthy cluster", sameEverywhere},
		{"a unit lives through all its verbs", lifeOfAUnit},
		{"a restart gives a new main process", restartIsReal},
		{"a restart of several goes one by one", restartIsRolling},
		{"another text runs in the place of the one before, if it is told to", replacedText},
		{"a failing unit says why and delays nobody", failureIsExplained},
		{"a unit that fits nowhere says why", pendingIsExplained},
		{"bad input is refused with file, line and reason, and nothing is stored", badInput},
		{"templates, globals and conflicts", templatesAndGlobals},
		{"killing and restarting the daemons stops no unit", daemonDeath},
		{"a lost node's units run elsewhere, and once after its return", nodeLoss},
		{"a node cut off keeps its unit, and gives it up when it is back", partition},
		{"without quorum units run, reads answer, writes are refused", quorumLost},
		{"all nodes lose power at once and everything comes back", blackout},
		{"a host's own unit is never touched", hostUnits},
		{"a second cluster is refused and both are named", secondCluster},
		{"tokens are refused with the reason", tokenRefusals},
	} {
		ok := t.Run(sub.name, func(t *testing.T) { sub.test(w.Sub(t)) })
		if !ok {
			t.Fatal("the lab may not be as the next test wants it")
		}
	}
}

func sameEverywhere(w *labtest.World) {
	first := w.Status(1)
	if first.Cluster.ID == "" {
		w.T.Error("the cluster has no ID")
	}
	for i := 1; i <= 3; i++ {
		s := w.Status(i)
		if !s.Formed || s.Cluster.ID != first.Cluster.ID || !s.Quorum || len(s.Voters) != 3 || s.NodesReady != 3 || len(s.Problems) != 0 {
			w.T.Errorf("node-%d shows %+v", i, s)
		}
		if s.Leader == nil || s.Leader.Node != first.Leader.Node {
			w.T.Errorf("node-%d names another leader", i)
		}
	}
}

func lifeOfAUnit(w *labtest.World) {
	text := "# kept byte for byte\n" + labtest.Marked("argosy-life", "\n") + "\t\n"
	file := w.File("life.service", text)
	w.OK(1, "submit", file)
	if got := w.OK(2, "cat", "life.service"); got != text {
		w.T.Errorf("cat gives %q, want %q", got, text)
	}
	if n := labtest.Count("argosy-life"); n != 0 {
		w.T.Errorf("a submitted unit runs %d times", n)
	}
	w.OK(2, "load", "life.service")
	if u, _ := w.Unit(2, "life.service"); u.State != cluster.Loaded {
		w.T.Errorf("after load: %s", u.State)
	}
	w.OK(3, "start", "life.service")
	w.WaitCount("argosy-life", 1, 5*time.Second)
	on := w.WaitActive(1, "life.service", 5*time.Second)
	other := on%3 + 1
	if log := w.OK(other, "journal", "life.service"); !strings.Contains(log, "Started life.service") {
		w.T.Errorf("its journal, read on another node:\n%s", log)
	}
	if r := w.Run(1, "status", "life.service"); r.Code != 0 || !strings.Contains(r.Out, "active (running)") {
		w.T.Errorf("status: code %d\n%s", r.Code, r.Out)
	}
	w.OK(1, "stop", "life.service")
	if n := labtest.Count("argosy-life"); n != 0 {
		w.T.Errorf("a stopped unit runs %d times", n)
	}
	if r := w.Run(1, "status", "life.service"); r.Code != 3 {
		w.T.Errorf("status of a stopped unit exits %d, want 3", r.Code)
	}
	w.OK(1, "unload", "life.service")
	w.OK(1, "destroy", "life.service")
	if r := w.Run(1, "status", "life.service"); r.Code != 4 {
		w.T.Errorf("status of no unit exits %d, want 4", r.Code)
	}
	nothingLeft(w, "life.service")
}

// nothingLeft demands that no node has a trace of a unit.
func nothingLeft(w *labtest.World, name string) {
	w.T.Helper()
	for i := 1; i <= 3; i++ {
		if r := w.In(i, "find", "/run/argosy/units", "/run/systemd/system", "-name", name); strings.TrimSpace(r.Out) != "" {
			w.T.Errorf("node-%d still has %s", i, r.Out)
		}
		if r := w.In(i, "systemctl", "show", "-p", "LoadState", "--value", name); strings.TrimSpace(r.Out) != "not-found" {
			w.T.Errorf("node-%d's systemd says %q of %s", i, strings.TrimSpace(r.Out), name)
		}
	}
}

func restartIsReal(w *labtest.World) {
	w.OK(1, "start", w.File("again.service", labtest.Marked("argosy-again", "")))
	before := mainPID(w, "again.service")
	w.OK(2, "restart", "again.service")
	if after := mainPID(w, "again.service"); after == before || after == 0 {
		w.T.Errorf("main process %d before, %d after", before, after)
	}
	w.OK(1, "destroy", "again.service")
}

// Each unit takes a second to start, and is active once it is the process that
// is counted.
func restartIsRolling(w *labtest.World) {
	w.OK(1, "submit", w.File("roll@.service", "[Service]\nType=exec\nExecStartPre=/bin/sleep 1\nExecStart=@/bin/sleep argosy-roll infinity\n"))
	w.OK(1, "start", "roll@{1..3}")
	names := []cluster.UnitName{"roll@1.service", "roll@2.service", "roll@3.service"}
	before := map[cluster.UnitName]int{}
	for _, name := range names {
		before[name] = mainPID(w, name)
	}
	done := make(chan struct{})
	var r labtest.Result
	go func() {
		defer close(done)
		r = w.Run(2, "restart", "roll@{1..3}")
	}()
	// One look alone may miss a process that comes while it looks on.
	var counts []int
	w.Wait(time.Minute, "the end of the restart", func() string {
		counts = append(counts, labtest.Count("argosy-roll"))
		if n := len(counts); n > 1 && max(counts[n-1], counts[n-2]) < 2 {
			w.T.Errorf("only %d and %d ran", counts[n-2], counts[n-1])
		}
		select {
		case <-done:
			return ""
		default:
			return "it goes on"
		}
	})
	if r.Code != 0 || !slices.Contains(counts, 2) {
		w.T.Errorf("exit %d, running were %v\n%s", r.Code, counts, r.Err)
	}
	for _, name := range names {
		if after := mainPID(w, name); after == before[name] || after == 0 {
			w.T.Errorf("%s: main process %d before, %d after", name, before[name], after)
		}
	}
	w.OK(1, "destroy", "roll@{1..3}", "roll@.service")
}

func replacedText(w *labtest.World) {
	w.OK(1, "start", w.File("text.service", labtest.Marked("argosy-first-text", "")))
	was := w.WaitActive(1, "text.service", 5*time.Second)
	second := w.File("text.service", labtest.Marked("argosy-second-text", ""))
	if r := w.Run(2, "start", second); r.Code != 0 || !strings.Contains(r.Err, "--replace takes the file") {
		w.T.Errorf("without --replace: exit %d\n%s", r.Code, r.Err)
	}
	if n := labtest.Count("argosy-first-text"); n != 1 {
		w.T.Errorf("without --replace, %d run of the first text", n)
	}
	w.OK(2, "start", "--replace", second)
	w.WaitCount("argosy-second-text", 1, 5*time.Second)
	w.WaitCount("argosy-first-text", 0, time.Second)
	if on := w.WaitActive(3, "text.service", 5*time.Second); on != was {
		w.T.Errorf("it went from node-%d to node-%d", was, on)
	}
	w.OK(1, "destroy", "text.service")
}

func mainPID(w *labtest.World, name cluster.UnitName) int {
	w.T.Helper()
	on := w.WaitActive(1, name, 10*time.Second)
	var pid int
	r := w.In(on, "systemctl", "show", "-p", "MainPID", "--value", string(name))
	if _, err := fmt.Sscan(r.Out, &pid); err != nil {
		w.T.Fatalf("main process of %s: %q", name, r.Out)
	}
	return pid
}

func failureIsExplained(w *labtest.World) {
	bad := w.File("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'for i in $$(seq 15); do echo the disk is on fire $$i; done; exit 7'\n")
	hang := w.File("hang.service", "[Service]\nType=notify\nExecStart=/bin/sleep infinity\nTimeoutStartSec=60\n")
	w.OK(1, "start", "--no-block", hang)
	r := w.Run(1, "start", bad)
	if r.Code != 1 {
		w.T.Errorf("starting a unit that fails exits %d, want 1", r.Code)
	}
	for _, want := range []string{"status 7", "the disk is on fire"} {
		if !strings.Contains(r.Out+r.Err, want) {
			w.T.Errorf("%q is not in what was said:\n%s%s", want, r.Out, r.Err)
		}
	}
	lastTenLines(w, "bad.service")
	// systemd calls this one active for a moment; a busy machine may miss its end.
	w.OK(1, "submit", w.File("brief@.service", "[Service]\nExecStart=/bin/false\n"))
	w.Wait(30*time.Second, "a service that ends at once has not started", func() string {
		if r = w.Run(1, "start", "brief@1"); r.Code != 1 || !strings.Contains(r.Err, "status 1") {
			w.Run(1, "destroy", "brief@1")
			return fmt.Sprintf("exit code %d: %s%s", r.Code, r.Out, r.Err)
		}
		return ""
	})
	// A hanging start on every node must not keep another unit waiting.
	w.OK(1, "start", w.File("fine.service", labtest.Marked("argosy-fine", "[X-Fleet]\nGlobal=true\n")))
	w.WaitCount("argosy-fine", 3, 5*time.Second)
	w.OK(1, "destroy", "bad.service", "hang.service", "fine.service", "brief@1", "brief@.service")
}

// lastTenLines demands that a failed unit that printed fifteen lines shows the
// last ten of its journal, in order. systemd's own words on its end count.
func lastTenLines(w *labtest.World, name cluster.UnitName) {
	w.T.Helper()
	w.Wait(10*time.Second, "the log of "+string(name), func() string {
		u, err := w.Unit(1, name)
		if err != nil || len(u.Statuses) != 1 {
			return fmt.Sprintf("%v, statuses %+v", err, u.Statuses)
		}
		status := u.Statuses[0]
		journal := w.In(w.Number(status.Node), "journalctl", "--output=cat", "--unit="+string(name)).Out
		lines := strings.Split(strings.TrimSpace(journal), "\n")
		if len(lines) < 15 || !slices.Equal(status.Log, lines[len(lines)-10:]) {
			return fmt.Sprintf("it shows %q of %q", status.Log, lines)
		}
		return ""
	})
}

func pendingIsExplained(w *labtest.World) {
	file := w.File("picky.service", labtest.Marked("argosy-picky", "[X-Fleet]\nMachineMetadata=region=mars\n"))
	r := w.Run(1, "start", "--wait-timeout", "2s", file)
	if r.Code != 3 || !strings.Contains(r.Out+r.Err, "region=mars") {
		w.T.Errorf("exit code %d, want 3 with the reason:\n%s%s", r.Code, r.Out, r.Err)
	}
	if list := w.OK(2, "list-units"); !strings.Contains(list, "region=mars") {
		w.T.Errorf("the list gives no reason:\n%s", list)
	}
	w.OK(1, "node", "label", "node-3", "region=mars")
	if on := w.WaitActive(1, "picky.service", 5*time.Second); on != 3 {
		w.T.Errorf("it runs on node-%d", on)
	}
	w.OK(1, "node", "label", "node-3", "region-")
	w.OK(1, "destroy", "picky.service")
}

func badInput(w *labtest.World) {
	w.Refused(1, "bad.service:2", "submit", w.File("bad.service", "[Service]\nno equals sign\n"))
	w.Refused(1, "X-Argosy", "submit", w.File("bad.service", labtest.Marked("x", "[X-Argosy]\nColour=red\n")))
	w.Refused(1, "bad.service", "submit", w.File("bad.service", "[Service]\nExecStart=/bin/true\x00\n"))
	w.Refused(1, "262144", "submit", w.File("bad.service", labtest.Marked("x", strings.Repeat("# long\n", 40000))))
	w.Refused(1, "template", "start", w.File("bad@.service", labtest.Marked("x", "")))
	if r := w.Run(1, "start", "--no-such-flag"); r.Code != 2 {
		w.T.Errorf("a bad flag exits %d, want 2", r.Code)
	}
	for _, name := range strings.Fields(w.OK(1, "list-unit-files", "-o", "name")) {
		if name != "bad@.service" {
			w.T.Errorf("%s was stored", name)
		}
	}
	w.Run(1, "destroy", "bad@.service")
}

func templatesAndGlobals(w *labtest.World) {
	w.OK(1, "submit", w.File("web@.service", labtest.Marked("argosy-web", "[X-Fleet]\nConflicts=web@*.service\n")))
	w.OK(1, "start", "web@{1..3}")
	seen := map[int]bool{}
	for i := 1; i <= 3; i++ {
		seen[w.WaitActive(1, cluster.UnitName(fmt.Sprintf("web@%d.service", i)), 10*time.Second)] = true
	}
	if len(seen) != 3 {
		w.T.Errorf("on nodes %v", seen)
	}
	w.WaitCount("argosy-web", 3, 5*time.Second)
	w.OK(1, "destroy", "web@{1..3}", "web@.service")
	if n := labtest.Count("argosy-web"); n != 0 {
		w.T.Errorf("%d processes are left after destroy", n)
	}
}

func daemonDeath(w *labtest.World) {
	w.OK(1, "start", w.File("calm.service", labtest.Marked("argosy-calm", "[X-Fleet]\nGlobal=true\n")))
	pids := func() string {
		var all []string
		for i := 1; i <= 3; i++ {
			all = append(all, strings.TrimSpace(w.In(i, "systemctl", "show", "-p", "MainPID", "--value", "calm.service").Out))
		}
		return strings.Join(all, " ")
	}
	before := pids()
	hangup(w)
	for i := 1; i <= 3; i++ {
		w.In(i, "systemctl", "kill", "-s", "KILL", "argosy.service")
	}
	healthy(w)
	for i := 1; i <= 3; i++ {
		if r := w.In(i, "systemctl", "restart", "argosy.service", "argosy-etcd.service"); r.Code != 0 {
			w.T.Errorf("restart on node-%d: %s", i, r.Err)
		}
	}
	healthy(w)
	if after := pids(); after != before {
		w.T.Errorf("main processes %s before, %s after", before, after)
	}
	w.Soon(1, "destroy", "calm.service")
}

// hangup demands that SIGHUP ends none of our processes, and that the daemon reads
// its labels again.
func hangup(w *labtest.World) {
	ours := func(i int) string {
		return w.In(i, "systemctl", "show", "-p", "MainPID", "--value", "argosy.service", "argosy-etcd.service", "argosy-permit.service", "argosy-resolve.service").Out
	}
	const conf = "/etc/argosy/argosy.conf"
	for i := 1; i <= 3; i++ {
		before := ours(i)
		label := fmt.Sprintf("hup=%d", i)
		w.In(i, "sh", "-c", "cp "+conf+" /tmp/conf && printf '[Node]\\nLabels=%s\\n' "+label+" >>"+conf)
		for _, service := range []string{"argosy.service", "argosy-etcd.service", "argosy-permit.service", "argosy-resolve.service"} {
			w.In(i, "systemctl", "kill", "-s", "HUP", service)
		}
		w.Wait(10*time.Second, label+" counts", func() string {
			if list := w.OK(1, "list-machines", "--fields", "node,labels"); !strings.Contains(list, label) {
				return list
			}
			return ""
		})
		w.In(i, "sh", "-c", "cat /tmp/conf >"+conf)
		if r := w.In(i, "systemctl", "reload", "argosy.service"); r.Code != 0 {
			w.T.Errorf("reload: %s", r.Err)
		}
		w.Wait(10*time.Second, label+" is gone", func() string {
			if list := w.OK(1, "list-machines", "--fields", "node,labels"); strings.Contains(list, label) {
				return list
			}
			return ""
		})
		if after := ours(i); after != before {
			w.T.Errorf("node-%d: our main processes %q before SIGHUP, %q after", i, before, after)
		}
	}
}

// healthy waits until all is as it should be, seen from every node of three.
func healthy(w *labtest.World) { w.T.Helper(); healthyOf(w, 3) }

// healthyOf is the same with further nodes, which are workers.
func healthyOf(w *labtest.World, nodes int) {
	w.T.Helper()
	w.Wait(60*time.Second, "a healthy cluster", func() string {
		for i := 1; i <= 3; i++ {
			r := w.Run(i, "status", "-o", "json")
			if r.Code != 0 {
				return fmt.Sprintf("node-%d: status exits %d: %s", i, r.Code, r.Err)
			}
			s := w.Status(i)
			voting := 0
			for _, v := range s.Voters {
				if v.State == cluster.MemberVoter && v.Healthy {
					voting++
				}
			}
			if !s.Quorum || s.Leader == nil || s.NodesReady != nodes || voting != 3 || s.Stale || s.Role != cluster.Server {
				return fmt.Sprintf("node-%d, %d voters: %v", i, voting, s.Problems)
			}
		}
		return ""
	})
}

func nodeLoss(w *labtest.World) {
	w.OK(1, "start", w.File("loss.service", labtest.Marked("argosy-loss", "[X-Fleet]\nMachineMetadata=loss=yes\n")), "--no-block")
	for i := 1; i <= 3; i++ {
		w.OK(1, "node", "label", fmt.Sprintf("node-%d", i), "loss=yes")
	}
	on := w.WaitActive(1, "loss.service", 10*time.Second)
	if err := w.N(on).PowerOff(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	start := time.Now()
	from := on%3 + 1
	w.Wait(60*time.Second, "active elsewhere", func() string {
		u, err := w.Unit(from, "loss.service")
		if err != nil {
			return err.Error()
		}
		for _, s := range u.Statuses {
			if s.Node != w.N(on).MachineID() && s.Active == "active" {
				return ""
			}
		}
		return fmt.Sprintf("%+v", u.Placement)
	})
	w.T.Logf("active elsewhere %s after the power cut", time.Since(start).Round(10*time.Millisecond))
	if err := w.N(on).PowerOn(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	healthy(w)
	if n := labtest.Count("argosy-loss"); n != 1 {
		w.T.Errorf("after its return the unit runs %d times", n)
	}
	w.Soon(1, "destroy", "loss.service")
	for i := 1; i <= 3; i++ {
		w.Soon(1, "node", "label", fmt.Sprintf("node-%d", i), "loss-")
	}
}

func partition(w *labtest.World) {
	w.OK(1, "start", w.File("cut.service", labtest.Marked("argosy-cut", "")))
	on := w.WaitActive(1, "cut.service", 10*time.Second)
	from := on%3 + 1
	w.Wait(10*time.Second, "the node holds a permit", func() string { return permit(w, on, true) })
	if err := w.Cut(w.T.Context(), w.N(on).Name()); err != nil {
		w.T.Fatal(err)
	}
	// Before another copy may run, the permit is gone: what is exclusive ends
	// with it.
	w.Wait(cluster.DefaultTimings().Valid+5*time.Second, "the permit of the node that is cut off ends", func() string { return permit(w, on, false) })
	w.WaitCount("argosy-cut", 2, 60*time.Second)
	// The node that is cut off keeps what it has (an ordinary unit prefers
	// availability) and says that it has no quorum.
	if s := w.Status(on); s.Quorum {
		w.T.Error("a node that is cut off claims a quorum")
	}
	if err := w.Heal(w.T.Context(), ""); err != nil {
		w.T.Fatal(err)
	}
	w.WaitCount("argosy-cut", 1, 60*time.Second)
	w.Wait(10*time.Second, "the node holds a permit again", func() string { return permit(w, on, true) })
	healthy(w)
	if now := w.WaitActive(from, "cut.service", 10*time.Second); now == on {
		w.T.Error("the copy on the node that was cut off was kept, the new one was not")
	}
	w.Soon(1, "destroy", "cut.service")
}

// permit says how a node's permit differs from what is wanted.
func permit(w *labtest.World, i int, want bool) string {
	if held := w.In(i, "test", "-e", node.PermitMarker).Code == 0; held != want {
		return fmt.Sprintf("%s holds a permit: %t", w.N(i).Name(), held)
	}
	return ""
}

func quorumLost(w *labtest.World) {
	w.OK(1, "start", w.File("stay.service", labtest.Marked("argosy-stay", "[X-Fleet]\nMachineID="+string(w.N(1).MachineID())+"\n")))
	for _, i := range []int{2, 3} {
		if err := w.N(i).PowerOff(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	saysQuorumIsLost(w, 1)
	r := runSoon(w, 1, "list-units", "-o", "json")
	var list wire.List[wire.UnitView]
	if err := json.Unmarshal([]byte(r.Out), &list); err != nil || !list.Stale || list.Age <= 0 || len(list.Items) != 1 {
		w.T.Errorf("the list is not marked as stale: code %d, %v\n%s%s", r.Code, err, r.Out, r.Err)
	}
	if r := w.Run(1, "list-units"); !strings.Contains(r.Err, "s ago") || !strings.Contains(r.Out, "stay.service") {
		w.T.Errorf("the list for a person:\n%s%s", r.Out, r.Err)
	}
	if r := runSoon(w, 1, "stop", "stay.service"); r.Code != 1 || !strings.Contains(r.Out+r.Err, "quorum") {
		w.T.Errorf("a write exits %d:\n%s%s", r.Code, r.Out, r.Err)
	}
	if n := labtest.Count("argosy-stay"); n != 1 {
		w.T.Errorf("the unit runs %d times", n)
	}
	for _, i := range []int{2, 3} {
		if err := w.N(i).PowerOn(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	healthy(w)
	if n := labtest.Count("argosy-stay"); n != 1 {
		w.T.Errorf("afterwards the unit runs %d times", n)
	}
	w.Soon(1, "destroy", "stay.service")
}

// soon is how long a call may last without a quorum.
const soon = 3 * time.Second

// runSoon runs the command line without a quorum and demands an answer in time.
// The answers of a busy machine are late by chance; three in a row are not.
func runSoon(w *labtest.World, i int, args ...string) labtest.Result {
	w.T.Helper()
	var r labtest.Result
	for range 3 {
		if r = w.Run(i, args...); r.Lasted < soon {
			return r
		}
		w.T.Logf("argosy %s on node-%d took %s", strings.Join(args, " "), i, r.Lasted)
	}
	w.T.Errorf("argosy %s on node-%d took %s, want less than %s", strings.Join(args, " "), i, r.Lasted, soon)
	return r
}

// saysQuorumIsLost demands that a node's status says so in time, by the first
// call that is made when the loss is a second old: as long a verdict is good.
func saysQuorumIsLost(w *labtest.World, i int) {
	w.T.Helper()
	lost := time.Now()
	for {
		asked := time.Since(lost)
		r := runSoon(w, i, "status", "-o", "json")
		var page wire.Status
		if err := json.Unmarshal([]byte(r.Out), &page); err != nil {
			w.T.Fatalf("status of node-%d: %v\n%s%s", i, err, r.Out, r.Err)
		}
		if !page.Quorum && strings.Contains(strings.Join(page.Problems, "\n"), "no quorum") {
			if !page.Stale || page.Age <= 0 {
				w.T.Errorf("status of node-%d is not marked as stale: %+v", i, page)
			}
			return
		}
		if asked > time.Second {
			w.T.Fatalf("asked %s after the loss, node-%d shows %+v", asked, i, page)
		}
	}
}

func blackout(w *labtest.World) {
	w.OK(1, "submit", w.File("dark@.service", labtest.Marked("argosy-dark", "")))
	w.OK(1, "start", "dark@{1..6}")
	for i := 1; i <= 3; i++ {
		if err := w.N(i).PowerOff(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	for i := 1; i <= 3; i++ {
		if err := w.N(i).PowerOn(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	healthy(w)
	w.WaitCount("argosy-dark", 6, 60*time.Second)
	w.Soon(1, "destroy", "dark@{1..6}", "dark@.service")
}

func hostUnits(w *labtest.World) {
	r := w.Run(1, "start", "--wait-timeout", "5s", w.File("systemd-journald.service", labtest.Marked("argosy-evil", "")))
	if r.Code == 0 || !strings.Contains(r.Out+r.Err, "host") {
		w.T.Errorf("exit code %d:\n%s%s", r.Code, r.Out, r.Err)
	}
	if n := labtest.Count("argosy-evil"); n != 0 {
		w.T.Errorf("it runs %d times", n)
	}
	for i := 1; i <= 3; i++ {
		if r := w.In(i, "systemctl", "is-active", "systemd-journald.service"); r.Code != 0 {
			w.T.Errorf("node-%d's own journal is %s", i, r.Out)
		}
	}
	w.OK(1, "destroy", "systemd-journald.service")
}

func secondCluster(w *labtest.World) {
	own := string(w.Status(2).Cluster.ID)
	w.Refused(2, own, "init")
	other, err := pki.NewAuthority(time.Now())
	if err != nil {
		w.T.Fatal(err)
	}
	token, err := pki.NewToken(other, []string{"10.77.0.1:7500"})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Refused(2, own, "join", token.String())
	w.Refused(2, string(other.ID()), "join", token.String())
}

func tokenRefusals(w *labtest.World) {
	token := strings.TrimSpace(w.OK(1, "token", "create"))
	if !strings.HasPrefix(token, "argosy1.") {
		w.T.Fatalf("token %q", token)
	}
	w.Refused(2, "checksum", "join", token[:len(token)-3]+"abc")
	w.Refused(2, "does not begin", "join", "hello")
	for _, id := range strings.Fields(w.OK(1, "token", "ls", "-o", "name")) {
		w.OK(1, "token", "rm", id)
	}
	if left := strings.TrimSpace(w.OK(1, "token", "ls", "-o", "name")); left != "" {
		w.T.Errorf("tokens left: %s", left)
	}
}
