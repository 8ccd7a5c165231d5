// Package tunnel reaches the socket of a daemon through another program, as a
// rule ssh: the program's standard input and output are the connection.
//
// SSH makes the command line, Dial runs it, Forward is the far side of it
// ("argosy fd-forward"). Keys, agents and the files of ssh stay ssh's own matter.
package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
)

const (
	// saidMax is how many bytes of what a program says last are kept, for the error.
	saidMax = 1 << 10
	// lingerMax is how long a program that has ended may leave its standard
	// error open to a child of its own.
	lingerMax = time.Second
)

// Dial runs a program and returns its standard input and output as a connection.
// The program is killed when ctx ends, which must therefore outlive the
// connection. If it ends before a byte came out of it, reading fails with an
// Unavailable error that has its last words.
func Dial(ctx context.Context, command []string) (net.Conn, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, cluster.Errorf(cluster.Internal, "make a tunnel: %w", err)
	}
	defer func() { _ = theirs.Close() }() // the program has its own
	t := &conn{Conn: ours, name: command[0], ended: make(chan struct{})}
	program := exec.CommandContext(ctx, command[0], command[1:]...)
	program.Stdin, program.Stdout, program.Stderr = theirs, theirs, &t.said
	program.WaitDelay = lingerMax
	if err := program.Start(); err != nil {
		_ = ours.Close()
		return nil, cluster.Errorf(cluster.Unavailable, "run %s: %w", command[0], err)
	}
	go func() { // ends with the program: with ctx at the latest
		t.exit = program.Wait()
		close(t.ended)
	}()
	return t, nil
}

// pair makes a connection with two ends: a pair of sockets, since both pipes of
// a connection by pipes would need deadlines.
func pair() (ours net.Conn, theirs *os.File, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	near := os.NewFile(uintptr(ends[0]), "tunnel")
	theirs = os.NewFile(uintptr(ends[1]), "tunnel")
	ours, err = net.FileConn(near) // on a copy
	if err = errors.Join(err, near.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// conn is the near end of a tunnel.
type conn struct {
	net.Conn
	name  string
	said  lastWords
	heard atomic.Bool   // a byte came out
	ended chan struct{} // closed after exit was set
	exit  error
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.explained(err)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explained(err)
}

// explained turns the end of a tunnel that never came up into the reason.
func (c *conn) explained(err error) error {
	over := errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
	if !over || c.heard.Load() {
		return err
	}
	<-c.ended // its end of the socket is closed: it has ended, or is about to
	why := c.said.line()
	if why == "" && c.exit != nil {
		why = c.exit.Error()
	}
	if why == "" {
		why = "the far side closed it"
	}
	return cluster.Errorf(cluster.Unavailable, "no tunnel by %s: %s", c.name, why)
}

// lastWords keeps the end of what is written to it. It is safe for concurrent use.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-saidMax):]
	return len(p), nil
}

// line returns what was written as one line.
func (w *lastWords) line() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.FieldsFunc(string(w.text), func(r rune) bool { return r == '\r' || r == '\n' })
	return strings.Join(lines, "; ")
}

// Forward connects two streams with a unix socket, until the socket is closed
// at its other end, or ctx ends. The end of in closes only that direction.
func Forward(ctx context.Context, socket string, in io.Reader, out io.Writer) error {
	var dialer net.Dialer
	to, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return cluster.Errorf(cluster.Unavailable, "%w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = to.Close() })()
	defer func() { _ = to.Close() }()
	go func() { // a read of standard input cannot be interrupted: it ends with the process
		_, _ = io.Copy(to, in)
		if half, ok := to.(*net.UnixConn); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(out, to); err != nil && ctx.Err() == nil {
		return cluster.Errorf(cluster.Unavailable, "%w", err)
	}
	return nil
}
