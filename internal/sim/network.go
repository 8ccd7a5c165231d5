package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// dialMax is how long a call to a host that says nothing takes to give up.
const dialMax = 3 * time.Second

// latency is the time that a message takes on a good line.
const latency = time.Millisecond

// Network is the wire between hosts, in memory and in simulated time. It
// behaves as TCP does: what cannot be delivered is held, and comes late when
// the line heals; a host that lost power says nothing, and what is left of its
// connections breaks when it is back. Writing never blocks.
//
// All methods may be called concurrently.
type Network struct {
	mu      sync.Mutex
	random  *rand.Rand
	hosts   map[string]*host
	cuts    map[direction]bool
	changed chan struct{} // closed and replaced whenever a line changes
	closed  bool
}

type direction struct{ from, to string }

type host struct {
	name      string
	up        bool
	paused    bool
	slow      time.Duration
	loss      float64 // share of the messages that break their connection
	listeners map[string]*listener
	conns     map[*conn]bool
}

// NewNetwork makes a network without hosts; the seed decides which messages of
// a lossy host are lost.
func NewNetwork(seed uint64) *Network {
	return &Network{
		random: rand.New(rand.NewPCG(seed, 1)), hosts: map[string]*host{}, cuts: map[direction]bool{},
		changed: make(chan struct{}),
	}
}

// change does something to the network and lets everybody look again.
func (n *Network) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
}

// AddHost adds a host that is up; its name is its IP address.
func (n *Network) AddHost(name string) {
	n.change(func() {
		n.hosts[name] = &host{name: name, up: true, listeners: map[string]*listener{}, conns: map[*conn]bool{}}
	})
}

// SetPower takes a host off the network at once, or puts it back.
func (n *Network) SetPower(name string, on bool) {
	n.change(func() {
		h := n.hosts[name]
		if on && !h.up {
			n.breakAll(h)
		}
		h.up = on
	})
}

// SetPaused makes a host hear and say nothing; all that was meant for it or
// came from it is delivered when it goes on.
func (n *Network) SetPaused(name string, paused bool) {
	n.change(func() { n.hosts[name].paused = paused })
}

// SetSlow adds to the time that each message of a host takes.
func (n *Network) SetSlow(name string, d time.Duration) {
	n.change(func() { n.hosts[name].slow = d })
}

// SetLoss makes a share of a host's messages break their connections.
func (n *Network) SetLoss(name string, share float64) {
	n.change(func() { n.hosts[name].loss = share })
}

// Cut holds up what goes from one host to another.
func (n *Network) Cut(from, to string) {
	n.change(func() { n.cuts[direction{from, to}] = true })
}

// Heal undoes every cut, slowness and loss.
func (n *Network) Heal() {
	n.change(func() {
		clear(n.cuts)
		for _, h := range n.hosts {
			h.slow, h.loss = 0, 0
		}
	})
}

// Close breaks every connection and refuses new ones.
func (n *Network) Close() {
	n.change(func() {
		n.closed = true
		for _, h := range n.hosts {
			n.breakAll(h)
		}
	})
}

// Reach reports whether two hosts can talk, both ways. Every host reaches
// itself while it is up and not paused. The channel is closed when that may
// have changed.
func (n *Network) Reach(a, b string) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open(a, b) && n.open(b, a), n.changed
}

// open reports whether messages get from one host to another now.
func (n *Network) open(from, to string) bool {
	a, b := n.hosts[from], n.hosts[to]
	return a.up && b.up && !a.paused && !b.paused && !n.cuts[direction{from, to}]
}

func (n *Network) breakAll(h *host) {
	for c := range maps.Keys(h.conns) {
		c.in.broken, c.out.broken = syscall.ECONNRESET, syscall.ECONNRESET
		delete(h.conns, c)
	}
}

// Listen opens a port ("ip:port") of a host.
func (n *Network) Listen(address string) (net.Listener, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil || h.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Err: syscall.EADDRINUSE}
	}
	l := &listener{net: n, host: h, address: addr(address), accept: make(chan net.Conn, 1024), closed: make(chan struct{})}
	h.listeners[address] = l
	return l, nil
}

// Dial connects a host with an address.
func (n *Network) Dial(ctx context.Context, from, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialMax)
	defer cancel()
	for {
		n.mu.Lock()
		target := n.hosts[name]
		if target == nil || n.closed {
			n.mu.Unlock()
			return nil, dialError(syscall.EHOSTUNREACH)
		}
		if n.open(from, name) && n.open(name, from) {
			defer n.mu.Unlock()
			l := target.listeners[address]
			if l == nil {
				return nil, dialError(syscall.ECONNREFUSED)
			}
			return n.connect(n.hosts[from], l)
		}
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, dialError(syscall.ETIMEDOUT)
		}
	}
}

func dialError(err error) error { return &net.OpError{Op: "dial", Net: "sim", Err: err} }

