// Package terminal runs a shell, or one command, on this host as root, for the
// channel of the cluster.
//
// The process is a transient service of systemd's, started by systemd-run: it is
// in a control group of its own, so that all of it is found and ended, and it is
// bound to the daemon's service, so that it ends with the daemon however that ends.
// It has three pipes, or a pseudo-terminal that systemd opens for it.
package terminal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode/utf8"

	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

// Host starts processes on this host.
type Host struct {
	manager systemd.Manager
	// bound is the service that the processes end with.
	bound cluster.UnitName
}

// NewHost returns the host whose systemd is given. Processes end with the
// service bound.
func NewHost(manager systemd.Manager, bound cluster.UnitName) *Host { return &Host{manager, bound} }

// Bounds of what may be asked for.
const (
	commandMax = 64 << 10
	killGrace  = 3 * time.Second // between SIGHUP and SIGKILL
	// killMax bounds the wait for a process to be gone.
	killMax   = 10 * time.Second
	killEvery = 200 * time.Millisecond
)

// termMax bounds what may stand in TERM.
const termMax = 64

// isTerm reports whether a text may stand in TERM.
func isTerm(text string) bool {
	return len(text) <= termMax && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._+-", r)
	})
}

// wrapper runs the shell as its child and hands its exit code on, 128 and the
// signal's number if it was killed: systemd takes some signals for success.
const wrapper = `trap : INT QUIT; "$0" "$@"; exit $?`

// Start starts what is asked for.
func (h *Host) Start(want wire.Terminal) (channel.Process, error) {
	if err := check(want); err != nil {
		return nil, err
	}
	p := &process{host: h, unit: cluster.UnitName("argosy-session-" + newID() + ".service"), ended: make(chan struct{})}
	args := []string{
		"--quiet", "--collect", "--wait", "--service-type=exec", "--unit=" + string(p.unit),
		"--description=Session through argosy", "--uid=root",
		"--property=BindsTo=" + string(h.bound), "--property=After=" + string(h.bound),
		// A restart of the daemon would restart it too: nothing runs twice.
		fmt.Sprintf("--property=ConditionPathExists=/proc/%d", os.Getpid()),
		"--property=WorkingDirectory=/", "--property=KillSignal=SIGHUP",
		fmt.Sprintf("--property=TimeoutStopSec=%d", killGrace/time.Second),
		"--property=IgnoreSIGPIPE=no", "--property=TasksMax=infinity",
	}
	start := p.startPiped
	if want.TTY {
		start = p.startTTY
	}
	command := []string{"/bin/sh", "-c", wrapper, shell(), "-l"}
	if want.Command != "" {
		command = append(command[:4], "-c", want.Command)
	}
	for i, arg := range command {
		command[i] = strings.ReplaceAll(arg, "$", "$$") // systemd would put variables in
	}
	if err := start(want, args, command); err != nil {
		return nil, cluster.Errorf(cluster.Unavailable, "start a session on this node: %w", err)
	}
	return p, nil
}

func check(want wire.Terminal) error {
	switch {
	case len(want.Command) > commandMax:
		return cluster.Errorf(cluster.Invalid, "the command has %d bytes; the limit is %d", len(want.Command), commandMax).
			WithHint("hand it over on standard input: argosy ssh NODE sh < FILE")
	case !utf8.ValidString(want.Command) || strings.ContainsRune(want.Command, 0):
		return cluster.Errorf(cluster.Invalid, "the command is no text")
	case want.TTY && !isTerm(want.Term):
		return cluster.Errorf(cluster.Invalid, "the kind of terminal %.40q is none", want.Term)
	}
	return nil
}

// newID returns the name of one session.
func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// shell returns root's shell.
func shell() string {
	const fallback = "/bin/sh"
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return fallback
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 7 && fields[0] == "root" && strings.HasPrefix(fields[6], "/") {
			return fields[6]
		}
	}
	return fallback
}

// process is one that systemd-run started.
type process struct {
	host *Host
	unit cluster.UnitName
	run  *exec.Cmd

	input    *os.File // the terminal, or a pipe
	output   *os.File
	errors   *os.File // nil with a terminal
	terminal *pty     // nil without
	// complaint is what systemd-run says; with pipes it says it to the user.
	complaint strings.Builder
	ended     chan struct{} // closed once systemd-run has ended
}

