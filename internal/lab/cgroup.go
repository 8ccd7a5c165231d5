package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// Each node has a control group of its own. Without one, the systemds of all
// nodes would share a tree and meddle with each other's services. It also says
// what belongs to a node, whoever started it and however that ended: no list of
// processes is kept anywhere, so none can be wrong.
//
//	argosy-lab/LAB/NODE             all of the node; killed and frozen as one
//	argosy-lab/LAB/NODE/supervisor  systemd-nspawn, which makes these two
//	argosy-lab/LAB/NODE/payload     the node's systemd and all its services
//	argosy-lab/LAB/NODE/exec        what "lab exec" runs in the node, and tools that make it
const (
	groupFolder  = "argosy-lab"
	groupPayload = "payload"
	groupExec    = "exec"
)

// cgroupRoot returns where control groups of version 2 are mounted: in the
// usual place, or beside those of version 1.
func cgroupRoot() (string, error) {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var s unix.Statfs_t
		if unix.Statfs(dir, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir, nil
		}
	}
	return "", cluster.Errorf(cluster.Unavailable, "control groups of version 2 are not mounted on this host").
		WithHint("mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified")
}

// group is a control group, by its folder.
type group string

// group returns the control group of the lab.
func (l *Lab) group() group {
	root, err := cgroupRoot()
	if err != nil {
		return "/nonexistent" // nothing can run then, which is what its files will say
	}
	return group(filepath.Join(root, groupFolder, l.ID()))
}

// group returns the control group of everything in the node.
func (n *Node) group() group { return n.lab.group().sub(n.Name()) }

func (g group) sub(name string) group { return group(filepath.Join(string(g), name)) }

func (g group) make() error { return os.MkdirAll(string(g), 0o755) }

// open returns the group as a file, to start processes in it.
func (g group) open() (*os.File, error) {
	if err := g.make(); err != nil {
		return nil, err
	}
	return os.Open(string(g))
}

// set writes one of the group's files. A group that does not exist holds no
// process, so there is nothing to set.
func (g group) set(file, value string) error {
	err := os.WriteFile(filepath.Join(string(g), file), []byte(value), 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// is reads a flag of cgroup.events: "populated" or "frozen".
func (g group) is(flag string) bool {
	text, err := os.ReadFile(filepath.Join(string(g), "cgroup.events"))
	return err == nil && slices.Contains(strings.Split(string(text), "\n"), flag+" 1")
}

// await waits until a flag has a value. Reaching it takes the kernel
// milliseconds.
func (g group) await(ctx context.Context, flag string, want bool, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for g.is(flag) != want {
		if err := loop.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("control group %s: still %s=%t after %s", g, flag, !want, limit)
		}
	}
	return nil
}

// processes lists the processes of this group, without those of groups below.
func (g group) processes() []int {
	text, err := os.ReadFile(filepath.Join(string(g), "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// remove removes the group and those below, which hold no process any more,
// and what systemd-nspawn made of the same name for systemd's version 1 tree.
func (g group) remove() error {
	root, err := cgroupRoot()
	if err != nil {
		return nil
	}
	name, err := filepath.Rel(root, string(g))
	if err != nil {
		return err
	}
	twin := filepath.Join(filepath.Dir(root), "systemd", name)
	err = errors.Join(removeGroups(string(g)), removeGroups(twin))
	// The last lab takes the folder of all labs along.
	for _, path := range []string{string(g), twin} {
		if dir := filepath.Dir(path); filepath.Base(dir) == groupFolder {
			_ = unix.Rmdir(dir)
		}
	}
	return err
}

// removeGroups removes a folder of a control group file system. Only its
// folders can be removed; the files in them go along.
func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroups(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove control group %s: %w", dir, err)
	}
	return nil
}
