package resolve

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"argosy/internal/zone"
)

// Sizes of messages.
const (
	headerSize = 12
	udpSize    = 1232 // what crosses any network in one piece (DNS flag day 2020)
	udpPlain   = 512  // for those who say nothing (RFC 1035)
	tcpSize    = 65535
)

// answer says what is to be said to a message: a reply, which may be written into
// scratch, or what gives one after it has asked others, or nothing at all.
func (s *Server) answer(scratch, packet []byte, from netip.Addr, tcp bool) (reply []byte, ask func(context.Context) []byte) {
	if reply := s.quick(scratch, packet); reply != nil {
		s.count.queries.Add(1)
		s.count.quick.Add(1)
		return reply, nil
	}
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		s.count.malformed.Add(1)
		return nil, nil // an answer to an answer would never end
	}
	if opcode := packet[2] >> 3 & 15; opcode != dns.OpcodeQuery {
		return headerOnly(packet, dns.RcodeNotImplemented), nil
	}
	q := new(dns.Msg)
	if err := q.Unpack(packet); err != nil || !sensible(q) {
		s.count.malformed.Add(1)
		return headerOnly(packet, dns.RcodeFormatError), nil
	}
	s.count.queries.Add(1)
	r := newReply(q, tcp)
	r.msg.RecursionAvailable = s.forward != nil
	return s.decide(q, r, from)
}

// sensible reports whether a message that could be read can be a question.
func sensible(q *dns.Msg) bool {
	options := 0
	for _, rr := range q.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			options++
		}
	}
	return len(q.Question) == 1 && len(q.Answer) == 0 && options <= 1 && !q.Truncated
}

// headerOnly is the reply to what cannot be read further than its header.
func headerOnly(packet []byte, code byte) []byte {
	reply := make([]byte, headerSize)
	copy(reply, packet[:2])
	reply[2] = 0x80 | packet[2]&0x79 // the opcode and whether recursion is desired
	reply[3] = code
	return reply
}

// decide finds out whose name it is that is asked for.
func (s *Server) decide(q *dns.Msg, r *reply, from netip.Addr) (packed []byte, ask func(context.Context) []byte) {
	question := q.Question[0]
	v := s.view.Load()
	switch opt := q.IsEdns0(); {
	case opt != nil && opt.Version() != 0:
		return r.fail(dns.RcodeBadVers), nil
	case question.Qclass != dns.ClassINET, slices.Contains(transfers(), question.Qtype):
		s.count.refused.Add(1)
		return r.fail(dns.RcodeRefused), nil
	case s.forward != nil && s.forward.isProbe(question.Name):
		return r.fail(dns.RcodeRefused), nil
	case v != nil && v.zone.Has(question.Name):
		return s.local(v.zone, question, r), nil
	case s.isLocal(question.Name):
		r.explain(dns.ExtendedErrorCodeNotReady, "nothing was heard of the cluster yet")
		return r.fail(dns.RcodeServerFailure), nil
	case s.forward == nil || !q.RecursionDesired || !s.mayAsk(from):
		s.count.refused.Add(1)
		return r.fail(dns.RcodeRefused), nil
	}
	return s.elsewhere(q, r, from)
}

// transfers are the types of questions that ask for a whole zone.
func transfers() []uint16 { return []uint16{dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB} }

// local answers from the zone.
func (s *Server) local(z *zone.Zone, question dns.Question, r *reply) []byte {
	found := z.Answer(question.Name, zone.Type(question.Qtype), seed())
	r.msg.Authoritative = true
	if !found.Exists {
		r.msg.Rcode = dns.RcodeNameError
	}
	domain := z.Domain()
	r.msg.Answer, r.msg.Ns, r.msg.Extra = records(found.Answer, domain), records(found.Authority, domain), records(found.Additional, domain)
	if s.stale.Load() {
		r.explain(dns.ExtendedErrorCodeStaleAnswer, "the catalog was not heard of for a while")
	}
	return r.pack()
}

// elsewhere answers with what others have said, or returns what asks them. That may wait
// for them, so there is a limit to how many do; it must be called, and once.
func (s *Server) elsewhere(q *dns.Msg, r *reply, from netip.Addr) (packed []byte, ask func(context.Context) []byte) {
	if heard := s.forward.heard(q); heard != nil {
		s.count.cached.Add(1)
		return r.passOn(heard), nil
	}
	if !s.asking.take(from) {
		s.count.crowded.Add(1)
		r.explain(dns.ExtendedErrorCodeOther, "too many questions are on their way")
		return r.fail(dns.RcodeServerFailure), nil
	}
	s.count.forwarded.Add(1)
	return nil, func(ctx context.Context) []byte {
		defer s.asking.give(from)
		heard, err := s.forward.Ask(ctx, q)
		if err != nil {
			r.explain(dns.ExtendedErrorCodeNetworkError, err.Error())
			return r.fail(dns.RcodeServerFailure)
		}
		return r.passOn(heard)
	}
}

