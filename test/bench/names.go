package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/hostnet"
	"argosy/internal/lab"
	"argosy/internal/loop"
	"argosy/internal/resolve"
)

const namesText = `One zone of 1,000 services with two endpoints each, in a network namespace of its own, and a client that has 256
questions for addresses on their way all the time; the servers take turns. What counts is the CPU time that a server
used for its answers: the client needs a core, too. dnsmasq is Debian's, with a file of hosts; CoreDNS is built with its
plugin *file* alone. Then four lab nodes: units that publish a service are started and killed, and each other node is
asked every 2 ms at the address that only it has.`

const (
	namesServices  = 1000
	namesRounds    = 3
	namesLast      = 3 * time.Second // of one round
	namesSpace     = "argosy-bench-names"
	namesDomain    = "argosy.internal"
	coreDNSVersion = "v1.15.0"
)

// nameserver is a program that answers names.
type nameserver struct {
	name    string
	at      netip.AddrPort
	command []string
	rates   []float64 // answers for each second of CPU, and how many in a second
	walls   []float64
}

func measureNames(ctx context.Context, opts options, t *table) error {
	dir, err := os.MkdirTemp("", "argosy-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := hostnet.CreateNamespace(namesSpace); err != nil {
		return err
	}
	defer func() { _ = hostnet.DeleteNamespace(namesSpace) }()
	// So that it can be asked before argosy runs, which gives it to itself.
	if err := hostnet.Inside(namesSpace, func() error { return hostnet.EnsureOwnAddress(resolve.OwnAddress()) }); err != nil {
		return err
	}
	servers, err := nameservers(ctx, opts, dir)
	if err != nil {
		return err
	}
	for range namesRounds {
		for _, s := range servers {
			if s.command != nil {
				if err := s.round(ctx); err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
			}
		}
	}
	for _, s := range servers {
		if s.command == nil {
			t.row(s.name+": answers for a second of CPU", "not measured", "it cannot be had here")
			continue
		}
		slices.Sort(s.rates)
		slices.Sort(s.walls)
		t.row(s.name+": answers for a second of CPU", fmt.Sprintf("%.0f", s.rates[namesRounds/2]),
			fmt.Sprintf("%.1f times argosy's; %.0f/s beside the client", s.rates[namesRounds/2]/servers[0].rates[namesRounds/2], s.walls[namesRounds/2]))
	}
	b := &bench{ctx: ctx, options: opts, table: &table{}}
	_, err = b.lab("names", announcingNodes, func(l *lab.Lab, _ time.Duration) error { return b.names(l, t) })
	return err
}

// nameservers prepares what is compared, argosy first.
func nameservers(ctx context.Context, opts options, dir string) ([]*nameserver, error) {
	binary, err := filepath.Abs(opts.binary)
	if err != nil {
		return nil, err
	}
	if err := writeZones(dir); err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	// Its state goes to a /run of its own: this machine may be a node.
	argosy := "mount -t tmpfs none /run && mkdir /run/argosy && exec " + binary + " resolve --config " + file("argosy.conf")
	servers := []*nameserver{
		{name: "argosy", at: netip.AddrPortFrom(resolve.OwnAddress(), resolve.Port), command: []string{"unshare", "--mount", "sh", "-c", argosy}},
		{name: "dnsmasq", at: netip.MustParseAddrPort("127.0.0.1:5301")},
		{name: "CoreDNS " + coreDNSVersion, at: netip.MustParseAddrPort("127.0.0.1:5302")},
	}
	root, err := lab.EnsureRoot(ctx, "", []string{"dnsmasq-base"}, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		return nil, err
	}
	dnsmasq := "mount --bind " + dir + " " + root + "/mnt && exec chroot " + root + " /usr/sbin/dnsmasq --keep-in-foreground --user=root --pid-file --conf-file=/dev/null" +
		" --no-resolv --no-hosts --addn-hosts=/mnt/hosts --port=5301 --listen-address=127.0.0.1 --bind-interfaces --local=/" + namesDomain + "/ --local-ttl=2"
	servers[1].command = []string{"unshare", "--mount", "sh", "-c", dnsmasq}
	if program, err := coreDNS(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "CoreDNS is not measured:", err)
	} else {
		servers[2].command = []string{program, "-conf", file("Corefile")}
	}
	return servers, nil
}

