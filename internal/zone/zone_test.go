package zone_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/zone"
)

const domain = "argosy.internal"

// at is an endpoint of a service. A parameter "sick" makes it unhealthy.
func at(service string, unit cluster.UnitName, node int, port uint16, parameters ...string) cluster.Endpoint {
	e := cluster.Endpoint{
		Offer: cluster.Offer{Service: service, Port: port, Protocol: "tcp", Healthy: true},
		Unit:  unit, Node: cluster.NodeID(fmt.Sprintf("id-%d", node)), NodeName: fmt.Sprintf("Node-%d", node), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(node)}),
	}
	for _, p := range parameters {
		key, value, _ := strings.Cut(p, "=")
		switch key {
		case "sick":
			e.Healthy = false
		case "udp":
			e.Protocol = "udp"
		case "v6":
			e.Address = netip.MustParseAddr("fd00::" + value)
		default:
			if e.Parameters == nil {
				e.Parameters = map[string]string{}
			}
			e.Parameters[key] = value
		}
	}
	return e
}

// of makes a catalog.
func of(nodes []cluster.Whereabouts, endpoints ...cluster.Endpoint) catalog.Catalog {
	slices.SortFunc(endpoints, cluster.Endpoint.Compare)
	c := catalog.Catalog{Nodes: nodes}
	for _, e := range endpoints {
		if n := len(c.Services); n == 0 || c.Services[n-1].Name != e.Service {
			c.Services = append(c.Services, cluster.Service{Name: e.Service})
		}
		s := &c.Services[len(c.Services)-1]
		s.Endpoints = append(s.Endpoints, e)
	}
	return c
}

func node(i int, name, address string) cluster.Whereabouts {
	return cluster.Whereabouts{ID: cluster.NodeID(fmt.Sprintf("id-%d", i)), Name: name, Address: netip.MustParseAddr(address)}
}

func world() catalog.Catalog {
	away := node(3, "node-3", "10.0.0.3")
	away.Away = true
	return of([]cluster.Whereabouts{node(1, "Node-1", "10.0.0.1"), node(2, "db.example.org", "fd00::2"), away},
		at("web", "web@1.service", 1, 8080, "version=1", "role=front"), at("web", "web@2.service", 2, 8080, "version=1", "role=front", "weight=3"),
		at("web", "web@sick.service", 3, 8080, "sick"),
		at("down", "down.service", 1, 1, "sick"),
		at("dns", "dns.service", 1, 53), at("dns", "dns.service", 1, 53, "udp"),
		at("six", "six.service", 1, 80, "v6=9"),
		at("cold", "cold.service", 1, 80), at("cold", "cold2.service", 2, 80, "priority=10"),
		at("odd", `odd@a.b\x2dc.service`, 1, 80), at("odd", "odd@_tcp.service", 2, 80),
	)
}

// text writes an answer down, a record on a line. What is shuffled is sorted.
func text(a zone.Answer) string {
	if !a.Exists {
		return strings.TrimSpace("no such name" + section(" ; ", a.Authority))
	}
	if len(a.Answer) == 0 {
		return strings.TrimSpace("nothing" + section(" ; ", a.Authority))
	}
	out := section("", a.Answer) + section("; ", a.Authority) + section("+ ", a.Additional)
	return strings.TrimSpace(out)
}

