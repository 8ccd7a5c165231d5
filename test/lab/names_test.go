package lab_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/lab/labtest"
)

// names is a lab in which two instances of a web server run, and the numbers of their
// nodes by instance.
type names struct {
	*labtest.World
	homes map[int]int
}

const resolver = "169.254.53.53"

// Names of the cluster are found with everything that finds names, on every node, for as
// long as they are true, whatever of the cluster is away.
func TestNames(t *testing.T) {
	w := names{labtest.New(t, labtest.Options{Name: "names", Nodes: 4}), map[int]int{}}
	w.OK(1, "submit", root+"/examples/web/web@.service")
	w.OK(1, "start", "web@1", "web@2")
	for i := 1; i <= 2; i++ {
		w.homes[i] = w.WaitActive(1, cluster.UnitName(fmt.Sprintf("web@%d.service", i)), 10*time.Second)
	}
	// In the order of what they leave behind.
	for _, sub := range []struct {
		name string
		test func(*testing.T, names)
	}{
		{"dig shows all kinds of records", digs},
		{"programs, units and containers find them", programs},
		{"names of others are asked of whom the node asks", others},
		{"systemd-resolved asks us, and when it is restarted", resolved},
		{"what was killed is in no node's answers", killed},
		{"look-ups go on without daemons and leader", alone},
		{"a port that is taken is said to be", portTaken},
		{"what leaves takes everything along", leaves},
	} {
		t.Run(sub.name, func(t *testing.T) { sub.test(t, names{w.Sub(t), w.homes}) })
	}
}

// out runs a command on a node and returns its output on one line, however it ends.
func (w names) out(i int, args ...string) string {
	w.T.Helper()
	r := w.In(i, args...)
	return strings.Join(strings.Fields(r.Out+r.Err), " ")
}

// dig returns the short answer of dig on a node, sorted.
func (w names) dig(i int, args ...string) string {
	w.T.Helper()
	lines := strings.Fields(strings.ReplaceAll(w.In(i, append([]string{"dig", "@" + resolver, "+short", "+tries=1", "+time=2"}, args...)...).Out, " ", "_"))
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

// soon waits until a node answers a question in a way.
func (w names) soon(i int, limit time.Duration, want string, args ...string) {
	w.T.Helper()
	w.Wait(limit, fmt.Sprintf("dig %v on node-%d", args, i), func() string {
		if got := w.dig(i, args...); got != want {
			return fmt.Sprintf("%q, want %q", got, want)
		}
		return ""
	})
}

// address is where the home of an instance is.
func (w names) address(instance int) string { return w.N(w.homes[instance]).Address().String() }

// both is where both instances are.
func (w names) both() string {
	all := []string{w.address(1), w.address(2)}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func digs(t *testing.T, w names) {
	label := func(i int) string { return fmt.Sprintf("web-%d-node-%d-8080", i, w.homes[i]) }
	each := func(format func(i int) string) string {
		all := []string{format(1), format(2)}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	reverse := func(i int) string {
		parts := strings.Split(w.address(i), ".")
		slices.Reverse(parts)
		return strings.Join(parts, ".")
	}
	for i := 1; i <= 4; i++ {
		w.soon(i, 10*time.Second, w.both(), "web.argosy.internal", "A")
		w.soon(i, 10*time.Second, w.address(2), "2.web.argosy.internal", "A")
	}
	for _, tt := range []struct{ name, kind, want string }{
		{"web.argosy.internal", "AAAA", ""},
		{"_web._tcp.argosy.internal", "SRV", each(func(i int) string { return "0_1_8080_" + label(i) + ".web.argosy.internal." })},
		{"web.argosy.internal", "TXT", `"version=1"`},
		{"_web._tcp.argosy.internal", "PTR", each(func(i int) string { return label(i) + "._web._tcp.argosy.internal." })},
		{label(1) + "._web._tcp.argosy.internal", "SRV", "0_1_8080_" + label(1) + ".web.argosy.internal."},
		{"_services._dns-sd._udp.argosy.internal", "PTR", "_web._tcp.argosy.internal."},
		{fmt.Sprintf("web.node-%d.node.argosy.internal", w.homes[1]), "A", w.address(1)},
		{fmt.Sprintf("node-%d.node.argosy.internal", w.homes[2]), "A", w.address(2)},
		{reverse(1) + ".in-addr.arpa", "PTR", fmt.Sprintf("node-%d.node.argosy.internal.", w.homes[1])},
		{"argosy.internal", "NS", "node-1.node.argosy.internal. node-2.node.argosy.internal. node-3.node.argosy.internal. node-4.node.argosy.internal."},
	} {
		if got := w.dig(4, tt.name, tt.kind); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.name, tt.kind, got, tt.want)
		}
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"nobody.argosy.internal"}, []string{"status: NXDOMAIN", "SOA", "flags: qr aa rd"}},
		{[]string{"web.argosy.internal", "AAAA"}, []string{"status: NOERROR", "ANSWER: 0", "SOA"}},
		{[]string{"wEB.argosy.internal", "+tcp"}, []string{"status: NOERROR", "ANSWER: 2", "wEB.argosy.internal. 2 IN A"}},
		{[]string{"web.argosy.internal", "ANY", "+notcp"}, []string{"HINFO", "RFC8482"}},
		{[]string{"web.argosy.internal", "+bufsize=4096"}, []string{"udp: 1232"}},
		{[]string{"argosy.internal", "AXFR"}, []string{"Transfer failed"}},
	} {
		got := w.out(4, append([]string{"dig", "@" + resolver}, tt.args...)...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("dig %v: no %q in %s", tt.args, want, got)
			}
		}
	}
	// Others may ask a node at its own address.
	if got := w.out(3, "dig", "@"+w.N(4).Address().String(), "+short", "2.web.argosy.internal"); got != w.address(2) {
		t.Errorf("asked of another node: %q", got)
	}
}

