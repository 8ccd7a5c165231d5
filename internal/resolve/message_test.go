package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/zone"
)

const domain = "argosy.internal"

func local() netip.Addr { return netip.MustParseAddr("127.0.0.1") }

// small is a catalog with a service on two nodes, one of version 6 too, and one that is
// sick.
func small() catalog.Catalog {
	at := func(service string, i int, address string, healthy bool) cluster.Endpoint {
		return cluster.Endpoint{
			Offer: cluster.Offer{Service: service, Port: 80, Protocol: "tcp", Healthy: healthy, Parameters: map[string]string{"path": `C:\x "y"`}},
			Unit:  cluster.UnitName(fmt.Sprintf("%s@%d.service", service, i)), NodeName: fmt.Sprintf("node-%d", i), Address: netip.MustParseAddr(address),
		}
	}
	return catalog.Catalog{
		Nodes: []cluster.Whereabouts{{ID: "1", Name: "node-1", Address: netip.MustParseAddr("10.0.0.1")}},
		Services: []cluster.Service{
			{Name: "down", Endpoints: []cluster.Endpoint{at("down", 1, "10.0.0.1", false)}},
			{Name: "web", Endpoints: []cluster.Endpoint{at("web", 1, "10.0.0.1", true), at("web", 2, "fd00::2", true), at("web", 3, "10.0.0.3", true)}},
		},
	}
}

// large is one service on very many nodes.
func large() catalog.Catalog {
	s := cluster.Service{Name: "big"}
	for i := range 500 {
		s.Endpoints = append(s.Endpoints, cluster.Endpoint{
			Offer: cluster.Offer{Service: "big", Port: 80, Protocol: "tcp", Healthy: true},
			Unit:  "big.service", NodeName: fmt.Sprintf("node-%d", i), Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
		})
	}
	return catalog.Catalog{Services: []cluster.Service{s}}
}

func serving(c catalog.Catalog) *Server {
	s := NewServer(domain, nil, nil)
	s.SetZone(zone.New(domain, c, 7, nil))
	return s
}

func packed(t testing.TB, q *dns.Msg) []byte {
	t.Helper()
	packet, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// asked has a server answer a packet, and reads the reply.
func asked(t testing.TB, s *Server, packet []byte, tcp bool) *dns.Msg {
	t.Helper()
	reply, ask := s.answer(nil, packet, local(), tcp)
	if ask != nil {
		reply = ask(t.Context())
	}
	if reply == nil {
		return nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("%x: %v", reply, err)
	}
	return m
}

func question(name string, kind uint16, changes ...func(*dns.Msg)) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, kind)
	for _, change := range changes {
		change(q)
	}
	return q
}

func edns(size uint16) func(*dns.Msg) { return func(q *dns.Msg) { q.SetEdns0(size, false) } }

