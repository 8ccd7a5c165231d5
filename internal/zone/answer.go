package zone

import (
	"net/netip"
	"strings"
)

// Type is a type of record, by its number in DNS.
type Type uint16

// The types that the zone knows.
const (
	A     Type = 1
	NS    Type = 2
	SOA   Type = 6
	PTR   Type = 12
	HINFO Type = 13
	TXT   Type = 16
	AAAA  Type = 28
	SRV   Type = 33
	ANY   Type = 255 // only in questions
)

// Record is one record. What of it counts depends on its type.
type Record struct {
	Name                   string // without a dot at its end
	Type                   Type
	Address                netip.Addr // A, AAAA
	Target                 string     // PTR, SRV, NS
	Priority, Weight, Port uint16     // SRV
	Text                   []string   // TXT, HINFO
	Serial                 uint32     // SOA
}

// Answer is what there is to say to a question.
type Answer struct {
	// Exists is false if there is no such name.
	Exists                        bool
	Answer, Authority, Additional []Record
}

// Answer answers a question for a name that the zone Has. Names in the answer are
// written as they are in the question.
func (z *Zone) Answer(name string, t Type, seed uint64) Answer {
	name = strings.TrimSuffix(name, ".")
	key := []byte(strings.ToLower(name))
	q := question{zone: z, name: name, kind: t, seed: seed}
	if hosts := z.reverse[string(key)]; hosts != nil {
		return q.reverse(hosts)
	}
	place := z.find(key)
	if place.exists && t == ANY {
		return Answer{Exists: true, Answer: []Record{{Name: name, Type: HINFO, Text: []string{"RFC8482", ""}}}}
	}
	answer := Answer{Exists: place.exists}
	switch {
	case place.addresses != nil && (t == A || t == AAAA):
		answer.Answer = hosts(name, t, place.addresses)
	case place.group != nil:
		q.group(&answer, place)
	case place.services && t == PTR:
		answer.Answer = q.list()
	case place.apex:
		q.apex(&answer)
	}
	if len(answer.Answer) == 0 {
		answer.Authority, answer.Additional = []Record{z.soa(z.domain)}, nil
	}
	return answer
}

// Addresses appends the addresses that Answer gives to a question for them, for a name
// in lower case without a dot at its end. ok is false if there is no such name below
// the domain.
func (z *Zone) Addresses(to []netip.Addr, name []byte, t Type, seed uint64) (addresses []netip.Addr, ok bool) {
	place := z.find(name)
	switch {
	case !place.exists || t != A && t != AAAA:
		return to, false
	case place.addresses != nil:
		for _, r := range hosts("", t, place.addresses) {
			to = append(to, r.Address)
		}
	case place.group != nil && place.sd == "":
		to = place.group.addresses(to, t, seed)
	}
	return to, true
}

// Serial is the SOA's: it grows with the revision of the store.
func (z *Zone) Serial() uint32 { return z.serial }

// Services is how many services the zone knows.
func (z *Zone) Services() int { return len(z.services) }

func (g *group) addresses(to []netip.Addr, t Type, seed uint64) []netip.Addr {
	from := &g.v4
	if t == AAAA {
		from = &g.v6
	}
	var few [AddressesMax]int
	for _, at := range from.pick(few[:0], seed, AddressesMax) {
		to = append(to, from.addresses[at])
	}
	return to
}

func hosts(name string, t Type, addresses []netip.Addr) (records []Record) {
	for _, a := range addresses {
		if a = a.Unmap(); a.Is4() == (t == A) && a.IsValid() && len(records) < AddressesMax {
			records = append(records, Record{Name: name, Type: t, Address: a})
		}
	}
	return records
}

// soa says who answers for names and how long a denial may be kept.
func (z *Zone) soa(name string) Record { return Record{Name: name, Type: SOA, Serial: z.serial} }

// question is one question, on its way to its answer.
type question struct {
	zone *Zone
	name string
	kind Type
	seed uint64
}

