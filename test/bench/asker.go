package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/ipv4"

	"argosy/internal/loop"
)

const (
	askWindow = 256
	askBatch  = 64
)

// question writes a question for the addresses of a name.
func question(id uint16, name string) []byte {
	q := binary.BigEndian.AppendUint16(nil, id)
	q = append(q, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		q = append(append(q, byte(len(label))), label...)
	}
	return append(q, 0, 0, 1, 0, 1)
}

// address returns the first address that a name has now, if any.
func (a *asker) address(name string) netip.Addr {
	a.id++
	q := question(a.id, name)
	if _, err := a.conn.Write(q); err != nil {
		return netip.Addr{}
	}
	reply := make([]byte, 512)
	for a.conn.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		n, err := a.conn.Read(reply)
		switch {
		case err != nil:
			return netip.Addr{}
		case n < 12 || binary.BigEndian.Uint16(reply) != a.id:
			continue // to an earlier question
		case reply[7] == 0:
			return netip.Addr{}
		}
		at := len(q)
		for at < n && reply[at] != 0 && reply[at] < 0xc0 { // the name, if it is no pointer to that of the question
			at += 1 + int(reply[at])
		}
		if at < n && reply[at] == 0 {
			at--
		}
		if at += 12; at+4 > n { // name, type, class, time, length
			return netip.Addr{}
		}
		return netip.AddrFrom4([4]byte(reply[at : at+4]))
	}
	return netip.Addr{}
}

// awaken waits until the server answers.
func (a *asker) awaken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for !a.address("s-1." + namesDomain).IsValid() {
		if err := loop.Sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
	return nil
}

// flood keeps questions on their way for a while, and returns how many were answered.
func (a *asker) flood(last time.Duration) (answers int, err error) {
	io := ipv4.NewPacketConn(a.conn)
	in, out := make([]ipv4.Message, askBatch), make([]ipv4.Message, askBatch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, 512)}
	}
	next, waiting := 0, 0
	for end := time.Now().Add(last); time.Now().Before(end); {
		for waiting < askWindow {
			for i := range out {
				next++
				out[i].Buffers = [][]byte{question(uint16(next), fmt.Sprintf("s-%d.%s", next%namesServices, namesDomain))}
			}
			n, err := io.WriteBatch(out, 0)
			if err != nil {
				return answers, err
			}
			waiting += n
		}
		if err := a.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return answers, err
		}
		n, err := io.ReadBatch(in, 0)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			waiting = 0 // they are lost
			continue
		}
		if err != nil {
			return answers, err
		}
		waiting -= n
		for _, m := range in[:n] {
			if reply := m.Buffers[0]; m.N < 12 || reply[3]&15 != 0 || reply[7] == 0 {
				return answers, fmt.Errorf("an answer without an address: %x", reply[:m.N])
			}
			answers++
		}
	}
	return answers, nil
}