func section(mark string, records []zone.Record) string {
	var lines []string
	for _, r := range records {
		line := mark + r.Name + " "
		switch r.Type {
		case zone.A, zone.AAAA:
			line += r.Address.String()
		case zone.SRV:
			line += fmt.Sprintf("SRV %d %d %d %s", r.Priority, r.Weight, r.Port, r.Target)
		case zone.PTR, zone.NS:
			line += "-> " + r.Target
		case zone.TXT, zone.HINFO:
			line += fmt.Sprintf("%q", r.Text)
		case zone.SOA:
			line += fmt.Sprintf("SOA %d", r.Serial)
		case zone.ANY:
			line += "of all types, which no record is"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + strings.Repeat("\n", min(len(lines), 1))
}

func TestWhatIsAnswered(t *testing.T) {
	const nodata, nxdomain = "nothing ; argosy.internal SOA 7", "no such name ; argosy.internal SOA 7"
	z := zone.New(domain, world(), 7, nil)
	for _, tt := range []struct {
		why, name string
		kind      zone.Type
		want      string
	}{
		{"a service: its healthy endpoints", "web", zone.A, "web.D 10.0.0.1\nweb.D 10.0.0.2"},
		{"as the question is written", "wEb", zone.A, "wEb.D 10.0.0.1\nwEb.D 10.0.0.2"},
		{"of the other family there is nothing", "web", zone.AAAA, nodata},
		{"of the other family there is nothing", "six", zone.A, nodata},
		{"an endpoint of version 6", "six", zone.AAAA, "six.D fd00::9"},
		{
			"a service: SRV, with the addresses of what it names", "web", zone.SRV,
			"web.D SRV 0 1 8080 web-1-node-1-8080.web.D\nweb.D SRV 0 3 8080 web-2-node-2-8080.web.D\n" +
				"+ web-1-node-1-8080.web.D 10.0.0.1\n+ web-2-node-2-8080.web.D 10.0.0.2",
		},
		{"what endpoints say of themselves, each thing once", "web", zone.TXT, "web.D [\"role=front\" \"version=1\" \"weight=3\"]\nweb.D [\"role=front\" \"version=1\"]"},
		{"of a service that says nothing", "dns", zone.TXT, nodata},
		{"a type that there is nothing of", "web", zone.PTR, nodata},
		{"all that there is of a name (RFC 8482)", "web", zone.ANY, `web.D ["RFC8482" ""]`},
		{"all that there is of no name", "nobody", zone.ANY, nxdomain},

		{"a service that is known and that nothing is healthy of", "down", zone.A, nodata},
		{"the same by its protocol", "_down._tcp", zone.SRV, nodata},
		{"the same on its node", "down.node-1.node", zone.A, nodata},
		{"its single endpoint", "down-node-1-1.down", zone.A, nodata},
		{"a service that is not known", "nobody", zone.A, nxdomain},
		{"a name below one that is not known", "1.nobody", zone.A, nxdomain},

		{"an instance", "2.web", zone.A, "2.web.D 10.0.0.2"},
		{"an instance", "2.web", zone.SRV, "2.web.D SRV 0 3 8080 web-2-node-2-8080.web.D\n+ web-2-node-2-8080.web.D 10.0.0.2"},
		{"an instance", "1.web", zone.TXT, `1.web.D ["role=front" "version=1"]`},
		{"an instance that is sick", "sick.web", zone.A, nodata},
		{"an instance that there is not", "3.web", zone.A, nxdomain},
		{"a name below an instance", "x.2.web", zone.A, nxdomain},
		{"an instance whose name is no label", "a.b.odd", zone.A, nxdomain},
		{"an instance whose name means something else", "_tcp.odd", zone.A, nxdomain},
		{"a single endpoint", "web-2-node-2-8080.web", zone.A, "web-2-node-2-8080.web.D 10.0.0.2"},
		{"a single endpoint of another unit name", "odd-a-b-x2dc-node-1-80.odd", zone.A, "odd-a-b-x2dc-node-1-80.odd.D 10.0.0.1"},

		{"by protocol", "_web._tcp", zone.SRV, "_web._tcp.D SRV 0 1 8080 web-1-node-1-8080.web.D\n_web._tcp.D SRV 0 3 8080 web-2-node-2-8080.web.D\n+ web-1-node-1-8080.web.D 10.0.0.1\n+ web-2-node-2-8080.web.D 10.0.0.2"},
		{"by a protocol that it has not", "_web._udp", zone.SRV, nxdomain},
		{"by one of its two", "_dns._udp", zone.SRV, "_dns._udp.D SRV 0 1 53 dns-node-1-53-udp.dns.D\n+ dns-node-1-53-udp.dns.D 10.0.0.1"},
		{"both, when it is not said by which", "dns", zone.SRV, "dns.D SRV 0 1 53 dns-node-1-53-udp.dns.D\ndns.D SRV 0 1 53 dns-node-1-53.dns.D\n+ dns-node-1-53-udp.dns.D 10.0.0.1\n+ dns-node-1-53.dns.D 10.0.0.1"},
		{"one address once, however many ports", "dns", zone.A, "dns.D 10.0.0.1"},
		{"what is no host has no address", "_web._tcp", zone.A, nodata},
		{"a protocol: others are below it", "_tcp", zone.A, nodata},
		{"a protocol: others are below it", "_udp", zone.A, nodata},
		{"a service without its underscore", "web._tcp", zone.SRV, nxdomain},

		{"the first priority, for who cannot tell them apart", "cold", zone.A, "cold.D 10.0.0.1"},
		{"all priorities", "cold", zone.SRV, "cold.D SRV 0 1 80 cold-node-1-80.cold.D\ncold.D SRV 10 1 80 cold2-node-2-80.cold.D\n+ cold-node-1-80.cold.D 10.0.0.1\n+ cold2-node-2-80.cold.D 10.0.0.2"},

		{"DNS-SD: what there is", "_services._dns-sd._udp", zone.PTR, "_services._dns-sd._udp.D -> _cold._tcp.D\n_services._dns-sd._udp.D -> _dns._tcp.D\n_services._dns-sd._udp.D -> _dns._udp.D\n_services._dns-sd._udp.D -> _odd._tcp.D\n_services._dns-sd._udp.D -> _six._tcp.D\n_services._dns-sd._udp.D -> _web._tcp.D"},
		{"DNS-SD: above the list", "_dns-sd._udp", zone.PTR, nodata},
		{
			"DNS-SD: the endpoints", "_dns._udp", zone.PTR,
			"_dns._udp.D -> dns-node-1-53-udp._dns._udp.D\n+ dns-node-1-53-udp._dns._udp.D SRV 0 1 53 dns-node-1-53-udp.dns.D\n+ dns-node-1-53-udp._dns._udp.D [\"\"]\n+ dns-node-1-53-udp.dns.D 10.0.0.1",
		},
		{"DNS-SD: one endpoint", "web-1-node-1-8080._web._tcp", zone.SRV, "web-1-node-1-8080._web._tcp.D SRV 0 1 8080 web-1-node-1-8080.web.D\n+ web-1-node-1-8080.web.D 10.0.0.1"},
		{"DNS-SD: one endpoint", "web-1-node-1-8080._web._tcp", zone.TXT, `web-1-node-1-8080._web._tcp.D ["role=front" "version=1"]`},
		{"DNS-SD: one endpoint that says nothing", "dns-node-1-53._dns._tcp", zone.TXT, `dns-node-1-53._dns._tcp.D [""]`},
		{"DNS-SD: one of another protocol", "dns-node-1-53-udp._dns._tcp", zone.SRV, nxdomain},
		{"DNS-SD: an instance is none", "1._web._tcp", zone.SRV, nxdomain},

		{"a node", "node-1.node", zone.A, "node-1.node.D 10.0.0.1"},
		{"a node whose name has dots", "DB.example.org.node", zone.AAAA, "DB.example.org.node.D fd00::2"},
		{"a part of a node's name", "example.org.node", zone.A, nodata},
		{"a node that is away is where it is", "node-3.node", zone.A, "node-3.node.D 10.0.0.3"},
		{"a node that there is not", "node-9.node", zone.A, nxdomain},
		{"above all nodes", "node", zone.A, nodata},
		{"what is on a node", "web.node-2.node", zone.SRV, "web.node-2.node.D SRV 0 3 8080 web-2-node-2-8080.web.D\n+ web-2-node-2-8080.web.D 10.0.0.2"},
		{"what is not on a node", "dns.node-2.node", zone.A, nxdomain},
		{"what is nowhere, on a node", "nobody.node-2.node", zone.A, nxdomain},

		{"the domain itself", "", zone.SOA, "D SOA 7"},
		{"the domain itself has no address", "", zone.A, nodata},
		{"those that are there answer for it", "", zone.NS, "D -> db.example.org.node.D\nD -> node-1.node.D\n+ db.example.org.node.D fd00::2\n+ node-1.node.D 10.0.0.1"},
		{"an empty label", ".web", zone.A, nxdomain},
	} {
		t.Run(tt.why, func(t *testing.T) {
			name := strings.TrimPrefix(tt.name+"."+domain, ".")
			if tt.name == ".web" {
				name = "." + "web." + domain
			}
			if !z.Has(name) {
				t.Fatalf("%s is not said to be in the zone", name)
			}
			got := strings.ReplaceAll(text(z.Answer(name+".", tt.kind, 42)), "."+domain, ".D")
			got, want := strings.ReplaceAll(got, domain, "D"), strings.ReplaceAll(tt.want, domain, "D")
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%s, type %d (-want +got):\n%s", name, tt.kind, diff)
			}
		})
	}
}

func TestNamesOfAddresses(t *testing.T) {
	z := zone.New(domain, world(), 7, nil)
	const six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"
	for name, want := range map[string]string{
		"1.0.0.10.in-addr.arpa": "1.0.0.10.in-addr.arpa -> node-1.node.argosy.internal",
		"3.0.0.10.IN-addr.arpa": "3.0.0.10.IN-addr.arpa -> node-3.node.argosy.internal",
		six:                     six + " -> db.example.org.node.argosy.internal",
	} {
		if got := text(z.Answer(name, zone.PTR, 1)); got != want || !z.Has(name) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := text(z.Answer("1.0.0.10.in-addr.arpa", zone.A, 1)); got != "nothing ; 1.0.0.10.in-addr.arpa SOA 7" {
		t.Error(got)
	}
	for _, others := range []string{"9.0.0.10.in-addr.arpa", "10.in-addr.arpa", "example.org", "internal", "xargosy.internal", ""} {
		if z.Has(others) {
			t.Errorf("%s is said to be in the zone", others)
		}
	}
}

func TestADomain(t *testing.T) {
	for name, legal := range map[string]bool{
		"argosy.internal": true, "Corp.Example.": true, "internal": false, "": false, "a..b": false, "a_b.c": false, "-a.b": false, "a.b-": false,
		"10.in-addr.arpa": false, strings.Repeat("abcdefgh.", 12) + "x": false, strings.Repeat("a", 64) + ".b": false, "a b.c": false,
	} {
		if err := zone.CheckDomain(name); (err == nil) != legal {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Two endpoints that would have one name have two.
func TestEachEndpointHasANameOfItsOwn(t *testing.T) {
	twins := of(nil, at("web", "a-b.service", 1, 80), at("web", "a@b.service", 1, 80), at("web", "x@a-b-node-1-80.service", 2, 80))
	twins.Services[0].Endpoints[0].Unit = "a@b.service"
	twins.Services[0].Endpoints[0].Node = "another of that name"
	long := of(nil, at("web", cluster.UnitName(strings.Repeat("u", 90)+".service"), 1, 80))
	for _, c := range []catalog.Catalog{twins, long} {
		z := zone.New(domain, c, 1, nil)
		for _, r := range z.Answer("web."+domain, zone.SRV, 1).Answer {
			label, _, _ := strings.Cut(r.Target, ".")
			if got := z.Answer(r.Target, zone.A, 1); len(got.Answer) != 1 || len(label) > 63 {
				t.Errorf("%s: %s", r.Target, text(got))
			}
		}
	}
}

func TestNoMoreThanAMessageHolds(t *testing.T) {
	var many []cluster.Endpoint
	for i := range 1000 {
		e := at("web", "web.service", i, 80)
		e.Address = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		many = append(many, e)
	}
	z := zone.New(domain, of(nil, many...), 1, nil)
	seen := map[netip.Addr]bool{}
	for seed := range uint64(3000) {
		answer := z.Answer("web."+domain, zone.A, seed)
		if len(answer.Answer) != zone.AddressesMax {
			t.Fatalf("%d addresses", len(answer.Answer))
		}
		once := map[netip.Addr]bool{}
		for _, r := range answer.Answer {
			seen[r.Address], once[r.Address] = true, true
		}
		if len(once) != zone.AddressesMax {
			t.Fatalf("an address twice: %s", text(answer))
		}
	}
	if len(seen) != len(many) {
		t.Errorf("of %d endpoints %d are found", len(many), len(seen))
	}
	if n := len(z.Answer("web."+domain, zone.SRV, 1).Answer); n != zone.RecordsMax {
		t.Errorf("%d SRV records", n)
	}
}

func TestWeights(t *testing.T) {
	count := func(endpoints ...cluster.Endpoint) (first map[string]int, last map[string]int) {
		z := zone.New(domain, of(nil, endpoints...), 1, nil)
		first, last = map[string]int{}, map[string]int{}
		for seed := range uint64(6000) {
			answer := z.Answer("web."+domain, zone.A, seed*7919).Answer
			first[answer[0].Address.String()]++
			last[answer[len(answer)-1].Address.String()]++
		}
		return first, last
	}
	about := func(t *testing.T, got, want int) {
		t.Helper()
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%d times, want about %d", got, want)
		}
	}
	t.Run("all the same", func(t *testing.T) {
		first, last := count(at("web", "a.service", 1, 80), at("web", "b.service", 2, 80), at("web", "c.service", 3, 80))
		for _, a := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			about(t, first[a], 2000)
			about(t, last[a], 2000)
		}
	})
	t.Run("one has three times the weight", func(t *testing.T) {
		first, _ := count(at("web", "a.service", 1, 80), at("web", "b.service", 2, 80, "weight=3"))
		about(t, first["10.0.0.2"], 4500)
	})
	t.Run("what weighs nothing comes last", func(t *testing.T) {
		first, last := count(at("web", "a.service", 1, 80, "weight=0"), at("web", "b.service", 2, 80), at("web", "c.service", 3, 80, "weight=0"))
		if first["10.0.0.2"] != 6000 {
			t.Errorf("%v", first)
		}
		about(t, last["10.0.0.1"], 3000)
	})
	t.Run("what is no weight counts as one", func(t *testing.T) {
		first, _ := count(at("web", "a.service", 1, 80, "weight=heavy"), at("web", "b.service", 2, 80, "weight=70000"))
		about(t, first["10.0.0.1"], 3000)
	})
}

// drawn draws a catalog of few names, so that they meet.
func drawn(t *rapid.T) catalog.Catalog {
	units := []cluster.UnitName{"a.service", "w@1.service", "w@2.service", "W@A.service", "b.socket", `x\x2d.service`, "w@a-1-80.service"}
	var all []cluster.Endpoint
	for i := range rapid.IntRange(0, 12).Draw(t, "endpoints") {
		label := fmt.Sprintf("endpoint %d ", i)
		parameters := []string{"weight=" + fmt.Sprint(rapid.IntRange(0, 3).Draw(t, label+"weight"))}
		for _, p := range []string{"sick", "udp", "v6=7"} {
			if rapid.Bool().Draw(t, label+p) {
				parameters = append(parameters, p)
			}
		}
		e := at(rapid.SampledFrom([]string{"web", "db"}).Draw(t, label+"service"), rapid.SampledFrom(units).Draw(t, label+"unit"),
			rapid.IntRange(1, 3).Draw(t, label+"node"), uint16(rapid.IntRange(80, 82).Draw(t, label+"port")), parameters...)
		if !slices.ContainsFunc(all, func(o cluster.Endpoint) bool { return o.Compare(e) == 0 }) {
			all = append(all, e)
		}
	}
	return of(nil, all...)
}

// Whatever is healthy is found by each of its names, and nothing else is by any.
func TestWhatIsHealthyIsFoundAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		z := zone.New(domain, c, 1, nil)
		for _, s := range c.Services {
			healthy := map[string]int{}
			for _, e := range s.Endpoints {
				if e.Healthy {
					healthy[netip.AddrPortFrom(e.Address, e.Port).String()+e.Protocol]++
				}
			}
			found := map[string]int{}
			for _, protocol := range []string{"tcp", "udp"} {
				for _, r := range z.Answer("_"+s.Name+"._"+protocol+"."+domain, zone.SRV, 5).Answer {
					for _, kind := range []zone.Type{zone.A, zone.AAAA} {
						for _, host := range z.Answer(r.Target, kind, 5).Answer {
							found[netip.AddrPortFrom(host.Address, r.Port).String()+protocol]++
						}
					}
				}
			}
			if diff := gocmp.Diff(healthy, found); diff != "" {
				t.Fatalf("%s (-healthy +found):\n%s", s.Name, diff)
			}
			addresses(t, z, s)
		}
	})
}

