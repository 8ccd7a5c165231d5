package resolve

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// guests are the connections that are open: so many in all, and so many of one client. A
// new one finds room always: the one that has been silent longest is closed for it.
// Programs of one machine are one client, and one that keeps connections to itself must
// not keep the others out.
type guests struct {
	most, each int

	mu   sync.Mutex
	open map[*guest]bool
}

// guest is one connection.
type guest struct {
	client netip.Addr
	conn   net.Conn
	busy   bool      // it waits for an answer
	since  time.Time // when that last changed
}

func newGuests(most, each int) *guests {
	return &guests{most: most, each: each, open: map[*guest]bool{}}
}

// admit lets a connection in, and says whether another one was closed for it.
func (g *guests) admit(client netip.Addr, conn net.Conn, now time.Time) (in *guest, crowded bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in = &guest{client: client, conn: conn, since: now}
	own := func(o *guest) bool { return o.client == client }
	if g.count(own) >= g.each {
		crowded = true
		g.close(own)
	}
	if all := func(*guest) bool { return true }; len(g.open) >= g.most {
		crowded = true
		g.close(all)
	}
	g.open[in] = true
	return in, crowded
}

func (g *guests) count(which func(*guest) bool) (n int) {
	for o := range g.open {
		if which(o) {
			n++
		}
	}
	return n
}

// close closes the one of some that has been silent longest; only if all wait for
// answers, one of these.
func (g *guests) close(which func(*guest) bool) {
	var last *guest
	for o := range g.open {
		if which(o) && (last == nil || last.busy && !o.busy || last.busy == o.busy && o.since.Before(last.since)) {
			last = o
		}
	}
	if last != nil {
		delete(g.open, last)
		_ = last.conn.Close()
	}
}

// mark notes that a connection waits for an answer, or has got it.
func (g *guests) mark(o *guest, busy bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o.busy, o.since = busy, now
}

func (g *guests) leave(o *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, o)
}
