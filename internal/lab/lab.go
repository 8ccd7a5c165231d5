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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
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
	Name     string    `json:"name"`
	Nodes    int       `json:"nodes"`
	Root     string    `json:"root"` // the Debian root that the nodes share
	Packages []string  `json:"packages,omitempty"`
	Binary   string    `json:"binary"`
	Settings string    `json:"settings,omitempty"`
	Cuts     []cutLine `json:"cuts,omitempty"`
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
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(name) > 20 || name[0] == '-' || name[len(name)-1] == '-' {
		return nil, cluster.Errorf(cluster.Invalid, "a lab's name has up to 20 lower-case letters, digits and inner hyphens, not %q", name)
	}
	stateDir, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, err
	}
	// Mounts are found by their real path.
	if real, err := filepath.EvalSymlinks(stateDir); err == nil {
		stateDir = real
	}
	if strings.ContainsAny(stateDir, " \t\n\\:,") {
		return nil, cluster.Errorf(cluster.Invalid, "the folder of labs %q: no blank, colon, comma or backslash, which mounts and systemd-nspawn read otherwise", stateDir)
	}
	return &Lab{dir: filepath.Join(stateDir, name), name: name, note: func(string, ...any) {}}, nil
}

// Name returns the lab's name.
func (l *Lab) Name() string { return l.name }

// Dir returns the lab's folder.
func (l *Lab) Dir() string { return l.dir }

// ID returns the lab's name among all labs of this machine, those in other
// state folders included. Its namespaces and control groups are called so.
func (l *Lab) ID() string {
	if filepath.Dir(l.dir) == DefaultStateDir {
		return l.name
	}
	sum := sha256.Sum256([]byte(l.dir))
	return l.name + "." + hex.EncodeToString(sum[:4])
}

// namespace is the network namespace of the bridge.
func (l *Lab) namespace() string { return "argosy-" + l.ID() }

// hint is a command line about this lab.
func (l *Lab) hint(verb string) string {
	if l.name == "lab" {
		return "argosy lab " + verb
	}
	return "argosy lab " + verb + " --name " + l.name
}

// lock keeps other processes from changing the lab.
func (l *Lab) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(l.dir), 0o755); err != nil {
		return nil, err
	}
	path := l.dir + ".lock"
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		// Down removes the lock with the lab; a lock on a file that is gone
		// would keep nobody out.
		ours, err := file.Stat()
		if err == nil {
			if current, err := os.Stat(path); err == nil && os.SameFile(ours, current) {
				return func() { _ = file.Close() }, nil
			}
		}
		_ = file.Close()
	}
}

// load reads what the folder says.
func (l *Lab) load() (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, cluster.Errorf(cluster.NotFound, "there is no lab %q", l.name).WithHint(l.hint("up"))
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, cluster.Errorf(cluster.Internal, "lab %s: %w", l.name, err).WithHint(l.hint("down"))
	}
	return r, nil
}

// save writes it, whole or not at all.
func (l *Lab) save(r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
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
	return l.node(r, name)
}

func (l *Lab) node(r record, name string) (*Node, error) {
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
