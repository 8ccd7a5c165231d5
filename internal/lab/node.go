package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"argosy/internal/cluster"
)

// Node is one node of a lab. What it is doing is asked of the kernel each time,
// so a Node is never out of date.
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

// Console returns the path of the file that holds what the node printed.
func (n *Node) Console() string { return n.path("console.log") }

func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{n.lab.dir, n.Name()}, parts...)...)
}

func (n *Node) namespace() string { return n.lab.namespace() + "." + n.Name() }

// Namespace returns the name of the node's network namespace.
func (n *Node) Namespace() string { return n.namespace() }

// machine is what systemd-nspawn calls the node.
func (n *Node) machine() string { return n.lab.ID() + "-" + n.Name() }

// MachineID returns the node's machine ID: the same each time a lab of the
// name is made.
func (n *Node) MachineID() cluster.NodeID {
	sum := sha256.Sum256([]byte("argosy lab " + n.lab.dir + " " + n.Name()))
	return cluster.NodeID(hex.EncodeToString(sum[:16]))
}

// Power is whether a node is on.
type Power string

// Powers.
const (
	Off    Power = "off"
	On     Power = "on"
	Paused Power = "paused"
)

// Power returns whether the node is on.
func (n *Node) Power() Power {
	switch {
	case n.Init() == 0:
		return Off
	case n.group().is("frozen"):
		return Paused
	}
	return On
}

// On reports whether the node is on, and be it paused.
func (n *Node) On() bool { return n.Init() != 0 }

// Init returns the host's process ID of the node's PID 1, 0 if it is off.
func (n *Node) Init() int {
	payload := n.group().sub(groupPayload)
	for _, pid := range append(payload.sub("init.scope").processes(), payload.processes()...) {
		if firstOfItsNamespace(pid) {
			return pid
		}
	}
	return 0
}

// firstOfItsNamespace reports whether a process is PID 1 of a process
// namespace below ours (proc(5), NSpid of status).
func firstOfItsNamespace(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	ids := strings.Fields(line)
	return len(ids) == 2 && ids[1] == "1"
}

// CPU returns how much processor time the node has used since it was switched
// on; if it is off, 0.
func (n *Node) CPU() time.Duration {
	text, err := os.ReadFile(filepath.Join(string(n.group()), "cpu.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "usage_usec "); ok {
			usec, _ := strconv.ParseInt(value, 10, 64)
			return time.Duration(usec) * time.Microsecond
		}
	}
	return 0
}

// Services returns the first process, by the host's number, of each service
// that runs on the node, those of Debian and Argosy included. It asks the
// kernel, not the node, which may be paused.
func (n *Node) Services() map[cluster.UnitName]int {
	first := map[cluster.UnitName]int{}
	services := string(n.group().sub(groupPayload).sub("system.slice"))
	_ = filepath.WalkDir(services, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || !strings.HasSuffix(path, ".service") {
			return nil // a group may go while we look
		}
		if pids := group(path).processes(); len(pids) > 0 {
			first[cluster.UnitName(filepath.Base(path))] = slices.Min(pids)
		}
		return nil
	})
	return first
}

// lastWords returns the end of the node's console.
func (n *Node) lastWords() string {
	text, err := os.ReadFile(n.Console())
	if err != nil || len(text) == 0 {
		return "nothing"
	}
	return strings.TrimSpace(string(text[max(0, len(text)-600):]))
}

// Exec runs a command in the node with the given streams and returns its exit
// code: 128 and the number of the signal for a command that a signal ended, as
// a shell has it. The command is of the node: it is paused with it, and dies
// with it.
func (n *Node) Exec(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args ...string) (int, error) {
	switch n.Power() {
	case Off:
		return 0, cluster.Errorf(cluster.Unavailable, "%s is off", n.Name()).WithHint(n.lab.hint("power " + n.Name() + " on"))
	case Paused:
		return 0, cluster.Errorf(cluster.Unavailable, "%s is paused", n.Name()).WithHint(n.lab.hint("resume " + n.Name()))
	case On:
	}
	err := n.run(ctx, stdin, stdout, stderr, args)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || ctx.Err() != nil {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// run runs a command in the node's namespaces and control group.
func (n *Node) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) error {
	in, err := n.group().sub(groupExec).open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	line := append([]string{"-t", strconv.Itoa(n.Init()), "-a", "--", "env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LANG=C.UTF-8",
		"TERM=" + os.Getenv("TERM")}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", line...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(in.Fd())}
	// nsenter waits for the command; killing it alone would leave the command.
	cmd.Cancel = func() error {
		for _, pid := range childrenOf(cmd.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = 2 * time.Second // for what the command has left in the background
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// childrenOf lists the children of a process of ours.
func childrenOf(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}