// containerScript makes a root for a container out of what the node has, and runs a
// command in it.
const containerScript = `set -e
r=/var/lib/containers/small; mkdir -p $r/etc $r/proc $r/sys $r/dev $r/tmp $r/run $r/var
cp /etc/nsswitch.conf $r/etc/; touch $r/etc/resolv.conf $r/etc/hosts $r/etc/hostname
for f in /usr/bin/curl /usr/bin/getent $(ldd /usr/bin/curl /usr/bin/getent | grep -o '/[^ :]*' | sort -u) $(echo /usr/lib/*/libnss_* /usr/lib/*/libresolv.so.2); do
	mkdir -p $r$(dirname $f); cp -L $f $r$f
done
podman run --rm --rootfs $r "$@"`

func programs(t *testing.T, w names) {
	const onNode = 4
	if got := w.out(onNode, "getent", "ahostsv4", "2.web"); !strings.Contains(got, w.address(2)) {
		t.Errorf("getent: %s", got)
	}
	if got := w.out(onNode, "curl", "-sS", "-m", "5", "http://web:8080/"); !strings.HasPrefix(got, "web ") {
		t.Errorf("curl: %s", got)
	}
	w.OK(1, "submit", w.File("asks.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/curl -sS -m 5 http://web:8080/\n"))
	w.OK(1, "start", "asks")
	if got := w.OK(1, "journal", "asks.service"); !strings.Contains(got, " on node-") {
		t.Errorf("curl in a unit: %s", got)
	}
	w.OK(1, "destroy", "asks.service")
	if got := w.out(onNode, "bash", "-c", containerScript, "x", "/usr/bin/curl", "-sS", "-m", "5", "http://1.web:8080/"); got != fmt.Sprintf("web 1 on node-%d", w.homes[1]) {
		t.Errorf("curl in a container: %s", got)
	}
	if got := w.out(onNode, "bash", "-c", containerScript, "x", "/usr/bin/getent", "hosts", "node-1.node"); !strings.Contains(got, "10.77.0.1") {
		t.Errorf("getent in a container: %s", got)
	}
}

// elsewhereScript is a server of names that knows one address for all of them.
const elsewhereScript = `my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 53, Proto => "udp") or die;
while ($s->recv(my $q, 2000)) {
	my $n = 12; $n += 1 + ord substr($q, $n, 1) while ord substr($q, $n, 1);
	$s->send(substr($q, 0, 2) . pack("n5", 0x8180, 1, 1, 0, 0) . substr($q, 12, $n - 7) . pack("n3Nn", 0xc00c, 1, 1, 60, 4) . "\xcb\x00\x71\x07");
}`