// reply is a message in the making.
type reply struct {
	msg  *dns.Msg
	size int
	opt  *dns.OPT // nil if the asker knows nothing of such
}

func newReply(q *dns.Msg, tcp bool) *reply {
	r := &reply{msg: new(dns.Msg).SetReply(q), size: udpPlain}
	r.msg.Compress = true
	if asked := q.IsEdns0(); asked != nil {
		r.opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		r.opt.SetUDPSize(udpSize)
		if asked.Do() {
			r.opt.SetDo()
		}
		r.size = max(udpPlain, min(int(asked.UDPSize()), udpSize))
	}
	if tcp {
		r.size = tcpSize
	}
	return r
}

// explain says more than a code can (RFC 8914), to those who understand it.
func (r *reply) explain(code uint16, text string) {
	if r.opt != nil {
		r.opt.Option = append(r.opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: text})
	}
}

// fail packs a reply without records.
func (r *reply) fail(code int) []byte {
	r.msg.Rcode = code
	r.msg.Answer, r.msg.Ns, r.msg.Extra = nil, nil, nil
	return r.pack()
}

// passOn packs what another server said.
func (r *reply) passOn(heard *dns.Msg) []byte {
	r.msg.Rcode, r.msg.AuthenticatedData = heard.Rcode, heard.AuthenticatedData
	r.msg.Answer, r.msg.Ns = heard.Answer, heard.Ns
	for _, rr := range heard.Extra {
		if rr.Header().Rrtype != dns.TypeOPT { // that is between them and us
			r.msg.Extra = append(r.msg.Extra, rr)
		}
	}
	return r.pack()
}

// pack makes the message fit. What does not is left out, and the asker is told to come
// back over TCP.
func (r *reply) pack() []byte {
	if r.opt != nil {
		r.msg.Extra = append(r.msg.Extra, r.opt)
	}
	r.msg.Truncate(r.size)
	packed, err := r.msg.Pack()
	if err != nil { // a record that cannot be written
		r.msg.Answer, r.msg.Ns, r.msg.Extra, r.msg.Rcode = nil, nil, nil, dns.RcodeServerFailure
		packed, _ = r.msg.Pack()
	}
	return packed
}

// records turns what the zone says into what the library writes.
func records(all []zone.Record, domain string) (out []dns.RR) {
	for _, r := range all {
		header := dns.RR_Header{Name: r.Name + ".", Rrtype: uint16(r.Type), Class: dns.ClassINET, Ttl: zone.TTL}
		switch r.Type {
		case zone.A:
			out = append(out, &dns.A{Hdr: header, A: r.Address.AsSlice()})
		case zone.AAAA:
			out = append(out, &dns.AAAA{Hdr: header, AAAA: r.Address.AsSlice()})
		case zone.SRV:
			out = append(out, &dns.SRV{Hdr: header, Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: r.Target + "."})
		case zone.PTR:
			out = append(out, &dns.PTR{Hdr: header, Ptr: r.Target + "."})
		case zone.NS:
			out = append(out, &dns.NS{Hdr: header, Ns: r.Target + "."})
		case zone.TXT:
			out = append(out, &dns.TXT{Hdr: header, Txt: escaped(r.Text)})
		case zone.HINFO:
			out = append(out, &dns.HINFO{Hdr: header, Cpu: r.Text[0], Os: r.Text[1]})
		case zone.SOA:
			out = append(out, &dns.SOA{
				Hdr: header, Ns: domain + ".", Mbox: "hostmaster." + domain + ".", Serial: r.Serial,
				Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: zone.TTL,
			})
		case zone.ANY: // stands in questions only
		}
	}
	return out
}

// Times of the SOA that concern nobody: there are no secondaries.
const (
	soaRefresh = 60
	soaRetry   = 10
	soaExpire  = 3600
)

// escaped writes texts so that the library writes them as they are.
func escaped(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strings.ReplaceAll(text, `\`, `\\`)
	}
	return out
}

// wireName writes a name of plain labels as it is written on the wire.
func wireName(name string) (wire []byte) {
	for label := range strings.SplitSeq(name, ".") {
		wire = append(append(wire, byte(len(label))), label...)
	}
	return append(wire, 0)
}

// questionOf returns a copy of what is asked in a message, for another server.
func questionOf(q *dns.Msg) *dns.Msg {
	out := new(dns.Msg)
	out.Question = []dns.Question{q.Question[0]}
	out.RecursionDesired, out.CheckingDisabled, out.AuthenticatedData = true, q.CheckingDisabled, q.AuthenticatedData
	do := false
	if opt := q.IsEdns0(); opt != nil {
		do = opt.Do()
	}
	return out.SetEdns0(udpSize, do)
}
