package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// A command that is told to end may leave others behind that hold its output.
const commandLinger = 500 * time.Millisecond

// run runs a command, which says by its exit code whether all is well.
func run(ctx context.Context, command, environment []string) error {
	var said tail
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the unit's own command
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", environment, &said, &said
	// A group of its own, so that all of it ends when its time is over; and nothing of
	// it outlives the daemon.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = commandLinger
	// The kernel takes the end of the thread that made a process for that of its
	// parent: this one must not end meanwhile.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whom it left behind
	}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it said its word; somebody it left behind holds its output
		return nil
	case !errors.As(err, &exit):
		return err
	}
	reason := exit.Error()
	if code := exit.ExitCode(); code >= 0 {
		reason = fmt.Sprintf("exit code %d", code)
	}
	if line := said.lastLine(); line != "" {
		reason += ": " + line
	}
	return errors.New(reason)
}

// tailMax is how much of what a command says last is kept.
const tailMax = 200

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailMax; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// lastLine returns the last line that says something, as plain text.
func (t *tail) lastLine() string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "")), "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, lines[len(lines)-1])
}