// addresses demands of the names of one service that they give the addresses of what is
// healthy.
func addresses(t *rapid.T, z *zone.Zone, s cluster.Service) {
	for _, by := range []struct {
		name   func(cluster.Endpoint) string
		belong func(a, b cluster.Endpoint) bool
	}{
		{func(cluster.Endpoint) string { return s.Name }, func(_, _ cluster.Endpoint) bool { return true }},
		{func(e cluster.Endpoint) string { return s.Name + "." + e.NodeName + ".node" }, func(a, b cluster.Endpoint) bool { return a.NodeName == b.NodeName }},
		{func(e cluster.Endpoint) string { return cmp.Or(e.Unit.Instance(), "-") + "." + s.Name }, func(a, b cluster.Endpoint) bool {
			return strings.EqualFold(a.Unit.Instance(), b.Unit.Instance())
		}},
	} {
		for _, e := range s.Endpoints {
			name := by.name(e)
			if strings.HasPrefix(name, "-.") {
				continue // no instance
			}
			want, got := map[netip.Addr]bool{}, map[netip.Addr]bool{}
			for _, other := range s.Endpoints {
				if by.belong(e, other) && other.Healthy {
					want[other.Address] = true
				}
			}
			for _, kind := range []zone.Type{zone.A, zone.AAAA} {
				for _, r := range z.Answer(name+"."+domain, kind, 5).Answer {
					got[r.Address] = true
				}
			}
			if len(want) != len(got) {
				t.Fatalf("%s: %v, want %v", name, got, want)
			}
		}
	}
}

