package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
	"argosy/internal/hostnet"
)

// Limits of what takes the kernel milliseconds.
const (
	offMax    = 20 * time.Second
	ownEndMax = 2 * time.Second // for systemd-nspawn to end by itself when its node is dead
	freezeMax = 10 * time.Second
)

// PowerOff cuts the node's power: all its processes are killed at once. Its
// disk stays. A node that is off stays off.
func (n *Node) PowerOff(ctx context.Context) error {
	if err := n.kill(ctx); err != nil {
		return fmt.Errorf("cut the power of %s: %w", n.Name(), err)
	}
	// The kernel may go on killing what is started in a group that was killed
	// (Linux 6.18 does), so the next boot makes new ones.
	return n.group().remove()
}

func (n *Node) kill(ctx context.Context) error {
	all := n.group()
	for _, g := range []group{all.sub(groupPayload), all.sub(groupExec)} {
		if err := g.set("cgroup.kill", "1"); err != nil {
			return err
		}
	}
	// A frozen nspawn would not see the end of its node.
	if err := all.set("cgroup.freeze", "0"); err != nil {
		return err
	}
	if all.await(ctx, "populated", false, ownEndMax) == nil {
		return nil
	}
	if err := all.set("cgroup.kill", "1"); err != nil {
		return err
	}
	return all.await(ctx, "populated", false, offMax)
}

// PowerOn boots the node with the disk it has.
func (n *Node) PowerOn(ctx context.Context) error {
	unlock, err := n.lab.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := n.lab.load()
	if err != nil {
		return err
	}
	// The host may have been rebooted since.
	if err := n.lab.makeBridge(ctx, r); err != nil {
		return err
	}
	return n.boot(ctx, r)
}

// Pause stops every process of the node where it is, as a suspended virtual
// machine is; Resume lets them go on. Neither can be noticed from inside but
// by the clock.
func (n *Node) Pause(ctx context.Context) error { return n.freeze(ctx, true) }

// Resume lets a paused node go on.
func (n *Node) Resume(ctx context.Context) error { return n.freeze(ctx, false) }

func (n *Node) freeze(ctx context.Context, want bool) error {
	if !n.On() {
		return cluster.Errorf(cluster.Unavailable, "%s is off", n.Name()).WithHint(n.lab.hint("power " + n.Name() + " on"))
	}
	value := map[bool]string{true: "1", false: "0"}[want]
	if err := n.group().set("cgroup.freeze", value); err != nil {
		return err
	}
	return n.group().await(ctx, "frozen", want, freezeMax)
}

// filler is the file that fills a node's disk.
const filler = "filled-by-the-lab"

// FillDisk leaves no room on the disk that holds /var/lib/argosy, which the
// node may be off for.
func (n *Node) FillDisk() error {
	if !mounted(n.path("disk")) {
		return cluster.Errorf(cluster.Unavailable, "%s has no disk now", n.Name()).WithHint(n.lab.hint("up"))
	}
	file, err := os.OpenFile(n.path("disk", filler), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	// Blocks are taken, not written: it costs the host nothing.
	end := info.Size()
	for size := int64(diskBytes); size > 0; {
		switch err := unix.Fallocate(int(file.Fd()), 0, end, size); {
		case err == nil:
			end += size
		case errors.Is(err, unix.ENOSPC):
			if info, err := file.Stat(); err == nil { // it may have got a part
				end = info.Size()
			}
			size /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("fill the disk of %s: %w", n.Name(), err)
		}
	}
	return nil
}

// FreeDisk takes the filling away.
func (n *Node) FreeDisk() error {
	err := os.Remove(n.path("disk", filler))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clear unmounts and removes everything of a node that is off.
func (n *Node) clear() error {
	var errs []error
	for _, dir := range []string{"root", "disk"} {
		for mounted(n.path(dir)) {
			if err := unix.Unmount(n.path(dir), unix.MNT_DETACH); err != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w", n.path(dir), err))
				break
			}
		}
	}
	errs = append(errs, hostnet.DeleteNamespace(n.namespace()), n.group().remove())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// A killed nspawn leaves this.
	return errors.Join(os.RemoveAll(filepath.Join("/run/systemd/nspawn/propagate", n.machine())), os.RemoveAll(n.path()))
}
