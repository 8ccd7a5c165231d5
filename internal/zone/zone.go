// Package zone answers questions about names from the catalog: services and their
// endpoints, instances, nodes. It knows what DNS answers and nothing of how it is sent;
// package resolve does that.
//
// It is pure. A Zone is never changed after it was made, and what may come in any order
// comes in an order that follows from a seed. The names are these, D being the domain:
//
//	web.D                  the healthy endpoints of a service (A, AAAA, SRV, TXT)
//	2.web.D                those of the instance web@2.service
//	web.NODE.node.D        those on one node
//	NODE.node.D            a node (A, AAAA)
//	_web._tcp.D            SRV of a service; PTR: its endpoints, as DNS-SD lists them
//	LABEL._web._tcp.D      one endpoint, as DNS-SD describes it (SRV, TXT)
//	LABEL.web.D            one endpoint (A, AAAA, SRV, TXT); what SRV points at
//	_services._dns-sd._udp.D   PTR: the services that can be used now
//	D                      SOA, NS
//	….in-addr.arpa, ….ip6.arpa  PTR of the addresses of nodes
//
// A name that exists but has nothing of the type that is asked for is answered with
// nothing and no error (NODATA): so is a service that no endpoint is healthy of. It is
// known, and will be back; NXDOMAIN would send those who search on to other domains, and
// would deny the names below it, too.
package zone

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
)

// Limits of an answer, in records: of addresses, and of anything else. More is not
// found by asking once; the limits keep an answer within what a message can hold.
const (
	AddressesMax = 8
	RecordsMax   = 128
)

// TTL is how long an answer may be kept, in seconds; the absence of one, too.
const TTL = 2

// nodeLabel is the label below which nodes are found; no service may be named so.
const nodeLabel = "node"

// Zone is everything that is known under a domain. Make it with New.
type Zone struct {
	domain   string // in lower case, without a dot at its end
	serial   uint32
	services map[string]*service
	nodes    map[string][]netip.Addr // by name, in lower case; what lies above one has no addresses
	servers  []string                // names of nodes that are there, for NS
	reverse  map[string][]string     // the names of nodes by reverse name
	known    catalog.Catalog
}

// New makes the zone of a catalog under a domain that CheckDomain finds legal. Services
// whose endpoints are the very ones of an earlier zone of the domain, as Catalog.With
// leaves those that a change does not name, are taken over from it; there need not be one.
func New(domain string, known catalog.Catalog, revision cluster.Revision, earlier *Zone) *Zone {
	z := &Zone{
		domain: normal(domain), serial: uint32(revision), known: known, //nolint:gosec // serials go round
		services: make(map[string]*service, len(known.Services)),
		nodes:    map[string][]netip.Addr{}, reverse: map[string][]string{},
	}
	if earlier == nil || earlier.domain != z.domain {
		earlier = &Zone{}
	}
	for _, s := range known.Services {
		if old := earlier.services[s.Name]; old != nil && shared(old.from, s.Endpoints) {
			z.services[s.Name] = old
		} else {
			z.services[s.Name] = newService(s, z.domain)
		}
	}
	for _, n := range known.Nodes {
		z.addNode(n)
	}
	slices.Sort(z.servers)
	return z
}

func (z *Zone) addNode(n cluster.Whereabouts) {
	name := strings.ToLower(n.Name)
	full := name + "." + nodeLabel + "." + z.domain
	if len(full) > nameMax {
		return
	}
	z.nodes[name] = append(z.nodes[name], n.Address)
	for at := strings.IndexByte(name, '.'); at >= 0; at = strings.IndexByte(name, '.') {
		name = name[at+1:]
		z.nodes[name] = slices.Clip(z.nodes[name]) // it exists, if only as a part of others
	}
	if back := Reverse(n.Address); back != "" {
		z.reverse[back] = append(z.reverse[back], full)
	}
	if !n.Away && !slices.Contains(z.servers, full) {
		z.servers = append(z.servers, full)
	}
}

// Domain returns what all names of the zone end in, without a dot at its end.
func (z *Zone) Domain() string { return z.domain }

// Has reports whether it is the zone that answers for a name, if only that there is no
// such name.
func (z *Zone) Has(name string) bool {
	name = normal(name)
	return name == z.domain || strings.HasSuffix(name, "."+z.domain) || z.reverse[name] != nil
}

