// Package resolve answers DNS on a node: names of the cluster from the node's own copy of
// the catalog (package zone), all others by asking the servers that the machine would ask.
// It runs as a process of its own, so that a restart of the daemon disturbs no look-up,
// and goes on answering with what it last knew while the daemon or the cluster is away.
//
//	udp.go, tcp.go   how messages come and go, and what each client is allowed
//	message.go       what is said to a message; the only file that builds records
//	quick.go         the same for plain questions for addresses, without a library
//	forward.go       names that are not the cluster's; cache.go, upstream.go
//	follow.go        the catalog, as the daemon tells it, kept on disk
//	process.go       all of it together
//
// Whoever asks has to be borne: no client, message or upstream can make another wait, or
// memory grow without bound. The limits stand at the top of each file.
package resolve

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"argosy/internal/zone"
)

// Counts are what a server has done so far.
type Counts struct {
	Queries   int64 `json:"queries"`   // messages that were understood
	Quick     int64 `json:"quick"`     // of these, answered on the short way
	Forwarded int64 `json:"forwarded"` // asked elsewhere
	Cached    int64 `json:"cached"`    // answered from what was heard elsewhere
	Refused   int64 `json:"refused"`   // not for the asker, or not at all
	Crowded   int64 `json:"crowded"`   // not done because too much was going on
	Malformed int64 `json:"malformed"`
}

// counters are Counts in the making.
type counters struct {
	queries, quick, forwarded, cached, refused, crowded, malformed atomic.Int64
}

func (c *counters) read() Counts {
	return Counts{
		c.queries.Load(), c.quick.Load(), c.forwarded.Load(), c.cached.Load(), c.refused.Load(), c.crowded.Load(), c.malformed.Load(),
	}
}

// Server answers messages. Make it with NewServer; all methods may be called
// concurrently.
type Server struct {
	domain  string     // in lower case, with a dot at its end
	forward *Forwarder // nil: names of others are refused
	own     []netip.Addr
	view    atomic.Pointer[view]
	stale   atomic.Bool
	count   counters
	asking  *turns // questions on their way to other servers
	guests  *guests
}

// NewServer makes a server that knows no name of the domain yet. Names of others are
// asked of forward, or refused if that is nil. own are the addresses of this machine.
func NewServer(domain string, forward *Forwarder, own []netip.Addr) *Server {
	return &Server{
		domain: strings.ToLower(domain) + ".", forward: forward, own: own,
		asking: newTurns(askingMax, askingMax/2), guests: newGuests(connsMax, connsMax/4),
	}
}

// Limits of what goes on at once, of which one client gets a half, or a quarter.
const (
	askingMax = 1024
	connsMax  = 256
)

// view is the zone with what the quick way needs of it.
type view struct {
	zone   *zone.Zone
	domain []byte // of the zone, as it is written on the wire
}

// SetZone has all further questions answered from a zone.
func (s *Server) SetZone(z *zone.Zone) { s.view.Store(&view{z, wireName(z.Domain())}) }

// SetStale says whether the zone may be out of date; who understands that is told.
func (s *Server) SetStale(stale bool) { s.stale.Store(stale) }

// Counts returns what was done so far.
func (s *Server) Counts() Counts { return s.count.read() }

// isLocal reports whether a name, with a dot at its end, is the cluster's. Such names
// are asked of nobody else.
func (s *Server) isLocal(name string) bool {
	name = strings.ToLower(name)
	return name == s.domain || strings.HasSuffix(name, "."+s.domain)
}

func seed() uint64 { return rand.Uint64() }

// mayAsk reports whether somebody's questions are passed on: only those of this machine,
// its containers and its local network. What everybody may use is used to attack others.
func (s *Server) mayAsk(from netip.Addr) bool {
	if from = from.Unmap(); from.IsLoopback() || from.IsPrivate() || from.IsLinkLocalUnicast() {
		return true
	}
	for _, a := range s.own {
		if a == from {
			return true
		}
	}
	return false
}

// turns bounds how much goes on at once, in all and for one client.
type turns struct {
	most, each int

	mu   sync.Mutex
	now  int
	with map[netip.Addr]int
}

func newTurns(most, each int) *turns {
	return &turns{most: most, each: each, with: map[netip.Addr]int{}}
}

// take reports whether a client may go on, and counts it until give.
func (t *turns) take(client netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now >= t.most || t.with[client] >= t.each {
		return false
	}
	t.now++
	t.with[client]++
	return true
}

func (t *turns) give(client netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now--
	if t.with[client]--; t.with[client] == 0 {
		delete(t.with, client)
	}
}
