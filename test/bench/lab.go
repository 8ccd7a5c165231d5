package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab"
	"argosy/internal/loop"
)

const labText = `Three lab nodes, each a real systemd, and a cluster of real etcd between them.`

const stateDir = "/var/lib/argosy-lab-test"

// bench is one run on lab nodes.
type bench struct {
	*table
	options
	ctx context.Context
}

func measureLab(ctx context.Context, opts options, t *table) error {
	b := &bench{ctx: ctx, options: opts, table: t}
	if err := b.run(); err != nil {
		return err
	}
	info, err := os.Stat(opts.binary)
	if err != nil {
		return err
	}
	t.row("size of the binary", fmt.Sprintf("%.0f MB", float64(info.Size())/1e6), "")
	return nil
}

func (b *bench) run() error {
	if _, err := b.lab("bench", 1, func(_ *lab.Lab, took time.Duration) error {
		b.row("form a cluster of 1 node, from booted", seconds(took), "")
		return nil
	}); err != nil {
		return err
	}
	_, err := b.lab("bench", 3, func(l *lab.Lab, took time.Duration) error {
		b.row("form a cluster of 3 nodes with 3 servers, from booted", seconds(took), "")
		for _, step := range []func(*lab.Lab) error{b.one, b.idle, b.hundred, b.beside, b.many, b.loss, b.worker} {
			if err := step(l); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// lab makes a lab, times the forming of its cluster, and ends it after do.
func (b *bench) lab(name string, nodes int, do func(*lab.Lab, time.Duration) error) (*lab.Lab, error) {
	old, err := lab.Open(stateDir, name)
	if err != nil {
		return nil, err
	}
	if err := old.Down(b.ctx); err != nil {
		return nil, err
	}
	defer func() { _ = old.Down(context.Background()) }()
	cfg := lab.Config{Name: name, Nodes: nodes, Binary: b.binary, StateDir: stateDir}
	start := time.Now()
	if _, err := lab.Up(b.ctx, cfg); err != nil {
		return nil, err
	}
	b.row(fmt.Sprintf("boot %d nodes side by side", nodes), seconds(time.Since(start)), "")
	start = time.Now()
	cfg.Form = true
	l, err := lab.Up(b.ctx, cfg)
	if err != nil {
		return nil, err
	}
	return l, do(l, time.Since(start))
}

func (b *bench) node(l *lab.Lab, i int) *lab.Node {
	n, err := l.Node(strconv.Itoa(i))
	if err != nil {
		panic(err) // the lab was made with it
	}
	return n
}

func (b *bench) client(l *lab.Lab) *client.Client {
	return client.New(client.Config{Socket: b.node(l, 1).Socket()})
}

// argosy runs the command line against node-1 and returns how long it took.
func (b *bench) argosy(l *lab.Lab, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(b.ctx, b.binary, append([]string{"--socket", b.node(l, 1).Socket()}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		said := out.Bytes()
		return 0, fmt.Errorf("argosy %s: %w: %s", strings.Join(args[:min(3, len(args))], " "), err, said[max(0, len(said)-2000):])
	}
	return time.Since(start), nil
}

const (
	unitText = "[Service]\nExecStart=/bin/sleep infinity\n"
	sickText = "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/bin/false\nRestart=on-failure\n"
)

func (b *bench) files(n int) (dir string, names []string, err error) {
	if dir, err = os.MkdirTemp("", "argosy-bench-"); err != nil {
		return "", nil, err
	}
	path := filepath.Join(dir, "b@.service")
	return dir, []string{path, fmt.Sprintf("b@{1..%d}", n)}, os.WriteFile(path, []byte(unitText), 0o600)
}

// one starts single units, ten times.
func (b *bench) one(l *lab.Lab) error {
	dir, names, err := b.files(10)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := b.argosy(l, "submit", names[0]); err != nil {
		return err
	}
	var took []time.Duration
	for i := 1; i <= 10; i++ {
		d, err := b.argosy(l, "start", fmt.Sprintf("b@%d", i))
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	b.row("start 1 unit until active, command line included", spread(took, seconds), "10 times")
	_, err = b.argosy(l, "destroy", names[1], "b@.service")
	return err
}

func (b *bench) hundred(l *lab.Lab) error {
	_, err := b.fleet(l, 100)
	return err
}

// beside starts units alone, and beside as many that fail.
func (b *bench) beside(l *lab.Lab) error {
	const n = 300
	dir, names, err := b.files(n)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	sick := filepath.Join(dir, "sick@.service")
	if err := os.WriteFile(sick, []byte(sickText), 0o600); err != nil {
		return err
	}
	direct, err := b.direct(l, n, unitText)
	if err != nil {
		return err
	}
	directBeside, err := b.direct(l, n, sickText, unitText)
	if err != nil {
		return err
	}
	var took []time.Duration
	many := fmt.Sprintf("sick@{1..%d}", n)
	for _, steps := range [][][]string{
		{{"submit", names[0]}, {"start", "--wait-timeout", "10m", names[1]}, {"destroy", names[1]}},
		{{"submit", sick}, {"start", "--no-block", many}, {"start", "--wait-timeout", "10m", names[1]}, {"destroy", names[1], many, "b@.service", "sick@.service"}},
	} {
		for _, args := range steps {
			d, err := b.argosy(l, args...)
			if err != nil {
				return err
			}
			if args[0] == "start" && args[1] != "--no-block" {
				took = append(took, d)
			}
		}
	}
	b.row(fmt.Sprintf("start %d units beside %d that fail", n, n), seconds(took[1]),
		fmt.Sprintf("%.1f times what it takes alone, %s; systemctl alone %s, %.1f times %s",
			took[1].Seconds()/took[0].Seconds(), seconds(took[0]), seconds(directBeside), directBeside.Seconds()/direct.Seconds(), seconds(direct)))
	return nil
}

// fleet starts units through the cluster, and the same directly by systemctl
// on each node in the same run, and destroys them.
func (b *bench) fleet(l *lab.Lab, n int) (keep func() error, err error) {
	dir, names, err := b.files(n)
	if err != nil {
		return nil, err
	}
	direct, err := b.direct(l, n, unitText)
	if err != nil {
		return nil, err
	}
	if _, err := b.argosy(l, "submit", names[0]); err != nil {
		return nil, err
	}
	took, err := b.argosy(l, "start", "--wait-timeout", "10m", names[1])
	if err != nil {
		return nil, err
	}
	b.row(fmt.Sprintf("start %d units on 3 nodes until active", n), seconds(took),
		fmt.Sprintf("%.0f/s; systemctl alone %s; %.0f %% of its rate", float64(n)/took.Seconds(), seconds(direct), 100*direct.Seconds()/took.Seconds()))
	end := func() error {
		defer func() { _ = os.RemoveAll(dir) }()
		took, err := b.argosy(l, "destroy", "--wait-timeout", "10m", names[1], "b@.service")
		if err == nil {
			left, err := b.records(l)
			if err != nil {
				return err
			}
			b.row(fmt.Sprintf("destroy %d units until the last process is gone", n), seconds(took), fmt.Sprintf("records of units that are left in the store: %d", left))
		}
		return err
	}
	if n >= 1000 {
		return end, nil
	}
	return nil, end()
}

// direct starts units by systemctl on the three nodes at once, n in all of each
// template: the physical limit.
func (b *bench) direct(l *lab.Lab, n int, templates ...string) (time.Duration, error) {
	type result struct {
		took time.Duration
		err  error
	}
	var write, start strings.Builder
	for i, text := range templates {
		fmt.Fprintf(&write, "printf '%s' >/run/systemd/system/d%d@.service; ", strings.ReplaceAll(text, "\n", `\n`), i)
		fmt.Fprintf(&start, " d%d@{1..%d}", i, (n+2)/3)
	}
	script := write.String() + fmt.Sprintf(`
		start=$(date +%%s%%N); systemctl start %s; end=$(date +%%s%%N)
		systemctl stop 'd?@*'; rm /run/systemd/system/d?@.service; systemctl reset-failed; systemctl daemon-reload; echo $((end - start))`, &start)
	results := make(chan result)
	for i := 1; i <= 3; i++ {
		go func() {
			var out, errs bytes.Buffer
			_, err := b.node(l, i).Exec(b.ctx, nil, &out, &errs, "bash", "-c", script)
			ns, parseErr := strconv.ParseInt(strings.TrimSpace(out.String()), 10, 64)
			if err == nil && parseErr != nil {
				err = fmt.Errorf("systemctl on node-%d: %s%s", i, &out, &errs)
			}
			results <- result{time.Duration(ns), err}
		}()
	}
	var longest time.Duration
	for range 3 {
		r := <-results
		if r.err != nil {
			return 0, r.err
		}
		longest = max(longest, r.took)
	}
	return longest, nil
}

func (b *bench) many(l *lab.Lab) error {
	end, err := b.fleet(l, b.units)
	if err != nil || end == nil {
		return err
	}
	// Before the units are listed, the machine is left in peace for as long as that takes.
	if err := b.cost(l, fmt.Sprintf("%d units", b.units)); err != nil {
		return err
	}
	for _, form := range []string{"table", "json"} {
		if err := b.list(l, form); err != nil {
			return err
		}
	}
	return end()
}

// list lists all units, ten times.
func (b *bench) list(l *lab.Lab, form string) error {
	var took []time.Duration
	for range 10 {
		d, err := b.argosy(l, "list-units", "-o", form)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	b.row(fmt.Sprintf("list %d units as %s, command line included", b.units, form), spread(took, millis), "10 times")
	return nil
}

// loss cuts the power of the node that a unit runs on, again and again.
func (b *bench) loss(l *lab.Lab) error {
	dir, names, err := b.files(1)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := b.argosy(l, "submit", names[0]); err != nil {
		return err
	}
	if _, err := b.argosy(l, "start", "b@1"); err != nil {
		return err
	}
	var took []time.Duration
	for range b.losses {
		d, err := b.loseOnce(l)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	b.row("node loses power until its unit is active elsewhere", spread(took, seconds), fmt.Sprintf("%d times", len(took)))
	return nil
}

func (b *bench) loseOnce(l *lab.Lab) (time.Duration, error) {
	victim, err := b.where(l)
	if err != nil {
		return 0, err
	}
	viewer := victim%3 + 1
	if err := b.node(l, victim).PowerOff(b.ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	c := client.New(client.Config{Socket: b.node(l, viewer).Socket()})
	defer c.Close()
	for {
		u, err := c.Unit(b.ctx, "b@1.service")
		if err == nil {
			for _, s := range u.Statuses {
				if s.Active == "active" && s.Node != b.node(l, victim).MachineID() {
					took := time.Since(start)
					return took, b.back(l, victim)
				}
			}
		}
		if err := loop.Sleep(b.ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// where returns the number of the node that the unit is active on.
func (b *bench) where(l *lab.Lab) (int, error) {
	c := b.client(l)
	defer c.Close()
	for {
		u, err := c.Unit(b.ctx, "b@1.service")
		if err == nil && u.Placement != nil && len(u.Placement.Nodes) == 1 {
			for i := 1; i <= 3; i++ {
				if b.node(l, i).MachineID() == u.Placement.Nodes[0] {
					return i, nil
				}
			}
		}
		if err := loop.Sleep(b.ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// back boots a node and waits until the cluster is whole again.
func (b *bench) back(l *lab.Lab, i int) error {
	if err := b.node(l, i).PowerOn(b.ctx); err != nil {
		return err
	}
	for whole := 0; whole < 3; {
		whole = 0
		for n := 1; n <= 3; n++ {
			c := client.New(client.Config{Socket: b.node(l, n).Socket()})
			status, err := c.Status(b.ctx)
			c.Close()
			if err == nil && status.Quorum && status.NodesReady == 3 && !slices.ContainsFunc(status.Voters, unhealthy) {
				whole++
			}
		}
		if err := loop.Sleep(b.ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func unhealthy(v wire.Voter) bool { return !v.Healthy || v.State != cluster.MemberVoter }
