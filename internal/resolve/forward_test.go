package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"argosy/internal/loop"
	"argosy/internal/zone"
)

// upstream is a server elsewhere, as a forwarder sees it.
type upstream struct {
	after time.Duration
	code  int
	err   error
	ttl   uint32
	asked atomic.Int64
}

// elsewhere makes a server that asks others: 192.0.2.N is the Nth of these.
func elsewhere(others ...*upstream) (*Server, *Forwarder) {
	f := NewForwarder()
	var servers []netip.AddrPort
	for i := range others {
		servers = append(servers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 53))
	}
	f.SetUpstreams(Upstreams{"": servers})
	f.exchange = func(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
		u := others[server.Addr().As4()[3]]
		u.asked.Add(1)
		if err := loop.Sleep(ctx, u.after); err != nil {
			return nil, err
		}
		return u.say(q), u.err
	}
	s := NewServer(domain, f, nil)
	s.SetZone(zone.New(domain, small(), 1, nil))
	return s, f
}

func (u *upstream) say(q *dns.Msg) *dns.Msg {
	a := new(dns.Msg).SetReply(q)
	a.Rcode = u.code
	header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: u.ttl}
	switch u.code {
	case dns.RcodeSuccess:
		a.Answer = []dns.RR{&dns.A{Hdr: header, A: netip.MustParseAddr("198.51.100.1").AsSlice()}}
	case dns.RcodeNameError:
		header.Name, header.Rrtype = "org.", dns.TypeSOA
		a.Ns = []dns.RR{&dns.SOA{Hdr: header, Ns: "ns.org.", Mbox: "x.org.", Minttl: u.ttl}}
	}
	return a
}

func TestNamesOfOthersAreAskedOfOthers(t *testing.T) {
	failed := errors.New("no route")
	for _, tt := range []struct {
		why    string
		others []*upstream
		want   string
		took   time.Duration
	}{
		{"the first answers", []*upstream{{ttl: 60}, {ttl: 60}}, "NOERROR ra rd q=example.org. 1 0 0 opt=1232", 0},
		{"there is no such name", []*upstream{{code: dns.RcodeNameError}}, "NXDOMAIN ra rd q=example.org. 0 1 0 opt=1232", 0},
		{"the first fails", []*upstream{{err: failed}, {}}, "NOERROR ra rd q=example.org. 1 0 0 opt=1232", 0},
		{"the first does not want to", []*upstream{{code: dns.RcodeRefused}, {}}, "NOERROR ra rd q=example.org. 1 0 0 opt=1232", 0},
		{"the first cannot", []*upstream{{code: dns.RcodeServerFailure}, {code: dns.RcodeNameError}}, "NXDOMAIN ra rd q=example.org. 0 1 0 opt=1232", 0},
		{"the first is silent: another is asked soon", []*upstream{{after: time.Hour}, {}}, "NOERROR ra rd q=example.org. 1 0 0 opt=1232", raceAfter},
		{"the first is late, and the second later", []*upstream{{after: 300 * time.Millisecond}, {after: time.Hour}}, "NOERROR ra rd q=example.org. 1 0 0 opt=1232", 300 * time.Millisecond},
		{"all refuse", []*upstream{{code: dns.RcodeRefused}, {code: dns.RcodeRefused}}, "REFUSED ra rd q=example.org. 0 0 0 opt=1232", 0},
		{"all are silent", []*upstream{{after: time.Hour}, {after: time.Hour}}, "SERVFAIL ra rd q=example.org. 0 0 0 opt=1232 ede=23", askMax},
		{"there is nobody", nil, "SERVFAIL ra rd q=example.org. 0 0 0 opt=1232 ede=23", 0},
	} {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := elsewhere(tt.others...)
				begin := time.Now()
				got := summary(asked(t, s, packed(t, question("example.org.", dns.TypeA, edns(1232))), false))
				if took := time.Since(begin); got != tt.want || took != tt.took {
					t.Errorf("%s after %s, want %s after %s", got, took, tt.want, tt.took)
				}
			})
		})
	}
}

func TestWhoAnsweredFirstIsAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &upstream{after: time.Second}, &upstream{}
		s, _ := elsewhere(slow, quick)
		for i := range 5 {
			asked(t, s, packed(t, question(fmt.Sprintf("%d.example.org.", i), dns.TypeA)), false)
		}
		if n := slow.asked.Load(); n != 1 {
			t.Errorf("the slow one was asked %d times", n)
		}
		synctest.Wait()
	})
}

