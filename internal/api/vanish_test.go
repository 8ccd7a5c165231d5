package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/loop"
)

// cable is a caller's end of a connection. Once it is pulled, the caller's machine
// takes nothing and says nothing any more, not even that it is gone.
type cable struct {
	net.Conn
	once           sync.Once
	pulled, closed chan struct{}
}

func (c *cable) gone() bool {
	select {
	case <-c.pulled:
		<-c.closed
		return true
	default:
		return false
	}
}

func (c *cable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.gone() {
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cable) Write(p []byte) (int, error) {
	if c.gone() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *cable) Close() error {
	c.once.Do(func() { close(c.closed) })
	select {
	case <-c.pulled:
		return nil // nobody hears of it
	default:
		return c.Conn.Close()
	}
}

// plug is a listener of one connection.
type plug struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *plug) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *plug) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *plug) Addr() net.Addr { return &net.UnixAddr{Name: "plug", Net: "unix"} }

// endless is input without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A command that leaves its input unread takes nothing from its client, whose
// silence means nothing then; one that is gone is noticed all the same.
func TestACommandThatReadsNothingEndsWhenItsClientLosesPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeHost{}
		terminals := NewTerminals(there, host, slog.New(slog.DiscardHandler))
		server := NewHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.SetPathValue("id", string(there))
			terminals.serve(w, r, "somebody", func() error { return nil })
		}), slog.New(slog.DiscardHandler))
		near, far := net.Pipe()
		end := &cable{Conn: near, pulled: make(chan struct{}), closed: make(chan struct{})}
		socket := &plug{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		socket.conns <- far
		go func() { _ = server.Serve(socket) }()
		user := client.New(client.Config{Socket: "plug", Dial: func(context.Context, string) (net.Conn, error) { return end, nil }})
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			_, _ = user.Terminal(ctx, there, wire.Terminal{Command: "wait"}, channel.Streams{In: endless{}, Out: io.Discard, Err: io.Discard})
		}()
		_ = loop.Sleep(t.Context(), 10*time.Minute)
		if started, killed := host.counts(); started != 1 || killed != 0 {
			t.Fatalf("%d started, %d killed while the client is well", started, killed)
		}
		close(end.pulled)
		_ = loop.Sleep(t.Context(), pingAfter+pingMax+time.Second)
		if _, killed := host.counts(); killed != 1 || terminals.open.Load() != 0 {
			t.Errorf("it goes on: %d killed", killed)
		}
		leave()
		_ = end.Close()
		<-left
		user.Close()
		_ = server.Close()
		_ = far.Close()
	})
}
