package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// serverOf is a server at the other end of a pipe; it speaks HTTP/2 in the
// clear, as unix sockets do, so that a bubble's time is the only one.
type serverOf struct {
	handler http.HandlerFunc
	silent  bool // takes connections and says nothing
	calls   atomic.Int64
}

// dial makes a client of one server that is reached over an in-memory pipe.
func (s *serverOf) dial(t *testing.T) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		if s.silent {
			t.Cleanup(func() { _, _ = near.Close(), far.Close() })
			go func() { _, _ = io.Copy(io.Discard, far) }()
			return near, nil
		}
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.calls.Add(1)
			s.handler(w, r)
		})}
		listener := &oneConn{conn: far, done: make(chan struct{})}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close(); _ = near.Close(); listener.end() })
		return near, nil
	}
}

// oneConn is a listener for one connection.
type oneConn struct {
	conn  net.Conn
	taken atomic.Bool
	ended atomic.Bool
	done  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.taken.Swap(true) {
		return l.conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) end() {
	if !l.ended.Swap(true) {
		close(l.done)
	}
}
func (l *oneConn) Close() error   { l.end(); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// newClient makes a client of one server.
func newClient(t *testing.T, s *serverOf) *client.Client {
	c := client.New(client.Config{Socket: "pipe", Dial: s.dial(t)})
	t.Cleanup(c.Close)
	return c
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Every way in which a call can go wrong has a kind that says what may have
// happened, and words for a person.
func TestWhatBecomesOfACall(t *testing.T) {
	read := func(ctx context.Context, c *client.Client) error { _, err := c.Units(ctx); return err }
	write := func(ctx context.Context, c *client.Client) error {
		_, err := c.Destroy(ctx, []cluster.UnitName{"a.service"})
		return err
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"items":[`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name   string
		server *serverOf
		call   func(context.Context, *client.Client) error
		kind   cluster.Kind
		says   string
		hint   string
	}{
		{"a refusal with its code and hint", &serverOf{handler: answer(409, `{"title":"Conflict","status":409,"detail":"somebody else","code":"conflict","hint":"try again"}`)}, write, cluster.Conflict, "somebody else", "try again"},
		{"a refusal by the framework", &serverOf{handler: answer(422, `{"title":"Unprocessable","status":422,"detail":"validation failed","errors":[{"message":"expected string","location":"body.names"}]}`)}, write, cluster.Invalid, "body.names: expected string", ""},
		{"an error page that is none of ours", &serverOf{handler: answer(500, "<html>boom")}, read, cluster.Internal, "boom", ""},
		{"a server that is starting", &serverOf{handler: answer(503, "starting")}, write, cluster.Unavailable, "starting", ""},
		{"an answer that is garbage", &serverOf{handler: answer(200, "garbage")}, read, cluster.Unavailable, "read the answer", ""},
		{"an answer to a read that is cut", &serverOf{handler: cut}, read, cluster.Unavailable, "read the answer", ""},
		{"an answer to a write that is cut: it was done, and how is not known", &serverOf{handler: cut}, write, cluster.Unknown, "read the answer", ""},
		{"a read that nobody answers: nothing happened", &serverOf{silent: true}, read, cluster.Unavailable, "no answer in time", ""},
		{"a write that nobody answers: it may have happened", &serverOf{silent: true}, write, cluster.Unknown, "no answer in time", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := tt.call(ctx, newClient(t, tt.server))
				if cluster.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.says) || cluster.HintOf(err) != tt.hint {
					t.Errorf("got %v (%s), hint %q", err, cluster.KindOf(err), cluster.HintOf(err))
				}
			})
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &serverOf{silent: true})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { _, err := c.Units(ctx); ended <- err }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// stream is a handler that sends lines, then does something.
func stream(lines int, then func(ctx context.Context)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := range lines {
			_, _ = fmt.Fprintf(w, "{\"revision\":%d}\n", i+1)
		}
		_ = http.NewResponseController(w).Flush()
		then(r.Context())
	}
}

func TestHowAStreamEnds(t *testing.T) {
	quiet := func(ctx context.Context) { <-ctx.Done() }
	for _, tt := range []struct {
		name   string
		then   func(ctx context.Context)
		each   error
		cancel bool
		want   func(error) bool
	}{
		{"by the server, in good order: watch again", func(context.Context) {}, nil, false, func(err error) bool { return err == nil }},
		{"by a server that broke off", func(context.Context) { panic(http.ErrAbortHandler) }, nil, false, func(err error) bool { return cluster.KindOf(err) == cluster.Unavailable }},
		{"by silence: a server says every 5 s that it lives", quiet, nil, false, func(err error) bool { return cluster.KindOf(err) == cluster.Unavailable }},
		{"by its reader", quiet, io.ErrShortBuffer, false, func(err error) bool { return errors.Is(err, io.ErrShortBuffer) }},
		{"by the reader's context", quiet, nil, true, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, &serverOf{handler: stream(2, tt.then)})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var seen []cluster.Revision
				began := time.Now()
				err := c.Watch(ctx, func(m wire.Change) error {
					seen = append(seen, m.Revision)
					if tt.cancel && len(seen) == 2 {
						cancel()
					}
					if len(seen) == 2 {
						return tt.each
					}
					return nil
				})
				if !tt.want(err) || len(seen) != 2 || time.Since(began) > 30*time.Second {
					t.Errorf("after %s and %v: %v (%s)", time.Since(began), seen, err, cluster.KindOf(err))
				}
			})
		})
	}
}

// several servers, by their addresses, over plain pipes.
func several(t *testing.T, servers map[string]*serverOf, order ...string) *client.Client {
	t.Helper()
	c := client.New(client.Config{Socket: "pipe", Dial: func(ctx context.Context, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		s := servers[host]
		if s == nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}
		return s.dial(t)(ctx, address)
	}})
	c.SetAddresses(order)
	t.Cleanup(c.Close)
	return c
}

func TestServersAreAskedInTurnUntilOneAnswers(t *testing.T) {
	good := func() *serverOf { return &serverOf{handler: answer(200, `{"items":[]}`)} }
	for _, tt := range []struct {
		name        string
		first       *serverOf
		write       bool
		askedSecond bool
	}{
		{"one that is off is passed over", nil, true, true},
		{"one that says that it did nothing is passed over", &serverOf{handler: answer(503, "starting")}, true, true},
		{"a refusal counts: no other is asked", &serverOf{handler: answer(403, `{"title":"Forbidden","status":403,"code":"denied","detail":"no"}`)}, false, false},
		{"a write that broke off may have been done: no other is asked", &serverOf{handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, true, false},
		{"a read that broke off is asked of another", &serverOf{handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := map[string]*serverOf{"b": good()}
				if tt.first != nil {
					servers["a"] = tt.first
				}
				c := several(t, servers, "a:1", "b:1")
				var err error
				if tt.write {
					_, err = c.Destroy(t.Context(), []cluster.UnitName{"a.service"})
				} else {
					_, err = c.Units(t.Context())
				}
				if asked := servers["b"].calls.Load() == 1; asked != tt.askedSecond || (err == nil) != tt.askedSecond {
					t.Errorf("the second was asked: %v; %v", asked, err)
				}
			})
		})
	}
}

func TestTheServerThatAnsweredIsAskedFirstNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := map[string]*serverOf{
			"a": {handler: answer(503, "starting")}, "b": {handler: answer(200, `{"items":[]}`)},
		}
		c := several(t, servers, "a:1", "b:1")
		for range 3 {
			if _, err := c.Units(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := servers["a"].calls.Load(), servers["b"].calls.Load(); a != 1 || b != 3 {
			t.Errorf("asked %d and %d times", a, b)
		}
		_ = loop.Sleep(t.Context(), time.Millisecond)
	})
}

func TestWithoutAServerThereIsAReason(t *testing.T) {
	c := client.New(client.Config{Addresses: nil})
	if _, err := c.Units(t.Context()); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("got %v", err)
	}
	refused := client.New(client.Config{Socket: t.TempDir() + "/none"})
	if _, err := refused.Units(t.Context()); cluster.KindOf(err) != cluster.Unavailable || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
}

// A server without a quorum takes two seconds to find out, so nothing may be lost
// with waiting for one that has no power.
func TestAPageIsThatOfTheFirstServerThatAnswers(t *testing.T) {
	alive := httptest.NewUnstartedServer(answer(200, `{"formed": true, "nodes": 3}`))
	alive.EnableHTTP2 = true
	alive.StartTLS()
	defer alive.Close()
	trust := alive.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com" // which its certificate is for
	c := client.New(client.Config{
		Addresses: []string{"dead:1", "alive:1", "dead:2"},
		TLS:       trust,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "dead") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return new(net.Dialer).DialContext(ctx, "tcp", alive.Listener.Addr().String())
		},
	})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if page, err := c.StatusOfAny(ctx); err != nil || page.Nodes != 3 {
		t.Errorf("%+v, %v", page, err)
	}
	c.SetAddresses([]string{"dead:1"})
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.StatusOfAny(ctx); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("nobody answers: %v", err)
	}
}
