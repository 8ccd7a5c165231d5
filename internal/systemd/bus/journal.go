package bus

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// lineMax is the longest line of a journal that is handed on, in bytes; the
// rest of a longer one is cut off.
const lineMax = 16 << 10

// Journal is a systemd.Journal that asks journalctl.
type Journal struct {
	// Program is journalctl; "" looks it up in the path.
	Program string
}

var _ systemd.Journal = Journal{}

// Tail implements systemd.Journal. The lines have no time and no prefix.
func (j Journal) Tail(ctx context.Context, name cluster.UnitName, n int) ([]string, error) {
	j.sync(ctx)
	var lines []string
	err := j.read(ctx, []string{"--output=cat", "--lines=" + strconv.Itoa(n), "--unit=" + string(name)}, func(line string) error {
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

// sync waits until the journal has taken in what was written before: the last
// words of a unit that has just failed may still be on their way. If it cannot
// be done, the journal is read as it is.
func (j Journal) sync(ctx context.Context) {
	_ = exec.CommandContext(ctx, cmp.Or(j.Program, "journalctl"), "--sync").Run()
}

// Follow implements systemd.Journal. Each line begins with its time and the
// program that wrote it.
func (j Journal) Follow(ctx context.Context, name cluster.UnitName, n int, follow bool, line func(string) error) error {
	args := []string{"--output=short-iso", "--lines=" + strconv.Itoa(n), "--unit=" + string(name)}
	if follow {
		args = append(args, "--follow")
	}
	return j.read(ctx, args, line)
}

// read runs journalctl and hands its lines on. It returns when journalctl
// ends, ctx ends, or line refuses one; the process is gone then.
func (j Journal) read(ctx context.Context, args []string, line func(string) error) error {
	program := j.Program
	if program == "" {
		program = "journalctl"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--no-pager", "--quiet", "--all"}, args...)...)
	cmd.WaitDelay = time.Second
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run journalctl: %w", err)
	}
	refused := eachLine(out, line)
	if refused != nil {
		cancel()
	}
	err = cmd.Wait()
	switch {
	case refused != nil:
		return refused
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("journalctl: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// eachLine calls f with each line, cut to lineMax and in valid UTF-8.
func eachLine(r io.Reader, f func(string) error) error {
	in := bufio.NewReaderSize(r, lineMax)
	for {
		text, err := in.ReadSlice('\n')
		cut := strings.ToValidUTF8(strings.TrimSuffix(string(text), "\n"), "�")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if len(text) > 0 {
			if err := f(cut); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // the end; what else went wrong, Wait will tell
		}
	}
}
