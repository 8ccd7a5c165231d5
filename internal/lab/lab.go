// Package lab makes a cluster on one machine: each node is a real systemd as
// PID 1 (systemd-nspawn on an overlay of one Debian root) in a network
// namespace of its own, joined by a bridge in a namespace of its own. Nothing
// of a lab can be reached from the host's network; the command line reaches a
// node by a unix socket in the node's folder.
//
// A lab is a folder. Whatever a killed run has left can be told from it, so
// Down cleans up after anything; calls that change a lab hold its lock.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"argosy/internal/cluster"
)

// Where labs and what they are made from are kept.
const (
	DefaultStateDir = "/var/lib/argosy-lab"
	DefaultCacheDir = "/var/cache/argosy-lab"
)

// nodesMax is how many nodes the addresses of a lab are enough for.
const nodesMax = 200

// Config describes a lab.
type Config struct {
	Name     string   // default: "lab"
	Nodes    int      // how many to have at least; default: 3
	Packages []string // Debian packages besides the usual
	Binary   string   // path of argosy; default: this program's
	// Form makes one cluster of the nodes.
	Form bool
	// Settings are lines for every node's argosy.conf, sections included.
	Settings string

	StateDir, CacheDir string // default: see above
	// Progress is told what happens; nil: nobody is.
	Progress func(format string, args ...any)
}

// record is what a lab's folder says about it.
type record struct {
	Name     string   `json:"name"`
	Nodes    int      `json:"nodes"`
	Root     string   `json:"root"` // the Debian root that the nodes share
	Packages []string `json:"packages,omitempty"`
	Binary   string   `json:"binary"`
	Settings string   `json:"settings,omitempty"`
	Cuts     []cutSet `json:"cuts,omitempty"`
}

// Lab is one lab. Its methods may be called from several processes at once.
type Lab struct {
	dir  string
	name string
	note func(format string, args ...any)
}

// Open returns the lab of a name, which need not exist.
func Open(stateDir, name string) (*Lab, error) {
	if stateDir == "" {
		stateDir = DefaultStateDir
	}
	if name == "" {
		name = "lab"
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(name) > 20 {
		return nil, cluster.Errorf(cluster.Invalid, "a lab's name has up to 20 lower-case letters, digits and hyphens, not %q", name)
	}
	return &Lab{dir: filepath.Join(stateDir, name), name: name, note: func(string, ...any) {}}, nil
}

// Name returns the lab's name.
func (l *Lab) Name() string { return l.name }

// lock keeps other processes from changing the lab.
func (l *Lab) lock() (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	return lockFile(l.dir + ".lock")
}

// lockFile takes a lock that ends with the process that holds it.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// load reads what the folder says.
func (l *Lab) load() (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, cluster.Errorf(cluster.NotFound, "there is no lab %q", l.name).WithHint("argosy lab up --name " + l.name)
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, cluster.Errorf(cluster.Internal, "lab %s: %w", l.name, err).WithHint("argosy lab down --name " + l.name)
	}
	return r, nil
}

// save writes it, whole or not at all.
func (l *Lab) save(r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(l.dir, "lab.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Nodes returns the nodes of the lab, in order.
func (l *Lab) Nodes() ([]*Node, error) {
	r, err := l.load()
	if err != nil {
		return nil, err
	}
	return l.nodes(r), nil
}

func (l *Lab) nodes(r record) []*Node {
	var list []*Node
	for i := 1; i <= r.Nodes; i++ {
		list = append(list, &Node{lab: l, index: i})
	}
	return list
}

// Node returns a node by its name or number: "node-2" or "2".
func (l *Lab) Node(name string) (*Node, error) {
	r, err := l.load()
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(strings.TrimPrefix(name, "node-"))
	if err != nil || i < 1 || i > r.Nodes {
		return nil, cluster.Errorf(cluster.NotFound, "lab %s has no node %q", l.name, name).
			WithHint(fmt.Sprintf("it has node-1 to node-%d", r.Nodes))
	}
	return &Node{lab: l, index: i}, nil
}

// address is that of the i-th node. Labs are closed off from each other and
// from the host, so all use the same addresses.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(i)}) }

// namespace is the network namespace of the bridge.
func (l *Lab) namespace() string { return "argosy-" + l.name }

// List returns the labs in a state folder, sorted by name.
func List(stateDir string) ([]*Lab, error) {
	if stateDir == "" {
		stateDir = DefaultStateDir
	}
	entries, err := os.ReadDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var labs []*Lab
	for _, entry := range entries {
		if lab, err := Open(stateDir, entry.Name()); err == nil && entry.IsDir() {
			labs = append(labs, lab)
		}
	}
	return labs, nil
}

// cutSet is what was cut, so that it can be undone piece by piece.
type cutSet struct {
	From, To int // node numbers; To is 0 for everybody
	OneWay   bool
}

// Cut cuts a line: "node-2" from everybody, "1:2" both ways, "1>2" one way.
func (l *Lab) Cut(ctx context.Context, line string) error {
	return l.changeCuts(ctx, line, func(cuts []cutSet, c cutSet) []cutSet {
		if slices.Contains(cuts, c) {
			return cuts
		}
		return append(cuts, c)
	})
}

// Heal undoes a cut; "" undoes all.
func (l *Lab) Heal(ctx context.Context, line string) error {
	if line == "" {
		return l.changeCuts(ctx, "1", func([]cutSet, cutSet) []cutSet { return nil })
	}
	return l.changeCuts(ctx, line, func(cuts []cutSet, c cutSet) []cutSet {
		return slices.DeleteFunc(cuts, func(have cutSet) bool { return have == c })
	})
}

func (l *Lab) changeCuts(ctx context.Context, line string, change func([]cutSet, cutSet) []cutSet) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := l.load()
	if err != nil {
		return err
	}
	c, err := l.parseCut(line)
	if err != nil {
		return err
	}
	r.Cuts = change(r.Cuts, c)
	if err := l.save(r); err != nil {
		return err
	}
	return l.applyCuts(ctx, r)
}

func (l *Lab) parseCut(line string) (c cutSet, err error) {
	from, to, both := strings.Cut(line, ":")
	if !both {
		from, to, c.OneWay = strings.Cut(line, ">")
	}
	n, err := l.Node(from)
	if err != nil {
		return c, err
	}
	c.From = n.index
	if to == "" {
		return c, nil
	}
	if n, err = l.Node(to); err != nil {
		return c, err
	}
	c.To = n.index
	// A line has no direction, so it has one name.
	if !c.OneWay && c.From > c.To {
		c.From, c.To = c.To, c.From
	}
	return c, nil
}
