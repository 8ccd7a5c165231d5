package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/hostnet"
	"argosy/internal/loop"
	"argosy/internal/node"
)

// Sizes and limits of a node.
const (
	diskBytes = 1 << 30 // of /var/lib/argosy; sparse, so it costs what it holds
	bootMax   = 60 * time.Second
	poll      = 20 * time.Millisecond
)

// nodeBinary is where nodes have the program.
const nodeBinary = "/usr/local/bin/argosy"

// boot switches the node on, if it is off. Its disk is as it was. A node that
// is on is waited for, in case that a killed run has left it half up.
func (n *Node) boot(ctx context.Context, r record) error {
	steps := []func(context.Context, record) error{n.clearRemains, n.makeFolders, n.mountRoot, n.mountDisk, n.wire, n.writeFiles, n.spawn, n.waitUp}
	if n.On() {
		steps = []func(context.Context, record) error{n.thaw, n.waitUp}
	}
	for _, step := range steps {
		if err := step(ctx, r); err != nil {
			return fmt.Errorf("boot %s: %w", n.Name(), err)
		}
	}
	return nil
}

// clearRemains ends what a killed run has left of a node that is not on.
func (n *Node) clearRemains(ctx context.Context, _ record) error { return n.PowerOff(ctx) }

func (n *Node) thaw(ctx context.Context, _ record) error { return n.Resume(ctx) }

func (n *Node) makeFolders(context.Context, record) error {
	// A socket is on /run, which no power cut leaves anything of.
	if err := os.Remove(n.Socket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{"upper", "work", "root", "containers", "disk", "socket"} {
		if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// mountRoot lays the node's own files over the Debian root that all share.
func (n *Node) mountRoot(_ context.Context, r record) error {
	if mounted(n.path("root")) {
		return nil
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", r.Root, n.path("upper"), n.path("work"))
	if err := unix.Mount("overlay", n.path("root"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount the node's root on %s: %w", r.Root, err)
	}
	return nil
}

// mountDisk mounts the disk that holds /var/lib/argosy: one of its own, so that
// it can be full without the host being so. The host keeps it mounted while the
// node is off, so a power cut loses nothing that was written but not synced.
func (n *Node) mountDisk(ctx context.Context, _ record) error {
	if mounted(n.path("disk")) {
		return nil
	}
	image := n.path("disk.img")
	if _, err := os.Stat(image); errors.Is(err, fs.ErrNotExist) {
		// Renamed when it is whole: a killed run leaves no half disk.
		if err := n.makeDisk(ctx, image+".new"); err != nil {
			return err
		}
		if err := os.Rename(image+".new", image); err != nil {
			return err
		}
	}
	return n.tool(ctx, "mount", "-o", "loop", image, n.path("disk"))
}

func (n *Node) makeDisk(ctx context.Context, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(diskBytes), file.Close()); err != nil {
		return err
	}
	return n.tool(ctx, "mkfs.ext4", "-q", "-m", "0", path)
}

func (n *Node) wire(context.Context, record) error {
	if err := hostnet.CreateNamespace(n.namespace()); err != nil {
		return err
	}
	return hostnet.EnsureWire(hostnet.Wire{
		BridgeNamespace: n.lab.namespace(), Bridge: bridgeName, Port: n.Name(),
		Namespace: n.namespace(), Interface: "eth0", Address: netip.PrefixFrom(n.Address(), 24),
	})
}

// writeFiles makes the node's own configuration.
func (n *Node) writeFiles(_ context.Context, r record) error {
	root := n.path("root")
	conf := fmt.Sprintf("[Node]\nName=%s\nAddress=%s\nSocket=/run/argosy/argosy.sock /run/argosy-lab/argosy.sock\n%s", n.Name(), n.Address(), r.Settings)
	files := map[string]string{
		"etc/hostname":           n.Name() + "\n",
		"etc/machine-id":         string(n.MachineID()) + "\n",
		"etc/argosy/argosy.conf": conf,
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := n.linkBinary(); err != nil {
		return err
	}
	cfg, err := node.LoadConfig(filepath.Join(root, "etc/argosy/argosy.conf"))
	if err != nil {
		return err
	}
	_, err = node.InstallServices(node.ServiceConfig{
		Binary: nodeBinary, Dir: cfg.Dir, Timings: cfg.Timings, Folder: filepath.Join(root, "etc/systemd/system"),
	})
	return err
}

// linkBinary makes a file to mount the program on, and its other names, etcdctl where
// old units expect it, too.
func (n *Node) linkBinary() error {
	root := n.path("root")
	binary := filepath.Join(root, nodeBinary)
	if _, err := os.Lstat(binary); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(binary, nil, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"/usr/local/bin/fleetctl", "/usr/local/bin/etcdctl", "/usr/bin/etcdctl"} {
		if err := os.Symlink(nodeBinary, filepath.Join(root, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// spawn starts the node's systemd. What the environment says to nspawn works
// on hosts whose own PID 1 is no systemd and whose cgroups are of version 1.
func (n *Node) spawn(_ context.Context, r record) error {
	console, err := os.OpenFile(n.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	in, err := n.group().open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	cmd := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
		"--machine="+n.machine(), "--hostname="+n.Name(), "--directory="+n.path("root"),
		"--network-namespace-path="+hostnet.Path(n.namespace()), "--capability=all", "--console=pipe",
		"--bind="+n.path("containers")+":/var/lib/containers", "--bind="+n.path("disk")+":/var/lib/argosy",
		"--bind="+n.path("socket")+":/run/argosy-lab", "--bind-ro="+r.Binary+":"+nodeBinary)
	cmd.Env = append(os.Environ(), "UNIFIED_CGROUP_HIERARCHY=1", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=1", "SYSTEMD_SECCOMP=0")
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:      true, // Ctrl-C at the terminal is not for the nodes
		UseCgroupFD: true, CgroupFD: int(in.Fd()),
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start systemd-nspawn: %w", err)
	}
	go func() { _ = cmd.Wait() }() // so that it is no zombie while we live
	return nil
}

// waitUp waits until the node's systemd has reached its usual target. It does
// not wait for the queue of jobs to be empty: etcd may be waiting for the other
// servers, which are still off.
func (n *Node) waitUp(ctx context.Context, _ record) error {
	ctx, cancel := context.WithTimeout(ctx, bootMax)
	defer cancel()
	for {
		if !n.group().is("populated") {
			return fmt.Errorf("systemd-nspawn ended; the last it said: %s", n.lastWords())
		}
		if n.On() {
			if n.run(ctx, nil, nil, nil, []string{"systemctl", "--quiet", "is-active", "multi-user.target"}) == nil {
				return nil
			}
		}
		if err := loop.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("not up (%w); the last it said: %s", err, n.lastWords())
		}
	}
}

// mounted reports whether something is mounted at a path.
func mounted(path string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(text), " "+path+" ")
}

// tool runs a tool of the host for the node. It is among the node's processes,
// so that it does not outlive PowerOff when this process is killed.
func (n *Node) tool(ctx context.Context, name string, args ...string) error {
	in, err := n.group().sub(groupExec).open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(in.Fd())}
	return outcome(cmd)
}

// outcome runs a command and returns what it said if it failed.
func outcome(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