func TestSplitDomains(t *testing.T) {
	server := func(n byte) []netip.AddrPort {
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 53)}
	}
	u := Upstreams{"": server(1), "corp.example": server(2), "lab.corp.example": server(3)}
	for name, want := range map[string][]netip.AddrPort{
		"example.org.": server(1), "corp.example.": server(2), "a.b.corp.example.": server(2), "x.lab.corp.example.": server(3), "xcorp.example.": server(1), ".": server(1),
	} {
		if diff := cmp.Diff(want, u.of(name), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if got := (Upstreams{"corp.example": server(2)}).of("example.org."); got != nil {
		t.Errorf("without servers for all names: %v", got)
	}
}

func TestAnswersOfOthersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := &upstream{ttl: 100}
		s, f := elsewhere(other)
		ask := func(name string, kind uint16) *dns.Msg { return asked(t, s, packed(t, question(name, kind)), false) }
		pass := func(d time.Duration) {
			if err := loop.Sleep(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(why string, n int64) {
			t.Helper()
			if got := other.asked.Swap(0); got != n {
				t.Errorf("%s: asked %d times, want %d", why, got, n)
			}
		}
		ask("example.org.", dns.TypeA)
		pass(30 * time.Second)
		if m := ask("EXAMPLE.org.", dns.TypeA); m.Answer[0].Header().Ttl != 70 || m.Question[0].Name != "EXAMPLE.org." {
			t.Errorf("half a minute later: %v", m)
		}
		expect("while it is valid", 1)
		ask("example.org.", dns.TypeAAAA)
		expect("another type", 1)
		pass(71 * time.Second)
		ask("example.org.", dns.TypeA)
		expect("when it is not valid any more", 1)

		other.code = dns.RcodeNameError
		ask("none.org.", dns.TypeA)
		pass(90 * time.Second)
		ask("none.org.", dns.TypeA)
		expect("that there is nothing is kept", 1)
		other.code = dns.RcodeServerFailure
		ask("ill.org.", dns.TypeA)
		ask("ill.org.", dns.TypeA)
		expect("that somebody is ill, for a second", 1)
		pass(2 * time.Second)
		ask("ill.org.", dns.TypeA)
		expect("and not longer", 1)
		other.code, other.ttl = dns.RcodeSuccess, 1<<31
		ask("long.org.", dns.TypeA)
		pass(keepMax)
		ask("long.org.", dns.TypeA)
		expect("nothing is kept for ever", 2)
		if f.cache.used.Len() != len(f.cache.entries) {
			t.Error("the cache has lost count")
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	c, now := newCache(), time.Now()
	other := &upstream{ttl: 60}
	for i := range cacheMax + 500 {
		q := question(fmt.Sprintf("%d.example.org.", i), dns.TypeA)
		c.put(keyOf(q), other.say(q), now)
	}
	if c.used.Len() != cacheMax || len(c.entries) != cacheMax {
		t.Errorf("%d answers are kept", c.used.Len())
	}
	if c.get(keyOf(question("0.example.org.", dns.TypeA)), now) != nil || c.get(keyOf(question("10499.example.org.", dns.TypeA)), now) == nil {
		t.Error("it is not the oldest that goes")
	}
	long := new(dns.Msg)
	for range 100 {
		long.Answer = append(long.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: "x.org.", Rrtype: dns.TypeTXT, Class: 1, Ttl: 60}, Txt: []string{strings.Repeat("x", 250)}})
	}
	for i := range 2000 {
		c.put(keyOf(question(fmt.Sprintf("%d.long.org.", i), dns.TypeTXT)), long, now)
	}
	if c.bytes > cacheBytesMax || c.used.Len() == 0 {
		t.Errorf("%d bytes of %d answers are kept", c.bytes, c.used.Len())
	}
}

func TestWhoAsksTheSameAtTheSameTimeIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := &upstream{after: 100 * time.Millisecond, ttl: 60}
		s, _ := elsewhere(other)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if m := asked(t, s, packed(t, question("example.org.", dns.TypeA)), false); len(m.Answer) != 1 {
					t.Errorf("%v", m)
				}
			})
		}
		all.Wait()
		if n := other.asked.Load(); n != 1 {
			t.Errorf("%d times", n)
		}
	})
}

// However many ask for what nobody answers, what is on its way is bounded, the rest is
// told so at once, and one client leaves room for others.
func TestAFloodOfQuestionsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := elsewhere(&upstream{after: time.Hour})
		var waiting sync.WaitGroup
		refused := 0
		from := func(client netip.Addr, i int) *dns.Msg {
			reply, ask := s.answer(nil, packed(t, question(fmt.Sprintf("%d.example.org.", i), dns.TypeA)), client, false)
			if ask != nil {
				waiting.Go(func() { ask(t.Context()) })
				return nil
			}
			m := new(dns.Msg)
			if err := m.Unpack(reply); err != nil || m.Rcode != dns.RcodeServerFailure {
				t.Fatalf("%v: %v", m, err)
			}
			refused++
			return m
		}
		for i := range 5000 {
			from(local(), i)
		}
		if refused != 5000-askingMax/2 {
			t.Errorf("%d are refused", refused)
		}
		if from(netip.MustParseAddr("10.88.0.2"), 1) != nil {
			t.Error("another client finds no room")
		}
		if m := asked(t, s, packed(t, question("web.argosy.internal.", dns.TypeA)), false); len(m.Answer) != 2 {
			t.Errorf("names of the cluster meanwhile: %v", m)
		}
		waiting.Wait()
		if s.asking.now != 0 || len(s.asking.with) != 0 {
			t.Errorf("afterwards %d turns are taken", s.asking.now)
		}
	})
}

