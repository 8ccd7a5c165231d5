package resolve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"argosy/internal/loop"
	"argosy/internal/zone"
)

// listening has a server answer at a port of its own on the loopback, until the test ends.
func listening(t *testing.T, s *Server) netip.AddrPort {
	t.Helper()
	opened := make(chan struct{}, 1)
	l := &listener{server: s, address: netip.MustParseAddrPort("127.0.0.1:0"), opened: func() { opened <- struct{}{} }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = loop.New("test", slog.New(slog.DiscardHandler), l.step).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	<-opened
	problem, bound := l.state()
	if problem != "" {
		t.Fatal(problem)
	}
	return bound
}

func overTheWire(t *testing.T, network string, at netip.AddrPort, q *dns.Msg) *dns.Msg {
	t.Helper()
	var err error
	for range 10 { // a datagram may be lost, and is sent again
		var m *dns.Msg
		if m, _, err = (&dns.Client{Net: network, Timeout: time.Second, UDPSize: 4096}).Exchange(q, at.String()); err == nil {
			return m
		}
	}
	t.Fatalf("%s over %s: %v", q.Question[0].Name, network, err)
	return nil
}

func connect(t *testing.T, network string, at netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestOverTheWire(t *testing.T) {
	c := small()
	c.Services = append(large().Services, c.Services...)
	at := listening(t, serving(c))
	for _, network := range []string{"udp", "tcp"} {
		if m := overTheWire(t, network, at, question("web.argosy.internal.", dns.TypeA)); len(m.Answer) != 2 {
			t.Errorf("%s: %v", network, m)
		}
	}
	srv := question("_big._tcp.argosy.internal.", dns.TypeSRV, edns(4096))
	if m := overTheWire(t, "udp", at, srv); !m.Truncated {
		t.Error("what does not fit passes for whole")
	}
	if m := overTheWire(t, "tcp", at, srv); m.Truncated || len(m.Answer) != zone.RecordsMax {
		t.Errorf("over TCP: %s", summary(m))
	}
}

// One connection serves many messages, also such as come all at once or in pieces.
func TestManyMessagesOfOneConnection(t *testing.T) {
	conn := connect(t, "tcp", listening(t, serving(small())))
	packet := packed(t, question("web.argosy.internal.", dns.TypeA))
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	if _, err := conn.Write(bytes.Repeat(framed, 20)); err != nil {
		t.Fatal(err)
	}
	for _, piece := range [][]byte{framed[:1], framed[1:5], framed[5:]} {
		if _, err := conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	for range 21 {
		reply, err := readMessage(conn)
		if err != nil || len(reply) < len(packet) {
			t.Fatalf("%x: %v", reply, err)
		}
	}
}

// No client of TCP makes another wait, however it behaves, and each is let go.
func TestBadClientsOfTCP(t *testing.T) {
	s := serving(small())
	at := listening(t, s)
	for why, sent := range map[string][]byte{
		"it sends nothing": nil, "half a length": {0}, "half a message": {0, 30, 1, 2, 3}, "an endless message": {0xff, 0xff, 1, 2, 3},
		"an empty message": {0, 0}, "garbage": bytes.Repeat([]byte{0x80}, 100), "an answer": append([]byte{0, 12, 1, 1, 0x80}, make([]byte, 9)...),
	} {
		conn := connect(t, "tcp", at)
		if _, err := conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		if m := overTheWire(t, "tcp", at, question("web.argosy.internal.", dns.TypeA)); len(m.Answer) != 2 {
			t.Errorf("%s: another client gets %v", why, m)
		}
	}
	// What can be told at once to be no message ends its connection at once; the others
	// after their deadlines.
	conn := connect(t, "tcp", at)
	if _, err := conn.Write([]byte{0, 3, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	late := connect(t, "tcp", at)
	if _, err := late.Write([]byte{0, 30, 1}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) > readMax+5*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

// Who keeps connections to himself keeps nobody out: the one that was silent longest goes.
func TestConnectionsAreBounded(t *testing.T) {
	s := serving(small())
	s.guests = newGuests(10, 4)
	at := listening(t, s)
	packet := packed(t, question("web.argosy.internal.", dns.TypeA))
	works := func(conn net.Conn) bool {
		if writeMessage(conn, packet) != nil {
			return false
		}
		_, err := readMessage(conn)
		return err == nil
	}
	var open []net.Conn
	for i := range 50 {
		conn := connect(t, "tcp", at)
		if open = append(open, conn); !works(conn) {
			t.Fatalf("connection %d is refused", i)
		}
	}
	for i, conn := range open {
		if want := i >= 46; works(conn) != want {
			t.Errorf("connection %d is served: %v", i, !want)
		}
	}
	s.guests.mu.Lock()
	defer s.guests.mu.Unlock()
	if n := len(s.guests.open); n != 4 {
		t.Errorf("%d are open", n)
	}
}

func TestWhoGoesWhenThereIsNoRoom(t *testing.T) {
	g := newGuests(4, 3)
	now := time.Now()
	others, one := local(), netip.MustParseAddr("10.88.0.2")
	conn := func() net.Conn {
		a, b := net.Pipe()
		t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
		return a
	}
	closed := func(o *guest) bool {
		_ = o.conn.SetReadDeadline(time.Now())
		_, err := o.conn.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	expect := func(why string, crowded, want bool, gone *guest, stay ...*guest) {
		t.Helper()
		if crowded != want || gone != nil && !closed(gone) {
			t.Errorf("%s: crowded: %v", why, crowded)
		}
		for _, o := range stay {
			if closed(o) {
				t.Errorf("%s: another one is closed", why)
			}
		}
	}
	at := func(n int) time.Time { return now.Add(time.Duration(n) * time.Second) }
	a, crowded := g.admit(one, conn(), at(0))
	expect("the first", crowded, false, nil, a)
	b, _ := g.admit(one, conn(), at(1))
	c, _ := g.admit(one, conn(), at(2))
	g.mark(c, true, at(2))
	g.mark(a, false, at(3)) // it has just spoken
	d, crowded := g.admit(one, conn(), at(4))
	expect("a fourth of one client", crowded, true, b, a, c, d)
	e, crowded := g.admit(others, conn(), at(6))
	expect("one of another client", crowded, false, nil, a, c, d, e)
	f, crowded := g.admit(others, conn(), at(7))
	expect("one more than there may be", crowded, true, a, c, d, e, f)
	for _, o := range []*guest{d, e, f} {
		g.mark(o, true, at(8))
	}
	_, crowded = g.admit(others, conn(), at(9))
	expect("all wait for answers", crowded, true, c, d, e, f)
	for _, o := range []*guest{a, d} {
		g.leave(o)
	}
	if len(g.open) != 3 {
		t.Errorf("%d are open", len(g.open))
	}
}

// A flood of whatever kind grows no memory, and who asks meanwhile is answered.
func TestFloods(t *testing.T) {
	s, _ := elsewhere(&upstream{after: time.Hour})
	at := listening(t, s)
	conn := connect(t, "udp", at)
	kinds := map[string][]byte{
		"questions": packed(t, question("web.argosy.internal.", dns.TypeA)), "names that there are not": packed(t, question("nobody.argosy.internal.", dns.TypeA)),
		"names of others": packed(t, question("example.org.", dns.TypeA)), "oversized": bytes.Repeat([]byte{0x01}, 60000), "nothing": {},
		"malformed": append([]byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{0xc0}, 40)...), "answers": append([]byte{1, 2, 0x80}, make([]byte, 30)...),
		"endless names": append([]byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{63}, 1000)...),
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for why, packet := range kinds {
		for i := range 5000 {
			if strings.HasPrefix(why, "names of others") {
				binary.BigEndian.PutUint16(packet[13:], uint16(i)|0x6161) // another name each time
			}
			_, _ = conn.Write(packet) // what the kernel does not take is lost, as in any flood
		}
		if m := overTheWire(t, "udp", at, question("web.argosy.internal.", dns.TypeA)); len(m.Answer) != 2 {
			t.Errorf("%s: %v", why, m)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d bytes more than before", grown)
	}
	if now := s.Counts(); now.Malformed == 0 || now.Queries < 100 {
		t.Errorf("the flood did not arrive: %+v", now)
	}
}

func TestAPortThatIsTakenIsSaidToBe(t *testing.T) {
	taken, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	at := taken.LocalAddr().(*net.UDPAddr).AddrPort()
	l := &listener{server: serving(small()), address: at}
	if _, err := l.step(t.Context()); err == nil {
		t.Fatal("it answers on a port that another has")
	}
	if problem, bound := l.state(); !strings.Contains(problem, "another program has the port") || bound.IsValid() {
		t.Errorf("%q, %s", problem, bound)
	}
	_ = taken.Close()
	ctx, cancel := context.WithCancel(t.Context())
	l.opened = cancel
	_, _ = l.step(ctx)
	if problem, _ := l.state(); strings.Contains(problem, "another program") {
		t.Errorf("the port is free now: %q", problem)
	}
}