func (q question) reverse(hosts []string) Answer {
	answer := Answer{Exists: true}
	switch q.kind {
	case PTR:
		for _, host := range hosts[:min(len(hosts), RecordsMax)] {
			answer.Answer = append(answer.Answer, Record{Name: q.name, Type: PTR, Target: host})
		}
	case ANY:
		answer.Answer = []Record{{Name: q.name, Type: HINFO, Text: []string{"RFC8482", ""}}}
	default:
		answer.Authority = []Record{q.zone.soa(q.name)}
	}
	return answer
}

func (q question) apex(to *Answer) {
	if q.kind == SOA {
		to.Answer = []Record{q.zone.soa(q.name)}
	}
	if q.kind == NS {
		var servers pool
		for range q.zone.servers {
			servers.add(netip.Addr{}, 1)
		}
		for _, at := range servers.pick(nil, q.seed, AddressesMax) {
			server := q.zone.servers[at]
			to.Answer = append(to.Answer, Record{Name: q.name, Type: NS, Target: server})
			to.Additional = append(to.Additional, q.zone.glue(server)...)
		}
	}
}

// glue is the addresses of a node's own name.
func (z *Zone) glue(full string) []Record {
	addresses := z.nodes[strings.TrimSuffix(full, "."+nodeLabel+"."+z.domain)]
	return append(hosts(full, A, addresses), hosts(full, AAAA, addresses)...)
}

// list lists the kinds of services of which something can be used.
func (q question) list() (records []Record) {
	for _, s := range q.zone.known.Services {
		for _, protocol := range []string{"tcp", "udp"} {
			if g := q.zone.services[s.Name].by[protocol]; g != nil && len(g.points) > 0 && len(records) < RecordsMax {
				records = append(records, Record{Name: q.name, Type: PTR, Target: "_" + s.Name + "._" + protocol + "." + q.zone.domain})
			}
		}
	}
	return records
}

// group answers for the endpoints of a name.
func (q question) group(to *Answer, at place) {
	switch {
	case q.kind == SRV:
		for _, p := range at.group.targets(q.seed, RecordsMax) {
			to.Answer = append(to.Answer, srv(q.name, p))
			to.Additional = append(to.Additional, glueOf(p))
		}
	case at.sd != "":
		q.discovery(to, at)
	case q.kind == A || q.kind == AAAA:
		for _, address := range at.group.addresses(nil, q.kind, q.seed) {
			to.Answer = append(to.Answer, Record{Name: q.name, Type: q.kind, Address: address})
		}
	case q.kind == TXT:
		for _, text := range at.group.texts(RecordsMax) {
			to.Answer = append(to.Answer, Record{Name: q.name, Type: TXT, Text: text})
		}
	}
}

// discovery answers for a name of DNS-SD: a service has its endpoints, and an endpoint
// what it says of itself. Neither is a host.
func (q question) discovery(to *Answer, at place) {
	switch {
	case q.kind == TXT && at.single:
		for _, p := range at.group.points {
			to.Answer = append(to.Answer, sdText(q.name, p))
		}
	case q.kind == PTR && !at.single:
		for _, p := range at.group.targets(q.seed, RecordsMax) {
			instance := p.label + "." + at.sd + "." + q.zone.domain
			to.Answer = append(to.Answer, Record{Name: q.name, Type: PTR, Target: instance})
			to.Additional = append(to.Additional, srv(instance, p), sdText(instance, p), glueOf(p))
		}
	}
}

func srv(name string, p point) Record {
	return Record{Name: name, Type: SRV, Target: p.target, Priority: p.priority, Weight: p.weight, Port: p.endpoint.Port}
}

// sdText is what DNS-SD wants to know of an endpoint: a record, even if there is
// nothing to say (RFC 6763, 6.1).
func sdText(name string, p point) Record {
	text := p.text()
	if len(text) == 0 {
		text = []string{""}
	}
	return Record{Name: name, Type: TXT, Text: text}
}

func glueOf(p point) Record {
	address := p.endpoint.Address.Unmap().WithZone("")
	if address.Is4() {
		return Record{Name: p.target, Type: A, Address: address}
	}
	return Record{Name: p.target, Type: AAAA, Address: address}
}