// others gives a node a server to ask, as an administrator would.
func others(t *testing.T, w names) {
	const on = 3
	w.In(on, "systemd-run", "--expand-environment=no", "--unit=elsewhere", "perl", "-MIO::Socket::INET", "-e", elsewhereScript)
	w.In(on, "sh", "-c", "rm /etc/resolv.conf; echo nameserver 127.0.0.1 >/etc/resolv.conf")
	w.Wait(20*time.Second, "what the administrator wrote is taken over", func() string {
		if got := w.out(on, "cat", "/etc/resolv.conf"); !strings.Contains(got, "nameserver "+resolver+" nameserver 127.0.0.1 ") {
			return got
		}
		return ""
	})
	w.soon(on, 20*time.Second, "203.0.113.7", "example.org")
	if got := w.out(on, "getent", "ahostsv4", "example.net"); !strings.Contains(got, "203.0.113.7") {
		t.Errorf("getent: %s", got)
	}
	if got := w.out(on, "dig", "@"+resolver, "nobody.argosy.internal"); !strings.Contains(got, "status: NXDOMAIN") {
		t.Errorf("a name of the cluster is asked of others: %s", got)
	}
	// Nobody is to be asked on this one, or nobody that answers, and that is said.
	if got := w.out(1, "dig", "@"+resolver, "+time=6", "+tries=1", "example.org"); !strings.Contains(got, "status: SERVFAIL") || !strings.Contains(got, "EDE: 23") {
		t.Errorf("nobody answers: %s", got)
	}
	w.In(on, "systemctl", "stop", "elsewhere")
}

// resolved has a node find its names by systemd-resolved.
func resolved(t *testing.T, w names) {
	const on = 2
	w.In(on, "sh", "-c", "rm /etc/resolv.conf; ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf; systemctl unmask systemd-resolved; systemctl start systemd-resolved")
	finds := func(what string) {
		t.Helper()
		w.Wait(30*time.Second, what, func() string {
			if got := w.out(on, "resolvectl", "query", "--legend=no", "1.web.argosy.internal"); !strings.Contains(got, w.address(1)) {
				return got
			}
			return ""
		})
	}
	finds("resolved asks us")
	w.Wait(20*time.Second, "programs ask resolved", func() string {
		if got := w.out(on, "cat", "/etc/resolv.conf"); !strings.Contains(got, "nameserver 127.0.0.53") || !strings.Contains(got, "search argosy.internal") {
			return got
		}
		return ""
	})
	for _, name := range []string{"web", "2.web.argosy.internal"} {
		if got := w.out(on, "getent", "ahostsv4", name); !strings.Contains(got, w.address(2)) {
			t.Errorf("getent %s: %s", name, got)
		}
	}
	w.In(on, "systemctl", "restart", "systemd-resolved")
	finds("resolved was restarted")
	w.In(on, "systemctl", "stop", "argosy-resolve")
	if got := w.out(on, "resolvectl", "dns"); strings.Contains(got, resolver) {
		t.Errorf("it is told to ask who does not answer: %s", got)
	}
	if got := w.out(on, "ls", "/run/systemd/resolved.conf.d"); strings.Contains(got, "argosy") {
		t.Errorf("left behind: %s", got)
	}
	w.In(on, "systemctl", "start", "argosy-resolve")
	finds("we run again")
}

// killed ends the process of a unit: no node answers with it any more.
func killed(t *testing.T, w names) {
	w.soon(1, 10*time.Second, w.both(), "web.argosy.internal")
	// It ends well, so that systemd does not start it again.
	if r := w.In(w.homes[2], "systemctl", "kill", "--signal=TERM", "web@2.service"); r.Code != 0 {
		t.Fatal(r.Err)
	}
	for i := 1; i <= 4; i++ {
		w.soon(i, 5*time.Second, w.address(1), "web.argosy.internal")
		w.soon(i, 5*time.Second, "", "2.web.argosy.internal")
	}
	if got := w.out(1, "dig", "@"+resolver, "2.web.argosy.internal"); !strings.Contains(got, "status: NOERROR") {
		t.Errorf("a known instance that does not run: %s", got)
	}
	w.OK(1, "restart", "web@2")
	for i := 1; i <= 4; i++ {
		w.soon(i, 10*time.Second, w.both(), "web.argosy.internal")
	}
}

