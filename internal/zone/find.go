package zone

import (
	"bytes"
	"net/netip"
)

// place is what a name leads to. With nothing but exists it is a name that only has
// others below it.
type place struct {
	exists    bool
	apex      bool
	services  bool         // the list of kinds of services
	addresses []netip.Addr // of a node
	group     *group
	// sd is "_web._tcp" for the names of DNS-SD, and single is set for those of one
	// endpoint.
	sd     string
	single bool
}

// find finds a name in lower case. It keeps nothing of it.
func (z *Zone) find(name []byte) place {
	rest, below := bytes.CutSuffix(name, []byte(z.domain))
	switch {
	case !below:
		return place{}
	case len(rest) == 0:
		return place{exists: true, apex: true}
	case rest[len(rest)-1] != '.':
		return place{}
	}
	rest, label := lastLabel(rest[:len(rest)-1])
	switch string(label) {
	case nodeLabel:
		return z.findNode(rest)
	case "_tcp", "_udp":
		return z.findProtocol(rest, string(label[1:]))
	}
	s := z.services[string(label)]
	switch {
	case s == nil:
		return place{}
	case rest == nil:
		return place{exists: true, group: &s.all}
	}
	return groupAt(s.below[string(rest)])
}

func groupAt(g *group) place { return place{exists: g != nil, group: g} }

// lastLabel cuts the last label off a name; rest is nil if there was no other.
func lastLabel(name []byte) (rest, label []byte) {
	if dot := bytes.LastIndexByte(name, '.'); dot >= 0 {
		return name[:dot], name[dot+1:]
	}
	return nil, name
}

// findNode finds what stands before "node": a node, whose name may have dots, or a
// service on one.
func (z *Zone) findNode(rest []byte) place {
	if rest == nil {
		return place{exists: true}
	}
	if addresses, there := z.nodes[string(rest)]; there {
		return place{exists: true, addresses: addresses}
	}
	name, node, cut := bytes.Cut(rest, []byte{'.'})
	if s := z.services[string(name)]; cut && s != nil {
		return groupAt(s.on[string(node)])
	}
	return place{}
}

// findProtocol finds what stands before "_tcp" or "_udp".
func (z *Zone) findProtocol(rest []byte, protocol string) place {
	if rest == nil {
		return place{exists: protocol == "udp" || z.speaks(protocol)}
	}
	rest, label := lastLabel(rest)
	if protocol == "udp" && string(label) == "_dns-sd" {
		return place{exists: rest == nil || string(rest) == "_services", services: string(rest) == "_services"}
	}
	if len(label) < 2 || label[0] != '_' {
		return place{}
	}
	s := z.services[string(label[1:])]
	if s == nil || s.by[protocol] == nil {
		return place{}
	}
	sd := "_" + s.name + "._" + protocol
	if rest == nil {
		return place{exists: true, group: s.by[protocol], sd: sd}
	}
	g := s.below[string(rest)]
	if g == nil || g.label != string(rest) || g.protocol != protocol {
		return place{} // an instance has no name there
	}
	return place{exists: true, group: g, sd: sd, single: true}
}

// speaks reports whether any service has a protocol.
func (z *Zone) speaks(protocol string) bool {
	for _, s := range z.services {
		if s.by[protocol] != nil {
			return true
		}
	}
	return false
}