// normal is how names are compared.
func normal(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// nameMax and labelMax are the longest names and labels that DNS can hold, in the form
// with dots.
const (
	nameMax  = 253
	labelMax = 63
)

// CheckDomain says what is wrong with a domain. One label is too few: it would hide a
// domain of the Internet's root.
func CheckDomain(domain string) error {
	labels := strings.Split(normal(domain), ".")
	for _, label := range labels {
		if label == "" || len(label) > labelMax || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return cluster.Errorf(cluster.Invalid, "%.80q is no domain", domain).WithHint("labels of letters, digits and dashes, with dots between")
		}
	}
	switch {
	case len(labels) < 2:
		return cluster.Errorf(cluster.Invalid, "%.80q is a domain of the Internet's root", domain).WithHint("take one of two labels, such as argosy.internal")
	case len(normal(domain)) > domainMax:
		return cluster.Errorf(cluster.Invalid, "a domain of %d bytes leaves no room for names; the limit is %d", len(domain), domainMax)
	case strings.HasSuffix(normal(domain), ".arpa"):
		return cluster.Errorf(cluster.Invalid, "%.80q: below arpa are names of addresses", domain)
	}
	return nil
}

// domainMax leaves room for the longest names of services and their instances.
const domainMax = 100

// Reverse returns the name under which the name of an address is found, "" if there is
// no address.
func Reverse(a netip.Addr) string {
	const digits = "0123456789abcdef"
	var name []byte
	switch a = a.Unmap(); {
	case a.Is4():
		for _, b := range slices.Backward(a.AsSlice()) {
			name = append(decimal(name, b), '.')
		}
		return string(name) + "in-addr.arpa"
	case a.Is6():
		for _, b := range slices.Backward(a.AsSlice()) {
			name = append(name, digits[b&15], '.', digits[b>>4], '.')
		}
		return string(name) + "ip6.arpa"
	}
	return ""
}

func decimal(to []byte, b byte) []byte {
	if b >= 100 {
		to = append(to, '0'+b/100)
	}
	if b >= 10 {
		to = append(to, '0'+b/10%10)
	}
	return append(to, '0'+b%10)
}

// shared reports whether two lists are the same one, rather than look at what they say.
func shared(a, b []cluster.Endpoint) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// service is one service with all the names that lead to endpoints of it.
type service struct {
	name  string
	from  []cluster.Endpoint
	all   group
	below map[string]*group // by instance, and by the labels of single endpoints
	on    map[string]*group // by node
	by    map[string]*group // by protocol, those of all protocols that it has
}

func newService(s cluster.Service, domain string) *service {
	out := &service{name: s.Name, from: s.Endpoints, below: map[string]*group{}, on: map[string]*group{}, by: map[string]*group{}}
	labels := labelsOf(s.Endpoints)
	for i, e := range s.Endpoints {
		p := point{endpoint: e, label: labels[i], weight: parameter(e.Parameters, "weight", 1), priority: parameter(e.Parameters, "priority", 0)}
		p.target = p.label + "." + s.Name + "." + domain
		for _, g := range out.groups(p) {
			g.add(p)
		}
	}
	for _, groups := range []map[string]*group{out.below, out.on, out.by, {"": &out.all}} {
		for _, g := range groups {
			g.finish()
		}
	}
	return out
}

// groups returns all that an endpoint belongs to, once each. That it is sick does not
// make its names unknown.
func (s *service) groups(p point) []*group {
	at := func(m map[string]*group, key string) *group {
		if m[key] == nil {
			m[key] = &group{}
		}
		return m[key]
	}
	single := at(s.below, p.label)
	single.label, single.protocol = p.label, p.endpoint.Protocol
	groups := []*group{
		&s.all, single, at(s.by, p.endpoint.Protocol), at(s.on, strings.ToLower(p.endpoint.NodeName)),
	}
	if instance := instanceLabel(p.endpoint.Unit); instance != "" {
		groups = append(groups, at(s.below, instance))
	}
	return groups
}

// labelsOf gives each endpoint of a service a label that says which it is. It stays the
// same as long as the endpoint does, unless two would have the same: then both are
// named by a digest.
func labelsOf(endpoints []cluster.Endpoint) []string {
	labels := make([]string, len(endpoints))
	times := map[string]int{}
	for i, e := range endpoints {
		labels[i] = endpointLabel(e)
		times[labels[i]]++
	}
	for _, e := range endpoints {
		if instance := instanceLabel(e.Unit); instance != "" {
			times[instance]++ // that name means another thing
		}
	}
	for i, e := range endpoints {
		if times[labels[i]] > 1 || len(labels[i]) > labelMax {
			labels[i] = digestLabel(e)
		}
	}
	return labels
}

// parameter reads a number that an endpoint says of itself. What is no number is
// somebody else's to understand.
func parameter(parameters map[string]string, key string, otherwise uint16) uint16 {
	text, said := parameters[key]
	if !said || text == "" || len(text) > 5 {
		return otherwise
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return otherwise
		}
		n = n*10 + int(c-'0')
	}
	if n > 1<<16-1 {
		return otherwise
	}
	return uint16(n)
}

// comparePoints orders endpoints for answers that do not shuffle.
func comparePoints(a, b point) int {
	return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.label, b.label))
}