// alone takes away the daemons and with them the leader, and then the process that
// answers, on one node.
func alone(t *testing.T, w names) {
	const worker = 4
	// A loop of look-ups must not see any of it.
	w.In(worker, "sh", "-c", `(while [ ! -e /run/enough ]; do dig @`+resolver+` +short +tries=1 +time=1 web.argosy.internal | grep -c 10.77 >>/run/found; done) >/dev/null 2>&1 &`)
	for i := 1; i <= worker; i++ {
		w.In(i, "systemctl", "stop", "argosy.service")
	}
	for i := 1; i <= worker; i++ {
		if got := w.dig(i, "web.argosy.internal"); got != w.both() {
			t.Errorf("without daemons node-%d answers %q", i, got)
		}
	}
	for i := 1; i <= worker; i++ {
		w.In(i, "systemctl", "start", "argosy.service")
	}
	found := w.out(worker, "sh", "-c", "touch /run/enough; sort /run/found | uniq -c")
	if words := strings.Fields(found); len(words) != 2 || words[1] != "2" {
		t.Errorf("while daemons came and went, look-ups found (times, addresses): %s", found)
	} else if times, _ := strconv.Atoi(words[0]); times < 10 {
		t.Errorf("only %d look-ups", times)
	}
	for i := 1; i <= worker; i++ {
		w.In(i, "systemctl", "stop", "argosy.service")
	}
	w.In(worker, "systemctl", "restart", "argosy-resolve.service")
	w.soon(worker, 5*time.Second, w.both(), "web.argosy.internal")
	for i := 1; i <= worker; i++ {
		w.In(i, "systemctl", "start", "argosy.service")
	}
	w.Soon(1, "start", "web@1")
}

func portTaken(t *testing.T, w names) {
	const on = 3
	w.In(on, "systemctl", "stop", "argosy-resolve")
	w.In(on, "systemd-run", "--expand-environment=no", "--unit=thief", "perl", "-MIO::Socket::INET", "-e", "my $s = IO::Socket::INET->new(LocalPort => 53, Proto => 'udp') or die; sleep 1000")
	w.Wait(10*time.Second, "the port is taken", func() string { return strings.TrimPrefix(w.out(on, "systemctl", "is-active", "thief"), "active") })
	w.In(on, "systemctl", "start", "argosy-resolve")
	w.Wait(20*time.Second, "the problem is shown", func() string {
		if got := w.OK(1, "status"); !strings.Contains(got, "node-3: names are not answered at "+resolver+":53: another program has the port") {
			return got
		}
		return ""
	})
	if got := w.out(on, "systemctl", "show", "-P", "NRestarts", "argosy-resolve"); got != "0" {
		t.Errorf("it was restarted %s times", got)
	}
	if got := w.out(on, "cat", "/etc/resolv.conf"); strings.Contains(got, resolver) {
		t.Errorf("programs ask who does not answer: %s", got)
	}
	w.In(on, "systemctl", "stop", "thief")
	w.soon(on, 20*time.Second, w.both(), "web.argosy.internal")
	w.Wait(20*time.Second, "the problem is over", func() string {
		if got := w.OK(1, "status"); strings.Contains(got, "names are not answered") {
			return got
		}
		return ""
	})
}

func leaves(t *testing.T, w names) {
	const on = 4
	before := w.out(on, "cat", "/etc/resolv.conf.before-argosy")
	// Even if the process could not.
	w.In(on, "systemctl", "kill", "--signal=KILL", "argosy-resolve")
	if r := w.In(on, "argosy", "leave", "--yes"); r.Code != 0 {
		t.Fatal(r.Err)
	}
	if got := w.out(on, "systemctl", "is-active", "argosy-resolve"); got != "inactive" && got != "failed" {
		t.Errorf("it is %s", got)
	}
	left := w.out(on, "sh", "-c", `ip -o address show to `+resolver+`; ls -d /etc/resolv.conf.before-argosy /etc/containers/containers.conf.d/*argosy* /run/systemd/resolved.conf.d/argosy* /run/argosy/resolve.json /var/lib/argosy/names.json 2>/dev/null`)
	if left != "" {
		t.Errorf("left behind: %s", left)
	}
	if got := w.out(on, "cat", "/etc/resolv.conf"); got != before {
		t.Errorf("the node asks %q, and before it was %q", got, before)
	}
}
