package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/internal/lab"
	"argosy/internal/loop"
)

// idleGoal stands beside what a node uses while nothing happens.
const idleGoal = "the goal is 1 % for both processes together"

// idle measures what nothing costs.
func (b *bench) idle(l *lab.Lab) error { return b.cost(l, "0 units") }

// costFor is how long a cluster is left alone.
const costFor = 20 * time.Second

// processes are those of the control plane on a server.
func processes() []string { return []string{"argosy", "argosy-etcd"} }

func (b *bench) cost(l *lab.Lab, what string) error {
	what = "idle with " + what + ": "
	c := b.client(l)
	defer c.Close()
	before, err := c.Status(b.ctx)
	if err != nil {
		return err
	}
	earlier := b.usage(l)
	if err := loop.Sleep(b.ctx, costFor); err != nil {
		return err
	}
	after, err := c.Status(b.ctx)
	if err != nil {
		return err
	}
	later := b.usage(l)
	b.row(what+"store writes", fmt.Sprintf("%.2f/s", float64(after.Revision-before.Revision)/costFor.Seconds()), "revisions of the store")
	for _, service := range processes() {
		var cpu, written, rss []string
		for i, now := range later[service] {
			was := earlier[service][i]
			cpu = append(cpu, fmt.Sprintf("%.2f %%", 100*(now.cpu-was.cpu)/costFor.Seconds()))
			written = append(written, fmt.Sprintf("%.1f", (now.written-was.written)/1000/costFor.Seconds()))
			rss = append(rss, fmt.Sprintf("%.0f MB", now.rss/1e6))
		}
		b.row(what+"CPU of "+service+", each node", strings.Join(cpu, ", "), "of one core; "+idleGoal)
		b.row(what+"written by "+service+", each node", strings.Join(written, ", ")+" kB/s", "to the disk, as the kernel counts")
		b.row(what+"memory of "+service+", each node", strings.Join(rss, ", "), "RSS")
	}
	return nil
}

// usage is what a process has used of the machine.
type usage struct{ cpu, written, rss float64 } // seconds, bytes, bytes

// usage returns what the processes of the three servers have used.
func (b *bench) usage(l *lab.Lab) map[string][]usage {
	all := map[string][]usage{}
	for i := 1; i <= 3; i++ {
		for _, service := range processes() {
			all[service] = append(all[service], usageOf(b.proc(l, i, service+".service")))
		}
	}
	return all
}

// proc returns the folder of /proc, on the host, of a service's main process.
func (b *bench) proc(l *lab.Lab, i int, service string) string {
	var out bytes.Buffer
	_, _ = b.node(l, i).Exec(b.ctx, nil, &out, nil, "systemctl", "show", "-p", "MainPID", "--value", service)
	return fmt.Sprintf("/proc/%d/root/proc/%s", b.node(l, i).Init(), strings.TrimSpace(out.String()))
}

// usageOf reads a process' folder (proc(5)): user and system time are fields 14
// and 15 of stat. What cannot be read is 0.
func usageOf(proc string) (u usage) {
	if text, err := os.ReadFile(proc + "/stat"); err == nil {
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		u.cpu = (user + system) / 100
	}
	u.written = value(proc+"/io", "write_bytes:")
	u.rss = value(proc+"/status", "VmRSS:") * 1024
	return u
}

// value returns the number that follows a word at the begin of a line of a file.
func value(file, word string) float64 {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}

// worker adds a fourth node, which is no server, and gives it a share of units.
func (b *bench) worker(l *lab.Lab) error {
	start := time.Now()
	if _, err := lab.Up(b.ctx, lab.Config{Name: l.Name(), Nodes: 4, Binary: b.binary, StateDir: stateDir, Form: true}); err != nil {
		return err
	}
	b.row("one more node, from nothing until it is ready", seconds(time.Since(start)), "a worker")
	dir, names, err := b.files(400)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, args := range [][]string{{"submit", names[0]}, {"start", "--wait-timeout", "10m", names[1]}} {
		if _, err := b.argosy(l, args...); err != nil {
			return err
		}
	}
	used := usageOf(b.proc(l, 4, "argosy.service"))
	b.row("memory of the daemon of a worker with 100 units", fmt.Sprintf("%.0f MB", used.rss/1e6), "RSS")
	_, err = b.argosy(l, "destroy", names[1], "b@.service")
	return err
}

// records returns how many records of units, of every kind, the store holds.
func (b *bench) records(l *lab.Lab) (int, error) {
	page, err := b.metrics(b.node(l, 1).Socket())
	if err != nil {
		return 0, err
	}
	n, found := 0, 0
	for line := range strings.Lines(page) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, ok := strings.CutPrefix(name, "argosy_store_records{kind=")
		if ok && slices.Contains([]string{`"unit"}`, `"placement"}`, `"status"}`}, kind) {
			count, err := strconv.Atoi(value)
			if err != nil {
				return 0, err
			}
			n, found = n+count, found+1
		}
	}
	if found != 3 {
		return 0, errors.New("the page of metrics does not tell the records of the store")
	}
	return n, nil
}

// metrics returns the page of a server's numbers.
func (b *bench) metrics(socket string) (string, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, "http://argosy/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	return string(page), err
}