func TestWhatIsSaidToAMessage(t *testing.T) {
	for _, tt := range []struct {
		why  string
		q    *dns.Msg
		tcp  bool
		want string
	}{
		{"addresses", question("web.argosy.internal.", dns.TypeA), false, "NOERROR aa rd q=web.argosy.internal. 2 0 0"},
		{"the name is written as it was", question("wEb.ARGOSY.internal.", dns.TypeA), false, "NOERROR aa rd q=wEb.ARGOSY.internal. 2 0 0"},
		{"none of that family, and for how long", question("node-1.node.argosy.internal.", dns.TypeAAAA), false, "NOERROR aa rd q=node-1.node.argosy.internal. 0 1 0"},
		{"nobody is healthy", question("down.argosy.internal.", dns.TypeA), false, "NOERROR aa rd q=down.argosy.internal. 0 1 0"},
		{"no such name", question("nobody.argosy.internal.", dns.TypeA), false, "NXDOMAIN aa rd q=nobody.argosy.internal. 0 1 0"},
		{"EDNS is answered with EDNS", question("web.argosy.internal.", dns.TypeA, edns(4096)), false, "NOERROR aa rd q=web.argosy.internal. 2 0 0 opt=1232"},
		{"DNSSEC is asked for, and is said so", question("web.argosy.internal.", dns.TypeA, func(q *dns.Msg) { q.SetEdns0(1232, true) }), false, "NOERROR aa rd q=web.argosy.internal. 2 0 0 opt=1232 do"},
		{"a version of EDNS that there is not", question("web.argosy.internal.", dns.TypeA, edns(1232), func(q *dns.Msg) { q.IsEdns0().SetVersion(1) }), false, "BADSIG rd q=web.argosy.internal. 0 0 0 opt=1232"},
		{"an option that nobody knows", question("web.argosy.internal.", dns.TypeA, edns(1232), func(q *dns.Msg) {
			q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("x")}}
		}), false, "NOERROR aa rd q=web.argosy.internal. 2 0 0 opt=1232"},
		{"two of EDNS", question("web.argosy.internal.", dns.TypeA, edns(1232), edns(1232)), false, "FORMERR rd 0 0 0"},
		{"endpoints with their addresses", question("_web._tcp.argosy.internal.", dns.TypeSRV), false, "NOERROR aa rd q=_web._tcp.argosy.internal. 3 0 3"},
		{"all of a name", question("web.argosy.internal.", dns.TypeANY), false, "NOERROR aa rd q=web.argosy.internal. 1 0 0"},
		{"another class", question("version.bind.", dns.TypeTXT, func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }), false, "REFUSED rd q=version.bind. 0 0 0"},
		{"the whole zone", question("argosy.internal.", dns.TypeAXFR), true, "REFUSED rd q=argosy.internal. 0 0 0"},
		{"names of others, where they are refused", question("example.org.", dns.TypeA), false, "REFUSED rd q=example.org. 0 0 0"},
		{"an update", question("argosy.internal.", dns.TypeSOA, func(q *dns.Msg) { q.Opcode = dns.OpcodeUpdate }), false, "NOTIMP rd 0 0 0"},
		{"a notice", question("argosy.internal.", dns.TypeSOA, func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify }), false, "NOTIMP rd 0 0 0"},
		{"two questions", question("web.argosy.internal.", dns.TypeA, func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) }), false, "FORMERR rd 0 0 0"},
		{"no question", question("web.argosy.internal.", dns.TypeA, func(q *dns.Msg) { q.Question = nil }), false, "FORMERR rd 0 0 0"},
		{"a question with an answer", question("web.argosy.internal.", dns.TypeA, func(q *dns.Msg) {
			q.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "a.", Rrtype: dns.TypeA, Class: 1}, A: local().AsSlice()}}
		}), false, "FORMERR rd 0 0 0"},
		{"a question that was cut off", question("web.argosy.internal.", dns.TypeA, func(q *dns.Msg) { q.Truncated = true }), false, "FORMERR rd 0 0 0"},
		{"an answer", question("web.argosy.internal.", dns.TypeA, func(q *dns.Msg) { q.Response = true }), false, "nothing"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			if got := summary(asked(t, serving(small()), packed(t, tt.q), tt.tcp)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// summary says what matters of a reply; records are counted by section.
func summary(m *dns.Msg) string {
	if m == nil {
		return "nothing"
	}
	words := []string{dns.RcodeToString[m.Rcode]}
	for word, set := range map[string]bool{"aa": m.Authoritative, "tc": m.Truncated, "rd": m.RecursionDesired, "ra": m.RecursionAvailable} {
		if set {
			words = append(words, word)
		}
	}
	slices.Sort(words[1:])
	if len(m.Question) > 0 {
		words = append(words, "q="+m.Question[0].Name)
	}
	opt, extra := m.IsEdns0(), len(m.Extra)
	if opt != nil {
		extra--
	}
	words = append(words, fmt.Sprint(len(m.Answer), len(m.Ns), extra))
	if opt != nil {
		words = append(words, fmt.Sprintf("opt=%d", opt.UDPSize()))
		if opt.Do() {
			words = append(words, "do")
		}
		for _, option := range opt.Option {
			if ede, ok := option.(*dns.EDNS0_EDE); ok {
				words = append(words, fmt.Sprintf("ede=%d", ede.InfoCode))
			}
		}
	}
	return strings.Join(words, " ")
}

func TestTextsAreSentAsTheyAre(t *testing.T) {
	m := asked(t, serving(small()), packed(t, question("web.argosy.internal.", dns.TypeTXT)), false)
	reply := m.Answer[0].(*dns.TXT).Txt
	if len(m.Answer) != 1 || len(reply) != 1 || reply[0] != `path=C:\\x \"y\"` { // as the library writes it
		t.Errorf("%q", reply)
	}
}

// What does not fit into a datagram is cut, and comes whole over TCP.
func TestWhatDoesNotFit(t *testing.T) {
	s := serving(large())
	for _, tt := range []struct {
		why  string
		q    *dns.Msg
		tcp  bool
		size int
		cut  bool
	}{
		{"without EDNS", question("_big._tcp.argosy.internal.", dns.TypeSRV), false, 512, true},
		{"with a size that is too large", question("_big._tcp.argosy.internal.", dns.TypeSRV, edns(65535)), false, 1232, true},
		{"with a size that is too small", question("_big._tcp.argosy.internal.", dns.TypeSRV, edns(10)), false, 512, true},
		{"over TCP", question("_big._tcp.argosy.internal.", dns.TypeSRV), true, 65535, false},
		{"addresses fit", question("big.argosy.internal.", dns.TypeA), false, 512, false},
	} {
		t.Run(tt.why, func(t *testing.T) {
			reply, _ := s.answer(nil, packed(t, tt.q), local(), tt.tcp)
			m := new(dns.Msg)
			if err := m.Unpack(reply); err != nil {
				t.Fatal(err)
			}
			if len(reply) > tt.size || m.Truncated != tt.cut {
				t.Errorf("%d bytes, cut: %v", len(reply), m.Truncated)
			}
			if tt.tcp && (len(m.Answer) != zone.RecordsMax || len(m.Extra) != zone.RecordsMax) {
				t.Errorf("%s", summary(m))
			}
		})
	}
}

func TestWhatIsOldIsSaidToBe(t *testing.T) {
	s := serving(small())
	s.SetStale(true)
	for want, q := range map[string]*dns.Msg{
		"NOERROR aa rd q=web.argosy.internal. 2 0 0 opt=1232 ede=3": question("web.argosy.internal.", dns.TypeA, edns(1232)),
		"NOERROR aa rd q=web.argosy.internal. 2 0 0":                question("web.argosy.internal.", dns.TypeA),
	} {
		if got := summary(asked(t, s, packed(t, q), false)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Until anything was heard, no name of the cluster is denied, and none is asked of others.
func TestBeforeAnythingWasHeard(t *testing.T) {
	s := NewServer(domain, NewForwarder(), nil)
	s.forward.exchange = func(context.Context, *dns.Msg, netip.AddrPort) (*dns.Msg, error) {
		t.Error("a name of the cluster has left the node")
		return nil, context.Canceled
	}
	s.forward.SetUpstreams(Upstreams{"": {netip.MustParseAddrPort("192.0.2.1:53")}})
	for _, name := range []string{"web.Argosy.internal.", "argosy.internal.", "1.web.argosy.internal."} {
		if got := summary(asked(t, s, packed(t, question(name, dns.TypeA, edns(1232))), false)); !strings.HasPrefix(got, "SERVFAIL") || !strings.HasSuffix(got, "ede=14") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Of what was cut or changed at any place, nothing breaks, and nobody is answered who
// has not asked.
func FuzzMessage(f *testing.F) {
	for _, q := range []*dns.Msg{
		question("web.argosy.internal.", dns.TypeA), question("_web._tcp.argosy.internal.", dns.TypeSRV, edns(1232)),
		question("argosy.internal.", dns.TypeANY, edns(512)), question("example.org.", dns.TypeA),
	} {
		packet := packed(f, q)
		for _, cut := range []int{0, 1, 5, 12, 20} {
			f.Add(packet[:len(packet)-cut])
		}
	}
	s := serving(small())
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, tcp := range []bool{false, true} {
			reply, ask := s.answer(nil, packet, local(), tcp)
			if ask != nil {
				t.Fatal("a server that refuses wants to ask others")
			}
			if len(packet) < headerSize || packet[2]&0x80 != 0 {
				if reply != nil {
					t.Fatalf("%x is answered", packet)
				}
				continue
			}
			if len(reply) < headerSize || reply[0] != packet[0] || reply[1] != packet[1] || reply[2]&0x80 == 0 || !tcp && len(reply) > udpSize {
				t.Fatalf("%x to %x", reply, packet)
			}
			if err := new(dns.Msg).Unpack(reply); err != nil {
				t.Fatalf("%x to %x: %v", reply, packet, err)
			}
		}
		bothWays(t, s, packet)
	})
}

// Whatever another server says, what is passed on can be read, and fits.
func FuzzPassOn(f *testing.F) {
	q := question("example.org.", dns.TypeA, edns(1232))
	a := new(dns.Msg).SetReply(q)
	f.Add(packed(f, a))
	for _, rr := range []dns.RR{
		&dns.A{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeA, Class: 1, Ttl: 5}, A: local().AsSlice()},
		&dns.TXT{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeTXT, Class: 1}, Txt: []string{strings.Repeat("x", 200)}},
		&dns.CNAME{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeCNAME, Class: 1}, Target: `a\.b.`},
	} {
		a.Answer = append(a.Answer, rr)
		f.Add(packed(f, a))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		heard := new(dns.Msg)
		if heard.Unpack(said) != nil {
			return
		}
		c := newCache()
		c.put(keyOf(q), heard, time.Unix(0, 0))
		if kept := c.get(keyOf(q), time.Unix(0, 0)); kept != nil {
			heard = kept
		}
		for _, tcp := range []bool{false, true} {
			reply := newReply(q, tcp).passOn(heard.Copy())
			m := new(dns.Msg)
			if err := m.Unpack(reply); err != nil || !tcp && len(reply) > udpSize || m.Id != q.Id || len(m.Question) != 1 || m.Question[0].Name != "example.org." {
				t.Fatalf("%x: %v, %v", said, m, err)
			}
		}
	})
}

// bothWays compares the quick way with the other one, if it has an answer.
func bothWays(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Server, packet []byte,
) (quick bool) {
	t.Helper()
	reply := s.quick(nil, packet)
	if reply == nil {
		return false
	}
	q := new(dns.Msg)
	if err := q.Unpack(packet); err != nil || !sensible(q) {
		t.Fatalf("%x is answered on the quick way, and is malformed: %v", packet, err)
	}
	r := newReply(q, false)
	r.msg.RecursionAvailable = s.forward != nil
	slow, _ := s.decide(q, r, local())
	if diff := cmp.Diff(lines(t, slow), lines(t, reply)); diff != "" {
		t.Fatalf("%v (-slow +quick):\n%s", q, diff)
	}
	return true
}

// lines is a message, with its records in an order of their own and names in lower case
// where the library would have written them so.
func lines(t interface{ Fatalf(string, ...any) }, packet []byte) []string {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("%x: %v", packet, err)
	}
	head := fmt.Sprintf("%+v %+v", m.MsgHdr, m.Question)
	var all []string
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			text := rr.String()
			if rr.Header().Rrtype == dns.TypeSOA {
				text = strings.ToLower(text)
			}
			all = append(all, fmt.Sprint(i, " ", text))
		}
	}
	slices.Sort(all)
	return append([]string{head}, all...)
}

