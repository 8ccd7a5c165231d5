package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/hostnet"
	"argosy/internal/loop"
)

// bridgeName is the bridge that joins a lab's nodes. (iproute2 reads "br" as
// the beginning of "brd".)
const bridgeName = "lan0"

// Up makes a lab as it is described, and completes one that is there: nodes
// that are missing are added, nodes that are off are booted, nodes that are
// paused go on. Lines that are cut stay cut.
func Up(ctx context.Context, cfg Config) (*Lab, error) {
	l, err := Open(cfg.StateDir, cfg.Name)
	if err != nil {
		return nil, err
	}
	if cfg.Progress != nil {
		l.note = cfg.Progress
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := checkHost(ctx, l.note); err != nil {
		return nil, err
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := l.prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := l.bootAll(ctx, r); err != nil {
		return nil, err
	}
	if cfg.Form {
		return l, l.form(ctx, l.nodes(r))
	}
	return l, nil
}

// prepare says in the lab's folder what it is to be. A lab keeps the root and
// the settings that its nodes were made from.
func (l *Lab) prepare(ctx context.Context, cfg Config) (record, error) {
	r, err := l.load()
	if err != nil && cluster.KindOf(err) != cluster.NotFound {
		return r, err
	}
	if r.Root == "" {
		r = record{Name: l.name, Packages: cfg.Packages, Settings: cfg.Settings}
	}
	if len(cfg.Packages) > 0 && !slices.Equal(slices.Sorted(slices.Values(cfg.Packages)), slices.Sorted(slices.Values(r.Packages))) {
		return r, cluster.Errorf(cluster.Conflict, "lab %s was made with the packages %q, not %q", l.name, r.Packages, cfg.Packages).
			WithHint(l.hint("down") + ", then up again; or another --name")
	}
	if _, err := os.Stat(r.Root); err != nil {
		if r.Root, err = EnsureRoot(ctx, cfg.CacheDir, r.Packages, l.note); err != nil {
			return r, err
		}
	}
	r.Binary, r.Nodes = cfg.Binary, max(r.Nodes, cfg.Nodes)
	return r, l.save(r)
}

// complete fills in what is left out.
func (c *Config) complete() error {
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.Nodes < 1 || c.Nodes > nodesMax {
		return cluster.Errorf(cluster.Invalid, "a lab has 1 to %d nodes", nodesMax)
	}
	if c.CacheDir == "" {
		c.CacheDir = DefaultCacheDir
	}
	if c.Binary == "" {
		binary, err := os.Executable()
		if err != nil {
			return err
		}
		c.Binary = binary
	}
	var err error
	if c.Binary, err = filepath.Abs(c.Binary); err != nil {
		return err
	}
	_, err = os.Stat(c.Binary)
	return err
}

// makeBridge makes what joins the nodes, with the cuts it has.
func (l *Lab) makeBridge(ctx context.Context, r record) error {
	if err := hostnet.CreateNamespace(l.namespace()); err != nil {
		return err
	}
	if err := hostnet.EnsureBridge(l.namespace(), bridgeName); err != nil {
		return err
	}
	return hostnet.SetCuts(ctx, l.namespace(), bridgeCuts(r.Cuts))
}

// bootAll boots every node that is off, side by side.
func (l *Lab) bootAll(ctx context.Context, r record) error {
	if err := l.makeBridge(ctx, r); err != nil {
		return err
	}
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range l.nodes(r) {
		group.Go(func() error { return n.boot(ctx, r) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	l.note("%d nodes up after %s", r.Nodes, time.Since(start).Round(10*time.Millisecond))
	return nil
}

// formMax bounds forming the cluster, whatever is in the way.
const formMax = 2 * time.Minute

// form makes one cluster of the nodes that are in none.
func (l *Lab) form(ctx context.Context, nodes []*Node) error {
	ctx, cancel := context.WithTimeout(ctx, formMax)
	defer cancel()
	start := time.Now()
	nodes, err := inClusterFirst(nodes, func(n *Node) (bool, error) {
		c := n.client()
		defer c.Close()
		status, err := n.waitDaemon(ctx, c)
		return status.Formed, err
	})
	if err != nil {
		return err
	}
	first := nodes[0].client()
	defer first.Close()
	status, err := nodes[0].waitDaemon(ctx, first)
	if err != nil {
		return err
	}
	if !status.Formed {
		id, err := first.Init(ctx, wire.InitRequest{Name: l.name})
		if err != nil {
			return fmt.Errorf("form a cluster on %s: %w", nodes[0].Name(), err)
		}
		l.note("cluster %s formed on %s after %s", id.Cluster, nodes[0].Name(), time.Since(start).Round(10*time.Millisecond))
	}
	for _, n := range nodes[1:] {
		if err := l.joinNode(ctx, n, first); err != nil {
			return fmt.Errorf("join %s: %w", n.Name(), err)
		}
	}
	if err := l.waitVoters(ctx, first, len(nodes), start); err != nil {
		return err
	}
	return waitRoles(ctx, nodes)
}

// waitRoles waits until as many daemons serve as servers as there should be:
// a voter's daemon changes over a moment after its member got the vote.
func waitRoles(ctx context.Context, nodes []*Node) error {
	for {
		serving := 0
		for _, n := range nodes {
			c := n.client()
			status, err := c.Status(ctx)
			c.Close()
			if err == nil && status.Role == cluster.Server && !status.Stale && len(status.Problems) == 0 {
				serving++
			}
		}
		if serving >= votersFor(len(nodes)) {
			return nil
		}
		if err := loop.Sleep(ctx, 50*time.Millisecond); err != nil {
			return cluster.Errorf(cluster.Unavailable, "after %s %d of %d servers serve", formMax, serving, votersFor(len(nodes)))
		}
	}
}

// inClusterFirst puts the nodes that are in a cluster before those that are in
// none. The first node need not be in one: it may have left, and forming a
// cluster on it then would part the lab in two.
func inClusterFirst[N any](nodes []N, inCluster func(N) (bool, error)) ([]N, error) {
	var in, out []N
	for _, n := range nodes {
		formed, err := inCluster(n)
		switch {
		case err != nil:
			return nil, err
		case formed:
			in = append(in, n)
		default:
			out = append(out, n)
		}
	}
	return append(in, out...), nil
}

// joinNode makes a node join, unless it has.
func (l *Lab) joinNode(ctx context.Context, n *Node, first *client.Client) error {
	c := n.client()
	defer c.Close()
	status, err := n.waitDaemon(ctx, c)
	if err != nil || status.Formed {
		return err
	}
	token, err := retry(ctx, func() (wire.TokenAnswer, error) { return first.CreateToken(ctx, wire.TokenRequest{}) })
	if err != nil {
		return err
	}
	_, err = retry(ctx, func() (wire.Identity, error) { return c.Join(ctx, wire.JoinRequest{Token: token.Token}) })
	if err == nil {
		l.note("%s joined", n.Name())
	}
	return err
}

// retry repeats a call as long as it says "not now", until ctx ends.
func retry[T any](ctx context.Context, call func() (T, error)) (T, error) {
	for {
		value, err := call()
		if cluster.KindOf(err) != cluster.Unavailable || err == nil {
			return value, err
		}
		if loop.Sleep(ctx, 100*time.Millisecond) != nil {
			return value, err
		}
	}
}

// client calls the node's daemon from the host.
func (n *Node) client() *client.Client { return client.New(client.Config{Socket: n.Socket()}) }

// waitDaemon waits until the node's daemon answers.
func (n *Node) waitDaemon(ctx context.Context, c *client.Client) (wire.Status, error) {
	status, err := retry(ctx, func() (wire.Status, error) { return c.Status(ctx) })
	if err != nil {
		return status, fmt.Errorf("the daemon of %s: %w", n.Name(), err)
	}
	return status, nil
}

// votersFor is how many servers a cluster of some nodes grows by itself.
func votersFor(nodes int) int {
	switch {
	case nodes >= 5:
		return 5
	case nodes >= 3:
		return 3
	}
	return 1
}

// waitVoters waits until the cluster has the servers that it should have and
// all its nodes are ready.
func (l *Lab) waitVoters(ctx context.Context, c *client.Client, nodes int, start time.Time) error {
	for {
		status, err := c.Status(ctx)
		voting := 0
		for _, v := range status.Voters {
			if v.State == cluster.MemberVoter && v.Healthy {
				voting++
			}
		}
		if err == nil && voting >= votersFor(nodes) && status.NodesReady >= nodes && status.Leader != nil {
			l.note("%d nodes, %d servers after %s", nodes, voting, time.Since(start).Round(10*time.Millisecond))
			return nil
		}
		if loop.Sleep(ctx, 100*time.Millisecond) != nil {
			return cluster.Errorf(cluster.Unavailable, "after %s the cluster has %d of %d servers and %d of %d nodes are ready: %v",
				formMax, voting, votersFor(nodes), status.NodesReady, nodes, status.Problems)
		}
	}
}

// Down ends a lab and removes everything of it, also what a killed run has
// left. Without a lab of the name there is nothing to do.
func (l *Lab) Down(ctx context.Context) error {
	if !l.leftAnything() {
		return nil
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	nodes, err := l.remains()
	if err != nil {
		return err
	}
	// Every node is tried, whatever becomes of the others.
	var group errgroup.Group
	errs := make([]error, len(nodes))
	for i, n := range nodes {
		group.Go(func() error {
			if errs[i] = n.PowerOff(ctx); errs[i] == nil {
				errs[i] = n.clear()
			}
			return nil
		})
	}
	_ = group.Wait() // nobody returns an error; they are kept by node
	errs = append(errs, hostnet.DeleteNamespace(l.namespace()))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(l.group().remove(), os.RemoveAll(l.dir), os.Remove(l.dir+".lock"))
}

// leftAnything reports whether there is anything of the lab.
func (l *Lab) leftAnything() bool {
	for _, path := range []string{l.dir, l.dir + ".lock", string(l.group()), hostnet.Path(l.namespace())} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

// remains lists the nodes that anything is left of. It goes by their folders,
// processes and namespaces, not by the record, which may be damaged or gone.
func (l *Lab) remains() ([]*Node, error) {
	var names []string
	for _, dir := range []string{l.dir, string(l.group())} {
		paths, err := filepath.Glob(filepath.Join(dir, "node-*"))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			names = append(names, filepath.Base(path))
		}
	}
	namespaces, err := hostnet.Namespaces(l.namespace() + ".")
	if err != nil {
		return nil, err
	}
	for _, name := range namespaces {
		names = append(names, strings.TrimPrefix(name, l.namespace()+"."))
	}
	slices.Sort(names)
	var nodes []*Node
	for _, name := range slices.Compact(names) {
		i, err := strconv.Atoi(strings.TrimPrefix(name, "node-"))
		if n := (&Node{lab: l, index: i}); err == nil && n.Name() == name {
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}
