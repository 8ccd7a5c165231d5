package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab"
	"argosy/internal/lab/labtest"
)

// What the lab promises about machines, apart from any cluster on them. The
// subtests share one lab; each leaves it on, healed, with free disks.
func TestTheLab(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "itself", Nodes: 3, NoForm: true})
	for _, sub := range []struct {
		name string
		test func(*labtest.World)
	}{
		{"a node is a whole system of its own", wholeSystem},
		{"nodes do not see each other's services", ownControlGroups},
		{"a command has input, output and an exit code", commands},
		{"a power cut leaves the disk and nothing else", powerCut},
		{"lines are cut one way, both ways and from everybody", cuts},
		{"a cut outlives a power cut and the node's own filters", cutsStay},
		{"a bad line or node is refused and nothing is cut", badLines},
		{"a paused node stands still, with what is nested in it", pause},
		{"a full disk is full until it is freed, whatever the power", diskFull},
		{"up again boots what is off and leaves the rest alone", upAgain},
		{"a second lab is apart from the first", secondLab},
	} {
		if !t.Run(sub.name, func(t *testing.T) { sub.test(w.Sub(t)) }) {
			t.Fatal("the lab may not be as the next test wants it")
		}
	}
}

func wholeSystem(w *labtest.World) {
	ids := map[string]bool{}
	for i := 1; i <= 3; i++ {
		n := w.N(i)
		for _, is := range []struct {
			command []string
			want    string
		}{
			{[]string{"hostname"}, n.Name()},
			{[]string{"cat", "/etc/machine-id"}, string(n.MachineID())},
			{[]string{"cat", "/proc/1/comm"}, "systemd"},
			{[]string{"systemctl", "list-units", "--failed", "--no-legend"}, ""},
			{[]string{"ip", "route", "show", "default"}, ""},
			{[]string{"readlink", "-f", "/usr/local/bin/fleetctl"}, "/usr/local/bin/argosy"},
		} {
			if got := strings.TrimSpace(w.In(i, is.command...).Out); got != is.want {
				w.T.Errorf("%s: %v prints %q, want %q", n.Name(), is.command, got, is.want)
			}
		}
		ids[string(n.MachineID())] = true
	}
	if len(ids) != 3 {
		w.T.Errorf("machine IDs %v", ids)
	}
	if _, err := os.Stat("/sys/class/net/lan0"); err == nil {
		w.T.Error("the lab's bridge is in the host's namespace")
	}
}

func ownControlGroups(w *labtest.World) {
	w.In(1, "systemd-run", "--unit=here", "sleep", "infinity")
	if r := w.In(1, "cat", "/sys/fs/cgroup/system.slice/here.service/cgroup.procs"); strings.TrimSpace(r.Out) == "" {
		w.T.Fatalf("node-1 does not see its own service: %s", r.Err)
	}
	if r := w.In(2, "ls", "/sys/fs/cgroup/system.slice/here.service"); r.Code == 0 {
		w.T.Error("node-2 sees a service of node-1")
	}
	if r := w.In(1, "systemctl", "stop", "here.service"); r.Code != 0 {
		w.T.Errorf("stop: %s", r.Err)
	}
}

func commands(w *labtest.World) {
	var out, errs bytes.Buffer
	code, err := w.N(1).Exec(w.T.Context(), strings.NewReader("in"), &out, &errs, "sh", "-c", "cat; echo err >&2; exit 7")
	if err != nil || code != 7 || out.String() != "in" || errs.String() != "err\n" {
		w.T.Errorf("code %d, error %v, output %q, errors %q", code, err, &out, &errs)
	}
	if r := w.In(1, "sh", "-c", "kill -9 $$"); r.Code != 128+9 {
		w.T.Errorf("a killed command exits %d, want 137", r.Code)
	}
	if r := w.In(1, "env"); strings.Contains(r.Out, "GOPATH") || !strings.Contains(r.Out, "HOME=/root") {
		w.T.Errorf("the environment is not the node's own:\n%s", r.Out)
	}
	ctx, cancel := context.WithCancel(w.T.Context())
	done := make(chan error)
	go func() {
		_, err := w.N(1).Exec(ctx, nil, nil, nil, "bash", "-c", "exec -a argosy-endless sleep infinity")
		done <- err
	}()
	w.WaitCount("argosy-endless", 1, 10*time.Second)
	cancel()
	if err := <-done; err == nil {
		w.T.Error("a command that was given up is called done")
	}
	w.WaitCount("argosy-endless", 0, 10*time.Second)
}

