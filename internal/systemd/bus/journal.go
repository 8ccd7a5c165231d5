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

// The longest line of a journal that is handed on, in bytes; the rest of a longer
// one is cut off. Tail's lines are kept in the store. Follow's may be whole
// entries as JSON, which must not be cut: they have room for the longest line that
// the journal takes (48 KiB), as numbers if it is no text, and for what else it
// notes.
const (
	lineMax  = 16 << 10
	entryMax = 256 << 10
)

// Journal is a systemd.Journal that asks journalctl.
type Journal struct {
	// Program is journalctl; "" looks it up in the path.
	Program string
}

var _ systemd.Journal = Journal{}

// Tail implements systemd.Journal. The lines have no time and no prefix.
func (j Journal) Tail(ctx context.Context, name cluster.UnitName, n int) ([]string, error) {
	var lines []string
	err := j.run(ctx, []string{"--output=cat", "--lines=" + strconv.Itoa(n), "--unit=" + string(name)}, func(out io.Reader) error {
		return eachLine(out, lineMax, func(line string) error {
			lines = append(lines, line)
			return nil
		})
	})
	return lines, err
}

// Sync implements systemd.Journal.
func (j Journal) Sync(ctx context.Context) error {
	return j.run(ctx, []string{"--sync"}, func(out io.Reader) error {
		_, err := io.Copy(io.Discard, out)
		return err
	})
}

// Follow implements systemd.Journal.
func (j Journal) Follow(ctx context.Context, name cluster.UnitName, view systemd.JournalView, line func(string) error) error {
	if err := systemd.CheckJournalForm(view.Form); err != nil {
		return err
	}
	form := cmp.Or(view.Form, systemd.JournalShortISO)
	args := []string{"--output=" + form, "--lines=" + strconv.Itoa(view.Lines), "--unit=" + string(name)}
	if view.Follow {
		args = append(args, "--follow")
	}
	return j.run(ctx, args, func(out io.Reader) error {
		if form == systemd.JournalExport {
			return eachPiece(out, line)
		}
		return eachLine(out, entryMax, line)
	})
}

// run runs journalctl and has its output taken. It returns when journalctl ends,
// ctx ends, or its output is refused; the process is gone then.
func (j Journal) run(ctx context.Context, args []string, take func(io.Reader) error) error {
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
	refused := take(out)
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

// eachPiece calls f with what is read, as it comes, byte for byte.
func eachPiece(r io.Reader, f func(string) error) error {
	piece := make([]byte, lineMax)
	for {
		n, err := r.Read(piece)
		if n > 0 {
			if err := f(string(piece[:n])); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // the end; what else went wrong, Wait will tell
		}
	}
}

// eachLine calls f with each line, cut to most bytes and in valid UTF-8.
func eachLine(r io.Reader, most int, f func(string) error) error {
	in := bufio.NewReaderSize(r, most)
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
