package terminal

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/systemd/systemdtest"
)

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	for name, want := range map[string]wire.Terminal{
		"a command that is too long":   {Command: strings.Repeat("x", 70<<10)},
		"a command that is no text":    {Command: "echo \xff"},
		"a command with a zero in it":  {Command: "echo \x00"},
		"a kind of terminal with more": {TTY: true, Term: "xterm LD_PRELOAD=/tmp/x"},
		"a kind that is too long":      {TTY: true, Term: strings.Repeat("x", 65)},
	} {
		if _, err := NewHost(systemdtest.NewFake(), "argosy.service").Start(want); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATerminalIsReadToItsEnd(t *testing.T) {
	p, err := openPTY(wire.TerminalSize{Rows: 33, Columns: 111})
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	defer p.close()
	// As systemd does: the other end is opened and closed, which is no end yet.
	for _, line := range []string{"first\n", "last\n"} {
		far, err := os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		size, err := unix.IoctlGetWinsize(int(far.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Row != 33 || size.Col != 111 {
			t.Errorf("the size is %+v, %v", size, err)
		}
		if _, err := far.WriteString(line); err != nil {
			t.Fatal(err)
		}
		_ = far.Close()
	}
	p.hangUp()
	lines := bufio.NewScanner(p.master)
	var got []string
	for lines.Scan() {
		got = append(got, lines.Text())
	}
	if strings.Join(got, ",") != "first,last" {
		t.Errorf("read %q", got)
	}
	if err := p.resize(wire.TerminalSize{}); err != nil {
		t.Error(err)
	}
}

func TestClosingATerminalEndsItsReader(t *testing.T) {
	p, err := openPTY(wire.TerminalSize{})
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	ended := make(chan error)
	go func() {
		_, err := p.master.Read(make([]byte, 1))
		ended <- err
	}()
	p.close()
	if <-ended == nil {
		t.Error("it reads on")
	}
}