func (n *Network) connect(from *host, l *listener) (net.Conn, error) {
	there, back := newLine(from.name, l.host.name), newLine(l.host.name, from.name)
	near := &conn{net: n, host: from, in: back, out: there, local: addr(from.name + ":0"), remote: l.address}
	far := &conn{net: n, host: l.host, in: there, out: back, local: l.address, remote: near.local}
	select {
	case l.accept <- far:
	default:
		return nil, dialError(syscall.ECONNREFUSED)
	}
	from.conns[near], l.host.conns[far] = true, true
	return near, nil
}

// addr is an address of the simulated network.
type addr string

// Network implements net.Addr.
func (addr) Network() string  { return "sim" }
func (a addr) String() string { return string(a) }

type listener struct {
	net     *Network
	host    *host
	address addr
	accept  chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.host.listeners, string(l.address))
		close(l.closed)
		for {
			select {
			case c := <-l.accept: // nobody will serve it
				far := c.(*conn)
				far.in.broken, far.out.broken = syscall.ECONNRESET, syscall.ECONNRESET
				far.in.signal()
				far.out.signal()
			default:
				return
			}
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.address }

// line is one direction of a connection; the network's mutex guards it.
type line struct {
	direction
	queue  []chunk
	eof    bool // nothing follows the queue
	broken error
	wake   chan struct{} // closed and replaced when a reader should look again
}

type chunk struct {
	at   time.Time // when it arrives
	data []byte
}

func newLine(from, to string) *line {
	return &line{direction: direction{from, to}, wake: make(chan struct{})}
}

func (l *line) signal() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// conn is one end of a connection.
type conn struct {
	net           *Network
	host          *host
	in, out       *line
	local, remote addr
	closed        bool
	deadline      time.Time // of reads; writes never wait
}

// errAgain means that there is nothing to read yet.
var errAgain = errors.New("nothing yet")

func (c *conn) Read(b []byte) (int, error) {
	for {
		c.net.mu.Lock()
		n, until, err := c.take(b)
		wake, changed := c.in.wake, c.net.changed
		c.net.mu.Unlock()
		if !errors.Is(err, errAgain) {
			return n, err
		}
		await(until, wake, changed)
	}
}

// take reads what has arrived; with errAgain it says until when to wait.
func (c *conn) take(b []byte) (n int, until time.Time, err error) {
	now := time.Now()
	open := c.net.open(c.in.from, c.in.to)
	switch {
	case c.closed:
		return 0, until, net.ErrClosed
	case c.in.broken != nil:
		return 0, until, &net.OpError{Op: "read", Net: "sim", Err: c.in.broken}
	case !c.deadline.IsZero() && !now.Before(c.deadline):
		return 0, until, os.ErrDeadlineExceeded
	case open && len(c.in.queue) == 0 && c.in.eof:
		return 0, until, io.EOF
	case open && len(c.in.queue) > 0 && !now.Before(c.in.queue[0].at):
		first := &c.in.queue[0]
		n = copy(b, first.data)
		if first.data = first.data[n:]; len(first.data) == 0 {
			c.in.queue = c.in.queue[1:]
		}
		return n, until, nil
	}
	until = c.deadline
	if open && len(c.in.queue) > 0 && (until.IsZero() || c.in.queue[0].at.Before(until)) {
		until = c.in.queue[0].at
	}
	return 0, until, errAgain
}

// await returns at a time (zero: never) or when one of the channels closes.
func await(until time.Time, wake, changed <-chan struct{}) {
	ctx := context.Background()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	select {
	case <-wake:
	case <-changed:
	case <-ctx.Done():
	}
}

func (c *conn) Write(b []byte) (int, error) {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	a, z := n.hosts[c.out.from], n.hosts[c.out.to]
	if loss := max(a.loss, z.loss); loss > 0 && n.random.Float64() < loss {
		c.in.broken, c.out.broken = syscall.ECONNRESET, syscall.ECONNRESET
		c.in.signal()
		c.out.signal()
	}
	if c.out.broken != nil {
		return 0, &net.OpError{Op: "write", Net: "sim", Err: c.out.broken}
	}
	at := time.Now().Add(latency + a.slow + z.slow)
	if last := len(c.out.queue) - 1; last >= 0 && at.Before(c.out.queue[last].at) {
		at = c.out.queue[last].at // order is kept when a line gets faster
	}
	c.out.queue = append(c.out.queue, chunk{at, append([]byte(nil), b...)})
	c.out.signal()
	return len(b), nil
}

func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed, c.out.eof = true, true
	delete(c.host.conns, c)
	c.in.signal()
	c.out.signal()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *conn) SetReadDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.deadline = t
	c.in.signal()
	return nil
}

func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// String names the connection in a test's output.
func (c *conn) String() string { return fmt.Sprintf("%s-%s", c.local, c.remote) }
