package resolve

import (
	"encoding/binary"
	"net/netip"

	"argosy/internal/zone"
)

// The quick way answers what nearly every question is: for the addresses of a name of the
// cluster that exists, one question, with or without EDNS. It reads and writes bytes and
// keeps nothing. Whatever is in any way unusual it leaves to the other way, which must
// give the same records for all that is answered here (TestBothWaysGiveTheSameAnswer).

// quickQuestion is what the quick way knows of a question.
type quickQuestion struct {
	name [256]byte // in lower case, with dots
	size int       // of name
	end  int       // of the question in the packet
	kind zone.Type
	edns bool
	do   bool
}

// quick writes the reply to a packet into scratch, which must be empty and large enough
// for udpPlain bytes not to have to grow. It returns nil for what is not its to answer.
func (s *Server) quick(scratch, packet []byte) []byte {
	v := s.view.Load()
	if v == nil || s.stale.Load() {
		return nil
	}
	var q quickQuestion
	if !q.read(packet) {
		return nil
	}
	var few [zone.AddressesMax]netip.Addr
	addresses, known := v.zone.Addresses(few[:0], q.name[:q.size], q.kind, seed())
	if !known {
		return nil
	}
	return s.write(scratch, packet, &q, v, addresses)
}

// read reads a packet; it is false for all but plain questions.
func (q *quickQuestion) read(p []byte) bool {
	if len(p) < headerSize+5 || p[2]&^1 != 0 || p[3]&^0x30 != 0 || // QUERY; recursion desired, AD and CD as they like
		p[4] != 0 || p[5] != 1 || p[6]|p[7]|p[8]|p[9]|p[10] != 0 || p[11] > 1 {
		return false
	}
	at := q.readName(p)
	if at < 0 || at+4 > len(p) {
		return false
	}
	q.kind, q.end = zone.Type(binary.BigEndian.Uint16(p[at:])), at+4
	if q.kind != zone.A && q.kind != zone.AAAA || binary.BigEndian.Uint16(p[at+2:]) != 1 {
		return false
	}
	if p[11] == 0 {
		return q.end == len(p)
	}
	return q.readOptions(p[q.end:])
}

// readName reads the name that is asked for, and returns where it ends, -1 if it is an
// unusual one.
func (q *quickQuestion) readName(p []byte) int {
	at := headerSize
	for {
		length := int(p[at])
		at++
		switch {
		case length == 0 && q.size > 0:
			q.size-- // the last dot
			return at
		case length == 0 || length > 63 || at+length >= len(p) || q.size+length+1 >= 255:
			return -1
		}
		for _, c := range p[at : at+length] {
			switch {
			case c >= 'A' && c <= 'Z':
				c += 'a' - 'A'
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return -1
			}
			q.name[q.size] = c
			q.size++
		}
		q.name[q.size] = '.'
		q.size++
		at += length
	}
}

// readOptions reads a record that is EDNS without options, or with a cookie alone, which
// is not answered.
func (q *quickQuestion) readOptions(p []byte) bool {
	if len(p) < 11 || p[0] != 0 || p[1] != 0 || p[2] != 41 || p[5] != 0 || p[6] != 0 {
		return false
	}
	q.edns, q.do = true, p[7]&0x80 != 0
	rest := p[11:]
	if int(binary.BigEndian.Uint16(p[9:])) != len(rest) {
		return false
	}
	const cookie = 10
	return len(rest) == 0 || len(rest) >= 4 && binary.BigEndian.Uint16(rest) == cookie && int(binary.BigEndian.Uint16(rest[2:])) == len(rest)-4
}

// write writes the reply. It fits into udpPlain bytes, whatever the name.
func (s *Server) write(to, packet []byte, q *quickQuestion, v *view, addresses []netip.Addr) []byte {
	available := byte(0)
	if s.forward != nil {
		available = 0x80
	}
	to = append(to, packet[0], packet[1], 0x84|packet[2]&1, available|packet[3]&0x10, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0)
	to = append(to, packet[headerSize:q.end]...)
	for _, a := range addresses {
		to = append(to, 0xc0, headerSize, 0, byte(q.kind), 0, 1)
		to = binary.BigEndian.AppendUint32(to, zone.TTL)
		if a.Is4() {
			four := a.As4()
			to = append(append(to, 0, 4), four[:]...)
		} else {
			sixteen := a.As16()
			to = append(append(to, 0, 16), sixteen[:]...)
		}
	}
	if len(addresses) == 0 {
		to[9] = 1
		to = appendSOA(to, q.end-4-len(v.domain), v.zone.Serial())
	}
	if q.edns {
		to[11] = 1
		do := byte(0)
		if q.do {
			do = 0x80
		}
		to = append(to, 0, 0, 41, udpSize>>8, udpSize&0xff, 0, 0, do, 0, 0, 0)
	}
	return to
}

// appendSOA appends the record that says for how long there is nothing. domain is where
// in the message the name of the zone stands.
func appendSOA(to []byte, domain int, serial uint32) []byte {
	pointer := [2]byte{0xc0 | byte(domain>>8), byte(domain)}
	const mailbox = "\x0ahostmaster"
	to = append(append(to, pointer[:]...), 0, byte(zone.SOA), 0, 1)
	to = binary.BigEndian.AppendUint32(to, zone.TTL)
	to = append(to, 0, byte(2+len(mailbox)+2+5*4))
	to = append(append(append(to, pointer[:]...), mailbox...), pointer[:]...)
	for _, n := range [...]uint32{serial, soaRefresh, soaRetry, soaExpire, zone.TTL} {
		to = binary.BigEndian.AppendUint32(to, n)
	}
	return to
}