func powerCut(w *labtest.World) {
	n := w.N(2)
	w.In(2, "sh", "-c", "echo kept >/var/lib/argosy/kept; echo kept >/etc/kept; echo gone >/run/gone")
	w.In(2, "systemd-run", "bash", "-c", "trap '' TERM; exec -a argosy-deaf sleep infinity")
	w.WaitCount("argosy-deaf", 1, 10*time.Second)
	for range 2 { // off is off
		if err := n.PowerOff(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	if n.Power() != lab.Off || labtest.Count("argosy-deaf") != 0 {
		w.T.Errorf("the node is %s and %d of its processes run", n.Power(), labtest.Count("argosy-deaf"))
	}
	_, err := n.Exec(w.T.Context(), nil, nil, nil, "true")
	if cluster.KindOf(err) != cluster.Unavailable || !strings.Contains(err.Error(), "off") {
		w.T.Errorf("a command on a node that is off: %v", err)
	}
	for range 2 { // on is on
		if err := n.PowerOn(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	if r := w.In(2, "cat", "/var/lib/argosy/kept", "/etc/kept"); r.Out != "kept\nkept\n" {
		w.T.Errorf("of its disk is left %q %s", r.Out, r.Err)
	}
	if r := w.In(2, "ls", "/run/gone"); r.Code == 0 {
		w.T.Error("/run outlived the power cut")
	}
	w.In(2, "rm", "/etc/kept", "/var/lib/argosy/kept")
}

// radio lets nodes send each other words by UDP, so that each direction of a
// line can be seen by itself.
type radio struct{ w *labtest.World }

const receiver = `use Socket; socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(7777, INADDR_ANY)) or die;
open(F, ">>", "/run/heard"); select(F); $| = 1; while (1) { recv(S, $m, 100, 0); print F $m }`

func newRadio(w *labtest.World) radio {
	r := radio{w}
	for i := 1; i <= 3; i++ {
		r.receive(i)
	}
	return r
}

func (r radio) receive(i int) {
	if x := r.w.In(i, "systemd-run", "--unit=radio", "perl", "-e", receiver); x.Code != 0 {
		r.w.T.Fatal(x.Err)
	}
}

func (r radio) stop() {
	for i := 1; i <= 3; i++ {
		r.w.In(i, "sh", "-c", "systemctl stop radio; rm -f /run/heard")
	}
}

func (r radio) send(from, to int, word string) {
	r.w.In(from, "bash", "-c", fmt.Sprintf("echo %s >/dev/udp/%s/7777", word, r.w.N(to).Address()))
}

func (r radio) heard(by int, word string) bool {
	return r.w.In(by, "grep", "-qx", word, "/run/heard").Code == 0
}

// passes demands that words get from one node to another.
func (r radio) passes(from, to int) {
	r.w.T.Helper()
	word := fmt.Sprintf("%d-to-%d-%d", from, to, time.Now().UnixNano())
	r.w.Wait(15*time.Second, "a word from "+strconv.Itoa(from)+" to "+strconv.Itoa(to), func() string {
		r.send(from, to, word)
		if !r.heard(to, word) {
			return "not heard"
		}
		return ""
	})
}

func cuts(w *labtest.World) {
	r := newRadio(w)
	defer r.stop()
	type way struct{ from, to int }
	all := []way{{1, 2}, {2, 1}, {1, 3}, {3, 1}, {2, 3}, {3, 2}}
	for _, test := range []struct {
		line string
		lost []way
	}{
		{"1>2", []way{{1, 2}}},
		{"1:2", []way{{1, 2}, {2, 1}}},
		{"node-3:node-1", []way{{1, 3}, {3, 1}}},
		{"node-2", []way{{1, 2}, {2, 1}, {2, 3}, {3, 2}}},
	} {
		for _, way := range all { // and every node knows the others' hardware addresses
			r.passes(way.from, way.to)
		}
		if err := w.Cut(w.T.Context(), test.line); err != nil {
			w.T.Fatal(err)
		}
		lost := map[way]bool{}
		for _, way := range test.lost {
			lost[way] = true
			r.send(way.from, way.to, "lost-"+strconv.Itoa(way.from))
		}
		for _, way := range all {
			if !lost[way] {
				r.passes(way.from, way.to)
			}
		}
		if err := w.Heal(w.T.Context(), test.line); err != nil {
			w.T.Fatal(err)
		}
		// A line does not change the order of words: when a later one is there,
		// an earlier one that is not is lost.
		for _, way := range test.lost {
			r.passes(way.from, way.to)
			if r.heard(way.to, "lost-"+strconv.Itoa(way.from)) {
				w.T.Errorf("cut %s: a word from %d to %d got through", test.line, way.from, way.to)
			}
		}
	}
}

func cutsStay(w *labtest.World) {
	if err := w.Cut(w.T.Context(), "3"); err != nil {
		w.T.Fatal(err)
	}
	if err := w.N(3).PowerOff(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	if err := w.N(3).PowerOn(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	w.In(3, "nft", "flush", "ruleset")
	r := newRadio(w)
	defer r.stop()
	r.send(3, 1, "lost-3")
	r.send(1, 3, "lost-1")
	r.passes(1, 2)
	// What was waiting for a hardware address is sent when there is one, which
	// is no way through the cut.
	for i := 1; i <= 3; i++ {
		w.In(i, "ip", "neigh", "flush", "all")
	}
	if cut, err := w.Cuts(); err != nil || len(cut) != 1 || cut[0] != "node-3" {
		w.T.Errorf("cut are %v (%v), want node-3", cut, err)
	}
	if err := w.Heal(w.T.Context(), ""); err != nil {
		w.T.Fatal(err)
	}
	r.passes(3, 1)
	r.passes(1, 3)
	if r.heard(1, "lost-3") || r.heard(3, "lost-1") {
		w.T.Error("the power cut or the node's filters mended the line")
	}
}

func badLines(w *labtest.World) {
	for line, kind := range map[string]cluster.Kind{
		"4": cluster.NotFound, "1:4": cluster.NotFound, "1:": cluster.NotFound, "one": cluster.NotFound, "2:2": cluster.Invalid,
	} {
		if err := w.Cut(w.T.Context(), line); cluster.KindOf(err) != kind {
			w.T.Errorf("cut %q: %v, want it refused as %v", line, err, kind)
		}
	}
	if cut, err := w.Cuts(); err != nil || len(cut) != 0 {
		w.T.Errorf("cut are %v (%v)", cut, err)
	}
}

func pause(w *labtest.World) {
	n := w.N(1)
	w.In(1, "systemd-run", "--unit=busy", "sh", "-c", "while :; do :; done")
	w.In(1, "systemd-run", "--unit=nested", "unshare", "--pid", "--fork", "sh", "-c", "while :; do :; done")
	w.Wait(10*time.Second, "the node works", func() string {
		before := n.CPU()
		w.In(1, "true")
		if n.CPU() == before {
			return "it stands still"
		}
		return ""
	})
	for range 2 {
		if err := n.Pause(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
	}
	before := n.CPU()
	w.In(2, "systemctl", "is-system-running") // time passes for others
	if after := n.CPU(); after != before || n.Power() != lab.Paused {
		w.T.Errorf("the node is %s and has worked for %s", n.Power(), after-before)
	}
	if _, err := n.Exec(w.T.Context(), nil, nil, nil, "true"); cluster.KindOf(err) != cluster.Unavailable {
		w.T.Errorf("a command on a paused node: %v", err)
	}
	if err := n.Resume(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	if r := w.In(1, "systemctl", "kill", "--signal=KILL", "busy", "nested"); r.Code != 0 || n.Power() != lab.On {
		w.T.Errorf("after resume the node is %s: %s", n.Power(), r.Err)
	}
	if err := n.Pause(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	if err := n.PowerOff(w.T.Context()); err != nil {
		w.T.Errorf("the power of a paused node: %v", err)
	}
	if err := n.Pause(w.T.Context()); cluster.KindOf(err) != cluster.Unavailable {
		w.T.Errorf("pausing a node that is off: %v", err)
	}
	if err := n.PowerOn(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
}

func diskFull(w *labtest.World) {
	write := func() labtest.Result {
		return w.In(3, "sh", "-c", "head -c 100000 /dev/zero >/var/lib/argosy/data; s=$?; rm -f /var/lib/argosy/data; exit $s")
	}
	for range 2 {
		if err := w.N(3).FillDisk(); err != nil {
			w.T.Fatal(err)
		}
	}
	if r := write(); r.Code == 0 || !strings.Contains(r.Err, "No space left") {
		w.T.Errorf("writing to a full disk: code %d: %s", r.Code, r.Err)
	}
	if r := w.In(3, "sh", "-c", "echo fine >/root/data && rm /root/data"); r.Code != 0 {
		w.T.Errorf("the rest of the node is full too: %s", r.Err)
	}
	var info syscall.Stat_t
	if err := syscall.Stat(filepath.Join(w.Dir(), "node-3", "disk.img"), &info); err != nil || info.Blocks*512 > 100<<20 {
		w.T.Errorf("the full disk takes %d MiB of the host's (%v)", info.Blocks*512>>20, err)
	}
	if err := w.N(3).PowerOff(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	if err := w.N(3).PowerOn(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	if r := write(); r.Code == 0 {
		w.T.Error("a power cut freed the disk")
	}
	for range 2 {
		if err := w.N(3).FreeDisk(); err != nil {
			w.T.Fatal(err)
		}
	}
	if r := write(); r.Code != 0 {
		w.T.Errorf("after it was freed: %s", r.Err)
	}
}

func upAgain(w *labtest.World) {
	pid := w.N(1).Init()
	if err := w.N(2).PowerOff(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	if err := w.N(3).Pause(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	again := lab.Config{Name: "itself", Nodes: 2, Binary: labtest.Binary(w.T), StateDir: filepath.Dir(w.Dir())}
	if _, err := lab.Up(w.T.Context(), again); err != nil {
		w.T.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		if got := w.N(i).Power(); got != lab.On {
			w.T.Errorf("node-%d is %s", i, got)
		}
	}
	if now := w.N(1).Init(); now != pid {
		w.T.Errorf("node-1, which was on, was booted: PID %d before, %d after", pid, now)
	}
	again.Packages = []string{"hello"}
	if _, err := lab.Up(w.T.Context(), again); cluster.KindOf(err) != cluster.Conflict {
		w.T.Errorf("up with other packages: %v", err)
	}
}

// A lab whose name begins as the first's does, and then one of the same name
// in another folder.
func secondLab(w *labtest.World) {
	for i, second := range []lab.Config{{Name: "itself-1", StateDir: filepath.Dir(w.Dir())}, {Name: "itself", StateDir: w.T.TempDir()}} {
		second.Nodes, second.Binary = 1, labtest.Binary(w.T)
		l, err := lab.Up(w.T.Context(), second)
		if err != nil {
			w.T.Fatal(err)
		}
		w.T.Cleanup(func() { _ = l.Down(context.Background()) })
		n, err := l.Node("1")
		if err != nil {
			w.T.Fatal(err)
		}
		if i == 0 { // once is enough: it takes the kernel three seconds to be sure
			const knock = "echo >/dev/tcp/10.77.0.2/7500"
			if code, err := n.Exec(w.T.Context(), nil, nil, nil, "bash", "-c", knock); code == 0 || err != nil {
				w.T.Errorf("a node of lab %s reaches the other lab: code %d, %v", second.Name, code, err)
			}
		}
		if w.N(1).Init() == n.Init() {
			w.T.Error("both labs have the same node")
		}
		if err := l.Down(w.T.Context()); err != nil {
			w.T.Fatal(err)
		}
		if left := traces(w.T, l); len(left) != 0 {
			w.T.Errorf("lab %s left:\n%s", second.Name, strings.Join(left, "\n"))
		}
	}
	for i := 1; i <= 3; i++ {
		if r := w.In(i, "ip", "-br", "addr", "show", "eth0"); w.N(i).Power() != lab.On || !strings.Contains(r.Out, "10.77.0."+strconv.Itoa(i)) {
			w.T.Errorf("the first lab's node-%d is %s: %s", i, w.N(i).Power(), r.Out)
		}
	}
}