func TestStrangersMayNotAskForNamesOfOthers(t *testing.T) {
	s, _ := elsewhere(&upstream{})
	s.own = []netip.Addr{netip.MustParseAddr("203.0.113.1")}
	for client, may := range map[string]bool{
		"127.0.0.1": true, "10.88.0.3": true, "192.168.1.1": true, "169.254.53.53": true, "fd00::1": true, "::ffff:10.0.0.1": true, "203.0.113.1": true,
		"203.0.113.2": false, "8.8.8.8": false, "2001:db8::1": false,
	} {
		reply, ask := s.answer(nil, packed(t, question(client+".example.org.", dns.TypeA)), netip.MustParseAddr(client), false)
		if (ask != nil) != may {
			t.Errorf("%s: %x", client, reply)
		}
		if ask != nil {
			ask(t.Context())
		}
		if reply, _ := s.answer(nil, packed(t, question("web.argosy.internal.", dns.TypeA)), netip.MustParseAddr(client), false); len(reply) < 60 {
			t.Errorf("%s asks for a name of the cluster: %x", client, reply)
		}
	}
	if reply, ask := s.answer(nil, packed(t, question("example.org.", dns.TypeA, func(q *dns.Msg) { q.RecursionDesired = false })), local(), false); ask != nil || reply == nil {
		t.Error("who wants no recursion gets it")
	}
}

// A server that asks us what we ask it is found out, and not asked any more.
func TestLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := elsewhere(&upstream{}, &upstream{})
		looping, straight := netip.MustParseAddrPort("192.0.2.0:53"), netip.MustParseAddrPort("192.0.2.1:53")
		loops := true
		straightOn := f.exchange
		f.exchange = func(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
			if server == looping && loops {
				reply, ask := s.answer(nil, packed(t, q), local(), false)
				if ask != nil {
					reply = ask(ctx)
				}
				m := new(dns.Msg)
				return m, m.Unpack(reply)
			}
			return straightOn(ctx, q, server)
		}
		f.Probe(t.Context())
		if got := f.Looped(); len(got) != 1 || got[0] != looping {
			t.Errorf("%v loop", got)
		}
		if got := f.servers("example.org."); len(got) != 1 || got[0] != straight {
			t.Errorf("%v are asked", got)
		}
		loops = false
		f.Probe(t.Context())
		if got := f.Looped(); len(got) != 0 || len(f.probes) != 0 {
			t.Errorf("afterwards %v loop, and %d probes wait", got, len(f.probes))
		}
	})
}

// Before a loop is found out, it ends by itself.
func TestALoopThatIsNotFoundOutEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := elsewhere(&upstream{})
		var times atomic.Int64
		f.exchange = func(ctx context.Context, q *dns.Msg, _ netip.AddrPort) (*dns.Msg, error) {
			times.Add(1)
			reply, ask := s.answer(nil, packed(t, q), local(), false)
			if ask != nil {
				reply = ask(ctx)
			}
			m := new(dns.Msg)
			return m, m.Unpack(reply)
		}
		m := asked(t, s, packed(t, question("example.org.", dns.TypeA)), false)
		if m.Rcode != dns.RcodeServerFailure || times.Load() > 3 {
			t.Errorf("%v after %d rounds", m, times.Load())
		}
		synctest.Wait()
	})
}

func TestAnAnswerMustBeOneToTheQuestion(t *testing.T) {
	q := question("example.org.", dns.TypeA)
	for why, change := range map[string]func(*dns.Msg){
		"another name": func(a *dns.Msg) { a.Question[0].Name = "example.com." }, "another type": func(a *dns.Msg) { a.Question[0].Qtype = dns.TypeMX },
		"another number": func(a *dns.Msg) { a.Id++ }, "no question": func(a *dns.Msg) { a.Question = nil }, "a question": func(a *dns.Msg) { a.Response = false },
	} {
		a := new(dns.Msg).SetReply(q)
		if !answers(a, q) {
			t.Fatal("what is one is refused")
		}
		if change(a); answers(a, q) {
			t.Errorf("%s passes", why)
		}
	}
}
