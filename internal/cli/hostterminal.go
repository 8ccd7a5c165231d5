package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"argosy/internal/api/wire"
)

// HostTerminal returns the terminal at a file of this process.
func HostTerminal(in *os.File) Terminal { return &hostTerminal{in} }

type hostTerminal struct{ in *os.File }

// Raw implements Terminal.
func (t *hostTerminal) Raw() (func(), error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(t.in.Fd()), before) }, nil
}

// Sizes implements Terminal.
func (t *hostTerminal) Sizes(ctx context.Context) <-chan wire.TerminalSize {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	sizes := make(chan wire.TerminalSize)
	go func() {
		defer signal.Stop(changed)
		for {
			select {
			case sizes <- t.size():
			case <-ctx.Done():
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

// size returns the size now; zero if it is not known.
func (t *hostTerminal) size() wire.TerminalSize {
	columns, rows, err := term.GetSize(int(t.in.Fd()))
	if err != nil || columns <= 0 || rows <= 0 || columns > 0xffff || rows > 0xffff {
		return wire.TerminalSize{}
	}
	return wire.TerminalSize{Rows: uint16(rows), Columns: uint16(columns)}
}
