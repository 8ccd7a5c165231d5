package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
// that are missing are added, nodes that are off are booted.
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
	root, err := EnsureRoot(ctx, cfg.CacheDir, cfg.Packages, l.note)
	if err != nil {
		return nil, err
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := l.load()
	if err != nil && cluster.KindOf(err) != cluster.NotFound {
		return nil, err
	}
	if r.Root == "" { // a lab keeps the root that its nodes were made from
		r = record{Name: l.name, Root: root, Packages: cfg.Packages, Settings: cfg.Settings}
	}
	r.Binary, r.Nodes = cfg.Binary, max(r.Nodes, cfg.Nodes)
	if err := l.save(r); err != nil {
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

// bootAll boots every node that is off, side by side.
func (l *Lab) bootAll(ctx context.Context, r record) error {
	if err := hostnet.CreateNamespace(l.namespace()); err != nil {
		return err
	}
	if err := hostnet.EnsureBridge(l.namespace(), bridgeName); err != nil {
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
	return l.applyCuts(ctx, r)
}

// applyCuts makes the packet filters of the nodes what the record says.
func (l *Lab) applyCuts(ctx context.Context, r record) error {
	var errs []error
	for _, n := range l.nodes(r) {
		var cuts []hostnet.Cut
		for _, c := range r.Cuts {
			switch {
			case c.To == 0 && c.From == n.index:
				cuts = append(cuts, hostnet.Cut{In: true, Out: true})
			case c.From == n.index:
				cuts = append(cuts, hostnet.Cut{Peer: address(c.To), In: !c.OneWay, Out: true})
			case c.To == n.index && !c.OneWay:
				cuts = append(cuts, hostnet.Cut{Peer: address(c.From), In: true, Out: true})
			}
		}
		if _, err := os.Stat(hostnet.Path(n.namespace())); err == nil {
			errs = append(errs, hostnet.SetCuts(context.WithoutCancel(ctx), n.namespace(), cuts))
		}
	}
	return errors.Join(errs...)
}

// formMax bounds forming the cluster, whatever is in the way.
const formMax = 2 * time.Minute

// form makes one cluster of the nodes that are in none.
func (l *Lab) form(ctx context.Context, nodes []*Node) error {
	ctx, cancel := context.WithTimeout(ctx, formMax)
	defer cancel()
	start := time.Now()
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
	if _, err := os.Stat(l.dir); err != nil {
		return nil
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// The folders say which nodes there are, even if the record is damaged.
	var errs []error
	folders, err := filepath.Glob(filepath.Join(l.dir, "node-*"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		var n Node
		if _, err := fmt.Sscanf(filepath.Base(folder), "node-%d", &n.index); err != nil {
			continue
		}
		n.lab = l
		if err := n.PowerOff(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, n.clear())
	}
	errs = append(errs, hostnet.DeleteNamespace(l.namespace()))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(l.dir), os.Remove(l.dir+".lock"))
}