// A zone that was made of an earlier one is as one that was made from nothing.
func TestAZoneThatIsCarriedOnIsAsANewOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, later := drawn(t), drawn(t)
		after := before.With(before.To(later)) // what did not change is shared
		carried := zone.New(domain, after, 2, zone.New(domain, before, 1, nil))
		fresh := zone.New(domain, later, 2, nil)
		for _, name := range []string{"web", "db", "1.web", "_web._tcp", "web.node-1.node", "_services._dns-sd._udp", "a-node-1-80.web"} {
			for _, kind := range []zone.Type{zone.A, zone.AAAA, zone.SRV, zone.TXT, zone.PTR, zone.ANY} {
				a, b := carried.Answer(name+"."+domain, kind, 9), fresh.Answer(name+"."+domain, kind, 9)
				if text(a) != text(b) {
					t.Fatalf("%s: %s, and from nothing %s", name, text(a), text(b))
				}
			}
		}
	})
}

// Whatever is asked, the answer is whole: it says so if there is nothing, and says
// nothing of other names.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"web", "2.web", "_web._tcp", "node-1.node", "...", "", "_services._dns-sd._udp", "web.node-1.node", "\x00.web", "a.b.c.d.e.f"} {
		f.Add(seed, uint16(1), uint64(1))
	}
	z := zone.New(domain, world(), 7, nil)
	f.Fuzz(func(t *testing.T, name string, kind uint16, seed uint64) {
		full := name + "." + domain
		a := z.Answer(full, zone.Type(kind), seed)
		if len(a.Answer) == 0 && (len(a.Authority) != 1 || a.Authority[0].Type != zone.SOA || len(a.Additional) > 0) {
			t.Fatalf("%q: nothing, and said so with %+v", full, a)
		}
		if !a.Exists && len(a.Answer) > 0 {
			t.Fatalf("%q: an answer of what does not exist", full)
		}
		for _, r := range a.Answer {
			if r.Name != full {
				t.Fatalf("%q: answered for %q", full, r.Name)
			}
		}
		quick, ok := z.Addresses(nil, []byte(strings.ToLower(full)), zone.Type(kind), seed)
		var slow []netip.Addr
		for _, r := range a.Answer {
			slow = append(slow, r.Address)
		}
		if kind := zone.Type(kind); (kind == zone.A || kind == zone.AAAA) && (ok != a.Exists || !slices.Equal(quick, slow)) {
			t.Fatalf("%q: %v %v in one way, %v %v in the other", full, quick, ok, slow, a.Exists)
		}
	})
}

