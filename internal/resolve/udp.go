package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Sizes of the work on datagrams.
const (
	batchSize = 64
	packetMax = 2048 // a question is far smaller; what is larger is not read
)

// batches reads and writes many datagrams with one call of the kernel.
type batches interface {
	ReadBatch(messages []ipv4.Message, flags int) (int, error)
	WriteBatch(messages []ipv4.Message, flags int) (int, error)
}

// serveUDP answers datagrams until ctx ends or the socket fails. One goroutine reads: two
// that take turns wake each other up all the time, and cost a third of the answers that
// can be given in a second of CPU. What it can do alone is more than a machine asks.
func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	r := newReader(s, conn)
	defer r.waiting.Wait()
	for {
		if err := r.round(ctx); err != nil {
			return err
		}
	}
}

// reader reads from one socket.
type reader struct {
	server  *Server
	conn    *net.UDPConn
	io      batches
	waiting sync.WaitGroup // for others' answers
	in, out []ipv4.Message
	replies [batchSize][udpPlain]byte // of the quick way
	buffers [batchSize][1][]byte      // of out
}

func newReader(s *Server, conn *net.UDPConn) *reader {
	r := &reader{server: s, conn: conn, io: ipv4.NewPacketConn(conn), in: make([]ipv4.Message, batchSize), out: make([]ipv4.Message, 0, batchSize)}
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok && local.AddrPort().Addr().Unmap().Is6() {
		r.io = ipv6.NewPacketConn(conn)
	}
	for i := range r.in {
		r.in[i].Buffers = [][]byte{make([]byte, packetMax)}
	}
	return r
}

// round reads what is there, and answers it.
func (r *reader) round(ctx context.Context) error {
	n, err := r.io.ReadBatch(r.in, 0)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) && passing(err) {
			return nil
		}
		return err
	}
	r.out = r.out[:0]
	for i := range r.in[:n] {
		r.take(ctx, i)
	}
	r.send()
	return nil
}

// passing reports whether an error concerns one datagram only: that an earlier one
// found nobody, for example.
func passing(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EINTR)
}

// take answers one datagram, or has it answered.
func (r *reader) take(ctx context.Context, i int) {
	m := &r.in[i]
	addr, ok := m.Addr.(*net.UDPAddr)
	if !ok || addr.Port == 0 {
		return
	}
	from := addr.AddrPort()
	packet := m.Buffers[0][:m.N]
	if m.Flags&unix.MSG_TRUNC != 0 && m.N >= headerSize {
		packet = packet[:headerSize] // no question: it is malformed
		packet[5] = 1
	}
	reply, ask := r.server.answer(r.replies[i][:0], packet, from.Addr(), false)
	switch {
	case ask != nil:
		r.later(ctx, from, ask)
	case reply != nil:
		r.buffers[i][0] = reply
		r.out = append(r.out, ipv4.Message{Buffers: r.buffers[i][:], Addr: addr})
	}
}

// later answers when others have. What is on its way is bounded by the turns that
// were taken for it.
func (r *reader) later(ctx context.Context, to netip.AddrPort, ask func(context.Context) []byte) {
	r.waiting.Go(func() {
		if reply := ask(ctx); reply != nil {
			_, _ = r.conn.WriteToUDPAddrPort(reply, to) // who has gone does not read it
		}
	})
}

// send sends the replies. One that cannot be sent keeps no other back.
func (r *reader) send() {
	for out := r.out; len(out) > 0; {
		n, err := r.io.WriteBatch(out, 0)
		if err != nil {
			n = max(n, 0) + 1
		}
		out = out[min(n, len(out)):]
	}
}
