package terminal

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"argosy/internal/api/wire"
)

// pty is a pseudo-terminal (pty(7)). Its other end stays open until hangUp, so
// that opening and closing it, as systemd does, is no end for our reader.
type pty struct {
	master *os.File
	path   string // of the other end

	once  sync.Once
	slave *os.File
}

func openPTY(size wire.TerminalSize) (*pty, error) {
	// Without blocking, so that a read is ended by closing.
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	t := &pty{master: master}
	number := 0
	err = t.control(func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err == nil {
		t.path = fmt.Sprintf("/dev/pts/%d", number)
		t.slave, err = os.OpenFile(t.path, os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = t.resize(size)
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	return t, nil
}

// control does something with the descriptor, which stays out of blocking mode.
func (t *pty) control(do func(fd int) error) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	if outer := raw.Control(func(fd uintptr) { err = do(int(fd)) }); outer != nil { //nolint:gosec // a descriptor
		return outer
	}
	return err
}

// resize sets the size; a zero one is that of the terminals of old.
func (t *pty) resize(size wire.TerminalSize) error {
	if size.Rows == 0 || size.Columns == 0 {
		size = wire.TerminalSize{Rows: 24, Columns: 80}
	}
	return t.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	})
}

// hangUp closes the other end: what is in the terminal can still be read, and
// then reading fails.
func (t *pty) hangUp() {
	t.once.Do(func() {
		if t.slave != nil {
			_ = t.slave.Close()
		}
	})
}

func (t *pty) close() {
	t.hangUp()
	_ = t.master.Close()
}
