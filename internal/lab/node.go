package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
	"argosy/internal/hostnet"
	"argosy/internal/loop"
	"argosy/internal/node"
)

// Node is one node of a lab.
type Node struct {
	lab   *Lab
	index int
}

// Name returns the node's name, which is its host name too.
func (n *Node) Name() string { return "node-" + strconv.Itoa(n.index) }

// Address returns the node's address.
func (n *Node) Address() netip.Addr { return address(n.index) }

// Socket returns where the host reaches the node's daemon.
func (n *Node) Socket() string { return n.path("socket", "argosy.sock") }

func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{n.lab.dir, n.Name()}, parts...)...)
}

func (n *Node) namespace() string { return n.lab.namespace() + "-" + strconv.Itoa(n.index) }

// MachineID returns the node's machine ID: the same each time a lab of the
// name is made.
func (n *Node) MachineID() cluster.NodeID {
	sum := sha256.Sum256([]byte("argosy lab " + n.lab.dir + " " + n.Name()))
	return cluster.NodeID(hex.EncodeToString(sum[:16]))
}

// process is how a running node is found again: a process ID alone may have
// been given to another process meanwhile.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

// startOf returns when a process started, in the kernel's ticks; "" if there
// is no such process (proc(5), field 22 of stat).
func startOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name in parentheses may hold blanks.
	rest := string(text[strings.LastIndexByte(string(text), ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// running returns the nspawn process of the node, 0 if it is off.
func (n *Node) running() int {
	var p process
	text, err := os.ReadFile(n.path("process.json"))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Start == "" || startOf(p.PID) != p.Start {
		return 0
	}
	return p.PID
}

// Init returns the host's process ID of the node's PID 1, 0 if it is off.
func (n *Node) Init() int {
	parent := n.running()
	if parent == 0 {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, _ := strconv.Atoi(first)
	return pid
}

// On reports whether the node is on.
func (n *Node) On() bool { return n.Init() != 0 }

// Sizes and limits of a node.
const (
	diskBytes = 1 << 30 // of /var/lib/argosy; sparse, so it costs what it holds
	bootMax   = 60 * time.Second
	offMax    = 20 * time.Second
	poll      = 20 * time.Millisecond
)

// boot switches the node on, if it is off. Its disk is as it was.
func (n *Node) boot(ctx context.Context, r record) error {
	if n.running() != 0 {
		return nil
	}
	steps := []func(context.Context, record) error{n.makeFolders, n.mountRoot, n.mountDisk, n.wire, n.writeFiles, n.spawn, n.waitUp}
	for _, step := range steps {
		if err := step(ctx, r); err != nil {
			return fmt.Errorf("boot %s: %w", n.Name(), err)
		}
	}
	return nil
}

func (n *Node) makeFolders(context.Context, record) error {
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
		return fmt.Errorf("mount the node's root: %w", err)
	}
	return nil
}

// mountDisk mounts the disk that holds /var/lib/argosy: one of its own, so that
// it can be full without the host being so.
func (n *Node) mountDisk(ctx context.Context, _ record) error {
	if mounted(n.path("disk")) {
		return nil
	}
	image := n.path("disk.img")
	if _, err := os.Stat(image); errors.Is(err, fs.ErrNotExist) {
		file, err := os.Create(image)
		if err != nil {
			return err
		}
		if err := errors.Join(file.Truncate(diskBytes), file.Close()); err != nil {
			return err
		}
		if err := run(ctx, "mkfs.ext4", "-q", "-m", "0", image); err != nil {
			return err
		}
	}
	return run(ctx, "mount", "-o", "loop", image, n.path("disk"))
}

func (n *Node) wire(context.Context, record) error {
	if err := hostnet.CreateNamespace(n.namespace()); err != nil {
		return err
	}
	return hostnet.EnsureWire(hostnet.Wire{
		BridgeNamespace: n.lab.namespace(), Bridge: bridgeName, Port: "node-" + strconv.Itoa(n.index),
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
	cfg, err := node.LoadConfig(filepath.Join(root, "etc/argosy/argosy.conf"))
	if err != nil {
		return err
	}
	_, err = node.InstallServices(node.ServiceConfig{
		Binary: nodeBinary, Dir: cfg.Dir, Timings: cfg.Timings, Folder: filepath.Join(root, "etc/systemd/system"),
	})
	return err
}

// nodeBinary is where nodes have the program.
const nodeBinary = "/usr/local/bin/argosy"

// spawn starts the node's systemd. What the environment says to nspawn works
// on hosts whose own PID 1 is no systemd and whose cgroups are of version 1.
func (n *Node) spawn(_ context.Context, r record) error {
	for _, link := range []string{nodeBinary, "/usr/local/bin/fleetctl"} {
		// A file to mount the program on, or a link to it.
		path := filepath.Join(n.path("root"), link)
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if link != nodeBinary {
			if err := os.Symlink(nodeBinary, path); err != nil {
				return err
			}
		} else if err := os.WriteFile(path, nil, 0o755); err != nil {
			return err
		}
	}
	console, err := os.OpenFile(n.path("console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	cmd := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
		"--machine="+n.lab.name+"-"+n.Name(), "--hostname="+n.Name(), "--directory="+n.path("root"),
		"--network-namespace-path="+hostnet.Path(n.namespace()), "--capability=all", "--console=pipe",
		"--bind="+n.path("containers")+":/var/lib/containers", "--bind="+n.path("disk")+":/var/lib/argosy",
		"--bind="+n.path("socket")+":/run/argosy-lab", "--bind-ro="+r.Binary+":"+nodeBinary)
	cmd.Env = append(os.Environ(), "UNIFIED_CGROUP_HIERARCHY=1", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=1", "SYSTEMD_SECCOMP=0")
	cmd.Stdout, cmd.Stderr = console, console
	// A session of its own: Ctrl-C at the terminal is not for the nodes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start systemd-nspawn: %w", err)
	}
	text, err := json.Marshal(process{cmd.Process.Pid, startOf(cmd.Process.Pid)})
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // so that it is no zombie while we live
	return os.WriteFile(n.path("process.json"), text, 0o600)
}

// waitUp waits until the node's systemd has reached its usual target. It does
// not wait for the queue of jobs to be empty: etcd may be waiting for the other
// servers, which are still off.
func (n *Node) waitUp(ctx context.Context, _ record) error {
	ctx, cancel := context.WithTimeout(ctx, bootMax)
	defer cancel()
	for {
		if n.running() == 0 {
			return fmt.Errorf("systemd-nspawn ended; the last it said: %s", n.lastWords())
		}
		if pid := n.Init(); pid != 0 {
			if n.command(ctx, "systemctl", "--quiet", "is-active", "multi-user.target").Run() == nil {
				return nil
			}
		}
		if err := loop.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("it was not up after %s; the last it said: %s", bootMax, n.lastWords())
		}
	}
}

// lastWords returns the end of the node's console.
func (n *Node) lastWords() string {
	text, err := os.ReadFile(n.path("console.log"))
	if err != nil || len(text) == 0 {
		return "nothing"
	}
	return strings.TrimSpace(string(text[max(0, len(text)-600):]))
}

// command prepares a command inside the node.
func (n *Node) command(ctx context.Context, args ...string) *exec.Cmd {
	line := append([]string{"-t", strconv.Itoa(n.Init()), "-a", "--", "env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LANG=C.UTF-8",
		"TERM=" + os.Getenv("TERM")}, args...)
	return exec.CommandContext(ctx, "nsenter", line...)
}

// Exec runs a command in the node with the given streams and returns its exit
// code.
func (n *Node) Exec(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args ...string) (int, error) {
	if !n.On() {
		return 0, cluster.Errorf(cluster.Unavailable, "%s is off", n.Name()).WithHint("argosy lab power " + n.Name() + " on")
	}
	cmd := n.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// PowerOff cuts the node's power: its PID 1 is killed, and the kernel takes
// everything in it along. Its disk stays.
func (n *Node) PowerOff(ctx context.Context) error {
	pid := n.Init()
	parent := n.running()
	if pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cut the power of %s: %w", n.Name(), err)
		}
	} else if parent != 0 { // it has not come as far as having a PID 1
		_ = syscall.Kill(parent, syscall.SIGKILL)
	}
	ctx, cancel := context.WithTimeout(ctx, offMax)
	defer cancel()
	for n.running() != 0 {
		if err := loop.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("%s is still on after %s", n.Name(), offMax)
		}
	}
	return nil
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
	if err := n.boot(ctx, r); err != nil {
		return err
	}
	return n.lab.applyCuts(ctx, r)
}

// Pause stops every process of the node where it is, as a suspended virtual
// machine is; Resume lets them go on.
func (n *Node) Pause() error { return n.signalAll(syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (n *Node) Resume() error { return n.signalAll(syscall.SIGCONT) }

// signalAll sends a signal to every process in the node's process namespace,
// until there is none that has not got it: new ones may start meanwhile.
func (n *Node) signalAll(signal syscall.Signal) error {
	init := n.Init()
	if init == 0 {
		return cluster.Errorf(cluster.Unavailable, "%s is off", n.Name()).WithHint("argosy lab power " + n.Name() + " on")
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init))
	if err != nil {
		return err
	}
	done := map[int]string{} // by process ID: when it started
	for {
		fresh := false
		pids, err := processesIn(namespace)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if start := startOf(pid); start != "" && done[pid] != start {
				if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
					return err
				}
				done[pid], fresh = start, true
			}
		}
		if !fresh {
			return nil
		}
	}
}

// processesIn lists the processes of a process namespace.
func processesIn(namespace string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && link == namespace {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// filler is the file that fills a node's disk.
const filler = "filled-by-the-lab"

// FillDisk leaves no room on the disk that holds /var/lib/argosy.
func (n *Node) FillDisk() error {
	file, err := os.Create(n.path("disk", filler))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, 1<<20)
	for size := len(block); size > 0; {
		_, err := file.Write(block[:size])
		if errors.Is(err, syscall.ENOSPC) {
			size /= 2
			continue
		}
		if err != nil {
			return err
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

// Console returns the path of the file that holds what the node printed.
func (n *Node) Console() string { return n.path("console.log") }

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
	errs = append(errs, hostnet.DeleteNamespace(n.namespace()))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(n.path())
}

// mounted reports whether something is mounted at a path.
func mounted(path string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(text), " "+path+" ")
}

// run runs a tool of the host and returns what it said if it failed.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
