package resolve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"

	"argosy/internal/cluster"
)

// How long others are waited for.
const (
	askMax    = 4 * time.Second        // for any of them
	oneMax    = 2 * time.Second        // for one
	raceAfter = 200 * time.Millisecond // then the next one is asked, too
)

// Upstreams are the servers that names of others are asked of: those of the longest
// domain that a name lies in, "" being all names.
type Upstreams map[string][]netip.AddrPort

// of returns the servers for a name in lower case, with a dot at its end.
func (u Upstreams) of(name string) []netip.AddrPort {
	for rest := name; ; {
		if servers, there := u[strings.TrimSuffix(rest, ".")]; there {
			return servers
		}
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return u[""]
		}
		rest = after
	}
}

// all returns every server once.
func (u Upstreams) all() (servers []netip.AddrPort) {
	for _, some := range u {
		servers = append(servers, some...)
	}
	slices.SortFunc(servers, netip.AddrPort.Compare)
	return slices.Compact(servers)
}

// Forwarder asks other servers, and remembers what they say. Make it with NewForwarder;
// its methods may be called concurrently.
type Forwarder struct {
	exchange func(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error)
	cache    *cache
	flights  singleflight.Group
	now      func() time.Time

	mu     sync.Mutex
	given  Upstreams
	looped map[netip.AddrPort]bool   // servers that ask us
	probes map[string]netip.AddrPort // of whom we want to know that, by the name that was asked
	best   map[netip.AddrPort]int64  // grows with each time that one was the first to answer
	wins   int64
}

// NewForwarder makes a forwarder that knows no servers yet.
func NewForwarder() *Forwarder {
	return &Forwarder{
		exchange: exchange, cache: newCache(), now: time.Now,
		looped: map[netip.AddrPort]bool{}, probes: map[string]netip.AddrPort{}, best: map[netip.AddrPort]int64{},
	}
}

// SetUpstreams replaces the servers to ask.
func (f *Forwarder) SetUpstreams(u Upstreams) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.given = u
	known := u.all()
	for server := range f.looped {
		if !slices.Contains(known, server) {
			delete(f.looped, server)
		}
	}
	for server := range f.best {
		if !slices.Contains(known, server) {
			delete(f.best, server)
		}
	}
}

// Looped returns the servers that ask us what we ask them: they are not asked.
func (f *Forwarder) Looped() (servers []netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for server := range f.looped {
		servers = append(servers, server)
	}
	slices.SortFunc(servers, netip.AddrPort.Compare)
	return servers
}

// heard returns what is remembered of a question, nil if nothing is.
func (f *Forwarder) heard(q *dns.Msg) *dns.Msg { return f.cache.get(keyOf(q), f.now()) }

func keyOf(q *dns.Msg) cacheKey {
	question := q.Question[0]
	key := cacheKey{name: strings.ToLower(question.Name), kind: question.Qtype, class: question.Qclass, cd: q.CheckingDisabled}
	if opt := q.IsEdns0(); opt != nil {
		key.do = opt.Do()
	}
	return key
}