func TestBothWaysGiveTheSameAnswer(t *testing.T) {
	servers := []*Server{serving(small()), NewServer(domain, NewForwarder(), nil)}
	servers[1].SetZone(zone.New(domain, small(), 9, nil))
	quick, slow := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"web", "WEB", "1.web", "2.web", "down", "nobody", "node-1.node", "node", "_tcp", "_web._tcp", "", "web-1-node-1-80.web", `we\.b`, `\000`}).Draw(t, "name")
		name = strings.TrimPrefix(name+"."+rapid.SampledFrom([]string{"argosy.internal.", "Argosy.INTERNAL.", "example.org."}).Draw(t, "domain"), ".")
		q := question(name, rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeANY}).Draw(t, "type"))
		q.Id = rapid.Uint16().Draw(t, "id")
		q.RecursionDesired, q.CheckingDisabled, q.AuthenticatedData = rapid.Bool().Draw(t, "rd"), rapid.Bool().Draw(t, "cd"), rapid.Bool().Draw(t, "ad")
		if rapid.Bool().Draw(t, "edns") {
			q.SetEdns0(uint16(rapid.IntRange(0, 5000).Draw(t, "size")), rapid.Bool().Draw(t, "do"))
			if rapid.Bool().Draw(t, "cookie") {
				q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}}
			}
		}
		packet, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range servers {
			if bothWays(t, s, packet) {
				quick++
			} else {
				slow++
			}
		}
	})
	if quick < 20 || slow < 20 {
		t.Errorf("%d answers are quick, %d not: the comparison is of nothing", quick, slow)
	}
}

func BenchmarkQuick(b *testing.B) {
	s := serving(small())
	packet := packed(b, question("web.argosy.internal.", dns.TypeA))
	var scratch [udpPlain]byte
	b.ReportAllocs()
	for range b.N {
		if s.quick(scratch[:0], packet) == nil {
			b.Fatal("not answered")
		}
	}
}

func BenchmarkSlow(b *testing.B) {
	s := serving(small())
	packet := packed(b, question("_web._tcp.argosy.internal.", dns.TypeSRV))
	b.ReportAllocs()
	for range b.N {
		if reply, _ := s.answer(nil, packet, local(), false); reply == nil {
			b.Fatal("not answered")
		}
	}
}
