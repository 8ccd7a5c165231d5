package client

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"argosy/internal/cluster"
)

// ends remembers what the newest connection to the one daemon of a client said of
// its end. HTTP/2 forgets it if the connection ends before the first request is on
// it, and only says that there is none. Its methods may be called concurrently.
type ends struct {
	why atomic.Pointer[cluster.Error]
}

// watched dials connections whose ends are remembered.
func (e *ends) watched(dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		e.why.Store(nil)
		conn, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return watchedConn{conn, e}, nil
	}
}

// of returns the end that an error of HTTP/2 keeps back, or the error.
func (e *ends) of(err error) error {
	if why := e.why.Load(); why != nil {
		return why
	}
	return err
}

type watchedConn struct {
	net.Conn
	ends *ends
}

func (c watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.noted(err)
}

func (c watchedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.noted(err)
}

func (c watchedConn) noted(err error) error {
	if why, ok := errors.AsType[*cluster.Error](err); ok {
		c.ends.why.Store(why)
	}
	return err
}