func BenchmarkAddresses(b *testing.B) {
	var many []cluster.Endpoint
	for i := range 1000 {
		many = append(many, at(fmt.Sprintf("web-%d", i), "web.service", i%250, 80), at(fmt.Sprintf("web-%d", i), "other.service", i%250+1, 80))
	}
	z := zone.New(domain, of(nil, many...), 1, nil)
	name := []byte("web-500." + domain)
	var to [8]netip.Addr
	b.ReportAllocs()
	for i := range b.N {
		if got, ok := z.Addresses(to[:0], name, zone.A, uint64(i)); !ok || len(got) != 2 {
			b.Fatal("not found")
		}
	}
}

func BenchmarkNewZone(b *testing.B) {
	var many []cluster.Endpoint
	for i := range 10000 {
		many = append(many, at(fmt.Sprintf("web-%d", i%1000), cluster.UnitName(fmt.Sprintf("web@%d.service", i)), i%100, 80))
	}
	known := of(nil, many...)
	first := zone.New(domain, known, 1, nil)
	changed := known.With(catalog.Change{Services: of(nil, at("web-1", "one-more.service", 1, 80)).Services})
	b.Run("from nothing", func(b *testing.B) {
		for range b.N {
			zone.New(domain, known, 1, nil)
		}
	})
	b.Run("one change", func(b *testing.B) {
		for range b.N {
			zone.New(domain, changed, 2, first)
		}
	})
}