// writeZones writes the same zone in the ways of each server.
func writeZones(dir string) error {
	var known catalog.Catalog
	var hosts, records strings.Builder
	records.WriteString("$TTL 2\n@ IN SOA server hostmaster 1 60 10 3600 2\n@ IN NS server\n")
	records.WriteString("server IN A 10.0.0.1\n")
	for i := range namesServices {
		s := cluster.Service{Name: fmt.Sprintf("s-%d", i)}
		for j := range 2 {
			a := netip.AddrFrom4([4]byte{10, byte(j), byte(i >> 8), byte(i)})
			s.Endpoints = append(s.Endpoints, cluster.Endpoint{
				Offer: cluster.Offer{Service: s.Name, Port: 80, Protocol: "tcp", Healthy: true},
				Unit:  cluster.UnitName(fmt.Sprintf("%s@%d.service", s.Name, j)), NodeName: fmt.Sprintf("node-%d", j), Address: a,
			})
			fmt.Fprintf(&hosts, "%s %s.%s\n", a, s.Name, namesDomain)
			fmt.Fprintf(&records, "%s IN A %s\n", s.Name, a)
		}
		known.Services = append(known.Services, s)
	}
	slices.SortFunc(known.Services, func(a, b cluster.Service) int { return strings.Compare(a.Name, b.Name) })
	text, err := json.Marshal(struct {
		catalog.Catalog
		Heard time.Time `json:"heard"`
	}{known, time.Now().Add(24 * time.Hour)}) // there is no daemon, and it is not to pass for old
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"hosts": hosts.String(), "zone": records.String(), "names.json": string(text),
		"argosy.conf": fmt.Sprintf("[Node]\nAddress=127.0.0.1\nDirectory=%s\nSocket=%s/none.sock\n[Resolve]\nHost=no\nNetwork=no\nRefuse=yes\n", dir, dir),
		"Corefile":    fmt.Sprintf("%s:5302 {\n\tfile %s\n}\n", namesDomain, filepath.Join(dir, "zone")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// coreDNSMain is CoreDNS with one plugin: all of them are a hundred modules more.
const coreDNSMain = `package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/file"
)

func main() {
	dnsserver.Directives = []string{"file"}
	coremain.Run()
}
`

// coreDNS builds CoreDNS beside the roots of labs, unless it is there.
func coreDNS(ctx context.Context) (program string, err error) {
	dir := filepath.Join(lab.DefaultCacheDir, "coredns-"+coreDNSVersion)
	program = filepath.Join(dir, "coredns")
	if _, err := os.Stat(program); !errors.Is(err, fs.ErrNotExist) {
		return program, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(coreDNSMain), 0o644); err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "building CoreDNS (once; some minutes)")
	build := exec.CommandContext(ctx, "sh", "-ec", `[ -f go.mod ] || go mod init bench/coredns
		go get github.com/coredns/coredns@`+coreDNSVersion+`; go mod tidy; CGO_ENABLED=0 go build -o coredns.new .; mv coredns.new coredns`)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, lastLine(string(out)))
	}
	return program, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// round runs the server, asks it as much as it can bear, and ends it.
func (s *nameserver) round(ctx context.Context) (err error) {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + hostnet.Path(namesSpace)}, s.command...)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, said.String())
		}
	}()
	c, err := newAsker(namesSpace, s.at)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.awaken(ctx); err != nil {
		return err
	}
	before, err := cpuOf(cmd.Process.Pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	answers, err := c.flood(namesLast)
	took := time.Since(begin)
	after, cpuErr := cpuOf(cmd.Process.Pid)
	if err := errors.Join(err, cpuErr); err != nil {
		return err
	}
	s.rates = append(s.rates, float64(answers)/(after-before).Seconds())
	s.walls = append(s.walls, float64(answers)/took.Seconds())
	return nil
}

// cpuOf returns what CPU time a process has used.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, io.ErrUnexpectedEOF
	}
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // the kernel's, on every architecture that we build for
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}

// names measures how soon a change is in the answers of every other node.
func (b *bench) names(l *lab.Lab, t *table) error {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	c := b.client(l)
	defer c.Close()
	seen := make(chan sighting, 1000)
	var started, killed []time.Duration
	for i := range announcingUnits {
		name := cluster.UnitName(fmt.Sprintf("s@%d.service", i))
		asking, done := context.WithCancel(ctx)
		for n := 1; n <= announcingNodes; n++ {
			if err := b.askOn(asking, l, n, fmt.Sprintf("s-%d", i), seen); err != nil {
				done()
				return err
			}
		}
		lags, home, err := b.launched(c, l, seen, name, i)
		if err == nil {
			started = append(started, lags...)
			if _, err = b.node(l, home).Exec(ctx, nil, nil, nil, "systemctl", "kill", "--signal=KILL", string(name)); err == nil {
				lags, _, err = b.lags(l, seen, name, i, false, stamped("ActiveExitTimestampMonotonic"))
				killed = append(killed, lags...)
			}
		}
		done()
		if err != nil {
			return err
		}
	}
	t.row("unit ready until another node answers with it", spread(started, millis), times(started))
	t.row("process killed until another node answers without it", spread(killed, millis), times(killed))
	return nil
}

// launched starts a unit and returns how long each other node took to answer with it.
func (b *bench) launched(c *client.Client, l *lab.Lab, seen <-chan sighting, name cluster.UnitName, i int) ([]time.Duration, int, error) {
	if _, err := c.Submit(b.ctx, wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: name, Text: announcingUnit, Desired: cluster.Launched}}}); err != nil {
		return nil, 0, err
	}
	return b.lags(l, seen, name, i, true, stamped("ActiveEnterTimestampMonotonic"))
}

// askOn asks a node for a service until ctx ends, and tells each time that it answers
// something else.
func (b *bench) askOn(ctx context.Context, l *lab.Lab, i int, service string, seen chan<- sighting) error {
	a, err := newAsker(b.node(l, i).Namespace(), netip.AddrPortFrom(resolve.OwnAddress(), resolve.Port))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, a.close)
	go func() {
		found := false
		for ctx.Err() == nil {
			address := a.address(service + "." + namesDomain)
			now := monotonic()
			if address.IsValid() != found {
				found = address.IsValid()
				on := "" // of what is not found nobody can say where it is
				if n := address; n.IsValid() {
					on = fmt.Sprintf("node-%d", n.As4()[3])
					a.home = on
				}
				seen <- sighting{i, service, found, max(on, a.home), now}
			}
			_ = loop.Sleep(ctx, 2*time.Millisecond)
		}
	}()
	return nil
}

// asker asks a nameserver in a network namespace.
type asker struct {
	conn *net.UDPConn
	id   uint16
	home string
}

func newAsker(namespace string, at netip.AddrPort) (*asker, error) {
	a := &asker{}
	err := hostnet.Inside(namespace, func() (err error) {
		a.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
		return err
	})
	return a, err
}

func (a *asker) close() { _ = a.conn.Close() }