var _ channel.Process = (*process)(nil)

// startPiped starts systemd-run with three pipes, which it hands on.
func (p *process) startPiped(_ wire.Terminal, args, command []string) error {
	var pipes [6]*os.File // for each stream its reading and its writing end
	for i := 0; i < len(pipes); i += 2 {
		var err error
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			closeAll(pipes[:])
			return err
		}
	}
	p.run = exec.Command("systemd-run", append(append(args, "--pipe", "--"), command...)...) //nolint:gosec,noctx // the caller is root; Kill ends it
	p.run.Stdin, p.run.Stdout, p.run.Stderr = pipes[0], pipes[3], pipes[5]
	err := p.run.Start()
	closeAll([]*os.File{pipes[0], pipes[3], pipes[5]})
	if err != nil {
		closeAll([]*os.File{pipes[1], pipes[2], pipes[4]})
		return err
	}
	p.input, p.output, p.errors = pipes[1], pipes[2], pipes[4]
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// startTTY starts systemd-run, which has systemd open a terminal of ours.
func (p *process) startTTY(want wire.Terminal, args, command []string) error {
	terminal, err := openPTY(want.Size)
	if err != nil {
		return err
	}
	args = append(args, "--property=StandardInput=tty", "--property=StandardOutput=tty", "--property=StandardError=tty",
		"--property=TTYPath="+terminal.path)
	if want.Term != "" {
		args = append(args, "--setenv=TERM="+want.Term)
	}
	p.run = exec.Command("systemd-run", append(append(args, "--"), command...)...) //nolint:gosec,noctx // the caller is root; Kill ends it
	p.run.Stderr = &p.complaint
	if err := p.run.Start(); err != nil {
		terminal.close()
		return err
	}
	p.terminal, p.input, p.output = terminal, terminal.master, terminal.master
	return nil
}

// Input implements channel.Process.
func (p *process) Input(b []byte) error {
	_, err := p.input.Write(b)
	return err
}

// endOfText is what a terminal takes for the end of its input.
const endOfText = 4

// InputEnd implements channel.Process.
func (p *process) InputEnd() error {
	if p.terminal != nil {
		return p.Input([]byte{endOfText})
	}
	return p.input.Close()
}

// Resize implements channel.Process.
func (p *process) Resize(size wire.TerminalSize) error {
	if p.terminal == nil {
		return nil
	}
	return p.terminal.resize(size)
}

// Output implements channel.Process.
func (p *process) Output() io.Reader { return p.output }

// Errors implements channel.Process.
func (p *process) Errors() io.Reader {
	if p.errors == nil {
		return nil
	}
	return p.errors
}

// Wait implements channel.Process.
func (p *process) Wait() (int, error) {
	err := p.run.Wait()
	close(p.ended)
	// The process is gone, and with it all that it started: whatever is still
	// in the outputs can be read, and then they end.
	if p.terminal != nil {
		p.terminal.hangUp()
	} else {
		_ = p.input.Close() // a write that nobody reads ends too
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), p.refused(exit.ExitCode())
	}
	if err != nil {
		return 0, cluster.Errorf(cluster.Internal, "systemd-run: %w", err)
	}
	return 0, nil
}

// refused returns what systemd-run complained of, if it did: then nothing ran.
func (p *process) refused(code int) error {
	if text := strings.TrimSpace(p.complaint.String()); code != 0 && text != "" {
		return cluster.Errorf(cluster.Unavailable, "start a session on this node: %s", text)
	}
	return nil
}

// Close implements channel.Process.
func (p *process) Close() {
	if p.terminal != nil {
		p.terminal.close()
		return
	}
	closeAll([]*os.File{p.input, p.output, p.errors})
}

// Kill implements channel.Process. systemd-run may be about to start the service:
// it is stopped until systemd-run, which waits for its end, has ended.
func (p *process) Kill() {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	for {
		_, _ = p.host.manager.Run(ctx, systemd.Stop, p.unit) // it may not be there yet
		select {
		case <-p.ended:
			return
		default:
		}
		if loop.Sleep(ctx, killEvery) != nil {
			_ = p.run.Process.Kill() // the service is bound to the daemon's, and ends with that
			return
		}
	}
}
