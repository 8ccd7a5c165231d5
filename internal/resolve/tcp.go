package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How long a client of TCP is waited for. A connection has a goroutine of its own and
// deadlines for all that it does, so that one that is slow, silent or malformed makes
// nobody else wait; how many there are is bounded (guests).
const (
	idleMax  = 10 * time.Second // between two messages
	readMax  = 2 * time.Second  // for the rest of a message that has begun
	writeMax = 5 * time.Second
)

// serveTCP answers on connections until ctx ends or the listener fails.
func (s *Server) serveTCP(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) && isPassing(err) {
				continue
			}
			return err
		}
		from := addressOf(conn.RemoteAddr())
		guest, crowded := s.guests.admit(from, conn, time.Now())
		if crowded {
			s.count.crowded.Add(1)
		}
		open.Go(func() {
			defer s.guests.leave(guest)
			s.converse(ctx, guest)
		})
	}
}

// isPassing reports whether a connection was lost before it was accepted.
func isPassing(err error) bool {
	var timeout net.Error
	return passing(err) || errors.As(err, &timeout) && timeout.Timeout()
}

func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// converse answers one message after the other, until the client ends it, is too slow,
// or sends what is no message.
func (s *Server) converse(ctx context.Context, guest *guest) {
	conn := guest.conn
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		packet, err := readMessage(conn)
		if err != nil {
			return
		}
		s.guests.mark(guest, true, time.Now())
		reply, ask := s.answer(nil, packet, guest.client, true)
		if ask != nil {
			reply = ask(ctx)
		}
		s.guests.mark(guest, false, time.Now()) // who does not read is not waited for
		if reply == nil || writeMessage(conn, reply) != nil {
			return
		}
	}
}

func readMessage(conn net.Conn) ([]byte, error) {
	var size [2]byte
	if err := conn.SetReadDeadline(time.Now().Add(idleMax)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, size[:1]); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(readMax)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, size[1:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(size[:]))
	if length < headerSize || length > packetMax {
		return nil, errors.New("no message is of that size")
	}
	packet := make([]byte, length)
	_, err := io.ReadFull(conn, packet)
	return packet, err
}

func writeMessage(conn net.Conn, reply []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeMax)); err != nil {
		return err
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)) //nolint:gosec // pack keeps to tcpSize
	return err
}