// Ask asks others, and returns what may be changed. Who asks the same at the same time
// gets the same answer.
func (f *Forwarder) Ask(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	key, question := keyOf(q), questionOf(q)
	flight := f.flights.DoChan(fmt.Sprint(key), func() (any, error) {
		if heard := f.cache.get(key, f.now()); heard != nil {
			return heard, nil // somebody was just faster
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askMax)
		defer cancel()
		heard, err := f.race(ctx, question, f.servers(key.name))
		if err != nil {
			return nil, err
		}
		f.cache.put(key, heard, f.now())
		return heard, nil
	})
	select {
	case answer := <-flight:
		if answer.Err != nil {
			return nil, answer.Err
		}
		return answer.Val.(*dns.Msg).Copy(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// servers returns whom to ask for a name, the one that answered first last time first.
func (f *Forwarder) servers(name string) []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	servers := slices.Clone(f.given.of(name))
	servers = slices.DeleteFunc(servers, func(s netip.AddrPort) bool { return f.looped[s] })
	slices.SortStableFunc(servers, func(a, b netip.AddrPort) int { return int(f.best[b] - f.best[a]) })
	return servers
}

func (f *Forwarder) won(server netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wins++
	f.best[server] = f.wins
}

// said is what one server said.
type said struct {
	server netip.AddrPort
	msg    *dns.Msg
	err    error
}

// good reports whether an answer is one, rather than the wish not to be asked.
func (s said) good() bool {
	return s.err == nil && (s.msg.Rcode == dns.RcodeSuccess || s.msg.Rcode == dns.RcodeNameError)
}

// race asks one server, and the next one as soon as the one before has failed or is
// late. The first good answer counts; without one, the last bad one.
func (f *Forwarder) race(ctx context.Context, q *dns.Msg, servers []netip.AddrPort) (*dns.Msg, error) {
	answers := make(chan said, len(servers))
	var bad said
	bad.err = cluster.Errorf(cluster.Unavailable, "no server for names of others is known")
	for started, ended := 0, 0; ended < len(servers); {
		if started < len(servers) && started == ended || started == 0 {
			f.start(ctx, q, servers[started], answers)
			started++
		}
		late, done := context.WithTimeout(ctx, raceAfter)
		select {
		case s := <-answers:
			ended++
			if s.good() {
				done()
				f.won(s.server)
				return s.msg, nil
			}
			bad = s
		case <-late.Done():
			if ctx.Err() == nil && started < len(servers) {
				f.start(ctx, q, servers[started], answers)
				started++
			}
		}
		done()
		if ctx.Err() != nil {
			return nil, cluster.Errorf(cluster.Unavailable, "no server for names of others answers")
		}
	}
	return bad.msg, bad.err
}

func (f *Forwarder) start(ctx context.Context, q *dns.Msg, server netip.AddrPort, answers chan<- said) {
	go func() {
		msg, err := f.exchange(ctx, q.Copy(), server)
		answers <- said{server, msg, err}
	}()
}

// exchange asks one server, over TCP if the answer is too long for a datagram.
func exchange(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, oneMax)
	defer cancel()
	q.Id = dns.Id()
	for _, network := range []string{"udp", "tcp"} {
		client := &dns.Client{Net: network, UDPSize: udpSize, Timeout: oneMax}
		answer, _, err := client.ExchangeContext(ctx, q, server.String())
		switch {
		case err != nil:
			return nil, fmt.Errorf("ask %s: %w", server, err)
		case !answers(answer, q):
			return nil, cluster.Errorf(cluster.Unavailable, "ask %s: it answers another question", server)
		case !answer.Truncated:
			return answer, nil
		}
	}
	return nil, cluster.Errorf(cluster.Unavailable, "ask %s: its answer is cut off over TCP", server)
}

// answers reports whether a message answers a question.
func answers(a, q *dns.Msg) bool {
	if !a.Response || a.Id != q.Id || len(a.Question) != 1 {
		return false
	}
	asked, answered := q.Question[0], a.Question[0]
	return strings.EqualFold(asked.Name, answered.Name) && asked.Qtype == answered.Qtype && asked.Qclass == answered.Qclass
}

// probeDomain is where names lie that are asked for only to see whether they come back.
// There is no such domain (RFC 6761), so who does not ask us says that there is no name.
const probeDomain = ".argosy-loop.invalid."

// Probe finds out which servers ask us, directly or by way of others.
func (f *Forwarder) Probe(ctx context.Context) {
	f.mu.Lock()
	servers := f.given.all()
	f.mu.Unlock()
	var asked sync.WaitGroup
	for _, server := range servers {
		var token [12]byte
		_, _ = rand.Read(token[:]) // never fails
		name := hex.EncodeToString(token[:]) + probeDomain
		f.mu.Lock()
		f.probes[name] = server
		f.mu.Unlock()
		asked.Go(func() {
			_, err := f.exchange(ctx, new(dns.Msg).SetQuestion(name, dns.TypeTXT), server)
			f.mu.Lock()
			defer f.mu.Unlock()
			if _, waits := f.probes[name]; waits && err == nil {
				delete(f.looped, server) // it answered, and did not ask us
			}
			delete(f.probes, name)
		})
	}
	asked.Wait()
}

// isProbe reports whether a question is one of ours that has come back, and notes which
// server it came from.
func (f *Forwarder) isProbe(name string) bool {
	name = strings.ToLower(name)
	if !strings.HasSuffix(name, probeDomain) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	server, ours := f.probes[name]
	if ours {
		f.looped[server] = true
		delete(f.probes, name)
	}
	return ours
}
