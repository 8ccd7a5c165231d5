package unitfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func published(t *testing.T, unit cluster.UnitName, text string) ([]cluster.Offer, []unitfile.Finding) {
	t.Helper()
	file, err := unitfile.Parse(string(unit), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, findings := unitfile.PublishedBy(unit, file)
	return p.Offers, findings
}

func TestPublish(t *testing.T) {
	web := cluster.Offer{Service: "web", Port: 8080, Protocol: "tcp"}
	with := func(o cluster.Offer, parameters ...string) cluster.Offer {
		o.Parameters = map[string]string{}
		for i := 0; i < len(parameters); i += 2 {
			o.Parameters[parameters[i]] = parameters[i+1]
		}
		return o
	}
	for _, tt := range []struct {
		name string
		unit cluster.UnitName
		text string
		want []cluster.Offer
	}{
		{"nothing", "a.service", "[X-Argosy]\nCPU=1", nil},
		{"a port", "a.service", "[X-Argosy]\nPublish=web 8080/tcp", []cluster.Offer{web}},
		{"a port is one of TCP if nothing else is said", "a.service", "[X-Argosy]\nPublish=web 8080", []cluster.Offer{web}},
		{"a port that the node chooses", "a.service", "[X-Argosy]\nPublish=web auto\nPublish=dns auto/udp", []cluster.Offer{{Service: "dns", Protocol: "udp"}, {Service: "web", Protocol: "tcp"}}},
		{"a port of UDP", "a.socket", "[X-Argosy]\nPublish=dns 53/udp", []cluster.Offer{{Service: "dns", Port: 53, Protocol: "udp"}}},
		{
			"parameters, some of several words", "a.service", `[X-Argosy]
Publish=web 8080 version=2 "note=two words" empty= weight=a=b`,
			[]cluster.Offer{with(web, "version", "2", "note", "two words", "empty", "", "weight", "a=b")},
		},
		{
			"several lines, in the order of names", "a.service", "[X-Argosy]\nPublish=web 8080\nPublish=dns 53/udp\nPublish=dns 53/tcp\nPublish=dns 9",
			[]cluster.Offer{
				{Service: "dns", Port: 9, Protocol: "tcp"}, {Service: "dns", Port: 53, Protocol: "tcp"}, {Service: "dns", Port: 53, Protocol: "udp"}, web,
			},
		},
		{"an empty line takes back those before it", "a.service", "[X-Argosy]\nPublish=dns 53\nPublish=\nPublish=web 8080", []cluster.Offer{web}},
		{
			"an instance has values of its own", "web@2.service", "[X-Argosy]\nPublish=%p-%i 800%i/tcp slot=%i",
			[]cluster.Offer{with(cluster.Offer{Service: "web-2", Port: 8002, Protocol: "tcp"}, "slot", "2")},
		},
		{"a template is judged without its instance", "web@.service", "[X-Argosy]\nPublish=web-%i 8080\nPublish=web 800%i\nPublish=web 8080 slot=%i", nil},
		{"the longest name", "a.service", "[X-Argosy]\nPublish=" + strings.Repeat("a", 62) + " 8080", []cluster.Offer{{Service: strings.Repeat("a", 62), Port: 8080, Protocol: "tcp"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, findings := published(t, tt.unit, tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" || len(findings) > 0 {
				t.Errorf("(-want +got):\n%s%v", diff, findings)
			}
			if err := unitfile.Refusal(tt.unit, unitfile.Check(tt.unit, "[Service]\nExecStart=/bin/true\n[Socket]\nListenStream=1\n"+tt.text)); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestWhatCannotBePublishedIsRefused(t *testing.T) {
	many := func(n int, line string) string { return strings.Repeat(line, n) }
	for _, tt := range []struct{ text, want string }{
		{"Publish=web", "line 4: error: Publish=web says no port (write a name, a port and what else is to be known: Publish=web 8080/tcp version=2)"},
		{"Publish=web http", `line 4: error: Publish=: "http" is no port: a number from 1 to 65535 or auto, then /tcp or /udp`},
		{"Publish=web 0/tcp", `"0/tcp" is no port`},
		{"Publish=web 65536/tcp", `"65536/tcp" is no port`},
		{"Publish=web +80/tcp", `"+80/tcp" is no port`},
		{"Publish=web 80/sctp", `"80/sctp" is no port`},
		{"Publish=web 80/TCP", `"80/TCP" is no port`},
		{"Publish=web auto/sctp", `"auto/sctp" is no port`},
		{"Publish=web AUTO", `"AUTO" is no port`},
		{"Publish=web auto\nPublish=web auto/tcp", "line 5: error: Publish=web auto/tcp is given twice (take one of them out)"},
		{"DrainTime=1s", "line 4: error: DrainTime= is for units that publish something (add Publish=web 8080/tcp)"},
		{"Publish=web 80\nDrainTime=soon", `line 5: error: DrainTime=: "soon" is not a time span`},
		{"Publish=web 80\nDrainTime=2h", "line 5: error: DrainTime=2h: from 0s to 1h0m0s"},
		{"Publish=Web 80", "line 4: error: Publish=Web: names of services are in lower case (write web)"},
		{"Publish=node 80", "Publish=node: names of nodes are found under it (choose another name)"},
		{"Publish=web_1 80", "Publish=web_1 can be no name of a service (a letter first, then letters, digits and dashes, all in lower case, no dash at the end, up to 62 of them)"},
		{"Publish=1web 80", "Publish=1web can be no name"},
		{"Publish=web- 80", "Publish=web- can be no name"},
		{"Publish=web.db 80", "Publish=web.db can be no name"},
		{`Publish="" 80`, "Publish= can be no name"},
		{"Publish=" + many(63, "a") + " 80", "can be no name"},
		{"Publish=web 80 version", `Publish=: "version" is no parameter (write key=value;`},
		{"Publish=web 80 =2", `"=2" is no parameter`},
		{"Publish=web 80 \"v=a\tb\"", "is no parameter"},
		{"Publish=web 80 v=1 v=2", "parameter v is given twice"},
		{"Publish=web 80 v=" + many(254, "x"), "parameter v has 256 bytes; the limit is 255"},
		{"Publish=web 80" + many(17, " v=1"), "has 17 parameters; the limit is 16"},
		{"Publish=web 80\nPublish=web 80/tcp a=b", "line 5: error: Publish=web 80/tcp is given twice (take one of them out)"},
		{many(33, "Publish=web %i\n"), "line 36: error: Publish= is given more than 32 times"},
		{"Publish=web 80 'v=1", "line 4: error: Publish=web 80 'v=1: "},
		{"Publish=web %z", "line 4: error: Publish=web %z: "},
	} {
		t.Run(fmt.Sprintf("%.40s", tt.text), func(t *testing.T) {
			findings := unitfile.Check("web@1.service", "[Service]\nExecStart=/bin/true\n[X-Argosy]\n"+tt.text+"\n")
			var all []string
			for _, f := range findings {
				all = append(all, f.String())
			}
			if text := strings.Join(all, "\n"); !strings.Contains(text, tt.want) || unitfile.Refusal("web@1.service", findings) == nil {
				t.Errorf("findings %q, want %q", text, tt.want)
			}
		})
	}
}

func TestASocketListensWhereItsFileSays(t *testing.T) {
	if _, findings := published(t, "a.socket", "[X-Argosy]\nPublish=web auto\n"); len(findings) != 1 || !strings.Contains(findings[0].Message, "no port can be chosen for it") {
		t.Errorf("%v", findings)
	}
}

func TestOnlyServicesAndSocketsPublish(t *testing.T) {
	for _, unit := range []cluster.UnitName{"a.timer", "a.mount", "a.path", "a.target"} {
		if _, findings := published(t, unit, "[X-Argosy]\nPublish=web 80\nPublish=web 81\n"); len(findings) != 1 || !strings.Contains(findings[0].Message, "belongs in a service or a socket") {
			t.Errorf("%s: %v", unit, findings)
		}
	}
}

func TestOffersThatNoFileMakesAreRefused(t *testing.T) {
	good := func() cluster.Offer {
		return cluster.Offer{Service: "web", Port: 80, Protocol: "tcp", Parameters: map[string]string{"v": "1"}, Reason: "the unit is activating (start)"}
	}
	if err := unitfile.CheckOffers([]cluster.Offer{good(), {Service: "web", Port: 80, Protocol: "udp", Healthy: true}}); err != nil {
		t.Errorf("what files make: %v", err)
	}
	for name, spoil := range map[string]func(o *cluster.Offer) []cluster.Offer{
		"a name that is none":        func(o *cluster.Offer) []cluster.Offer { o.Service = "\x1b[31mdb"; return nil },
		"the name of nodes":          func(o *cluster.Offer) []cluster.Offer { o.Service = "node"; return nil },
		"no port":                    func(o *cluster.Offer) []cluster.Offer { o.Port = 0; return nil },
		"another protocol":           func(o *cluster.Offer) []cluster.Offer { o.Protocol = "sctp"; return nil },
		"a parameter that is none":   func(o *cluster.Offer) []cluster.Offer { o.Parameters["a b"] = ""; return nil },
		"a parameter of many lines":  func(o *cluster.Offer) []cluster.Offer { o.Parameters["a"] = "b\nc"; return nil },
		"a parameter that is long":   func(o *cluster.Offer) []cluster.Offer { o.Parameters["a"] = strings.Repeat("x", 255); return nil },
		"a reason of many lines":     func(o *cluster.Offer) []cluster.Offer { o.Reason = "a\nb"; return nil },
		"a reason that is long":      func(o *cluster.Offer) []cluster.Offer { o.Reason = strings.Repeat("x", 401); return nil },
		"one twice":                  func(o *cluster.Offer) []cluster.Offer { return []cluster.Offer{*o} },
		"more than a unit may offer": func(*cluster.Offer) []cluster.Offer { return make([]cluster.Offer, 32) },
		"more parameters than there may be": func(o *cluster.Offer) []cluster.Offer {
			for i := range 17 {
				o.Parameters[fmt.Sprint(i)] = ""
			}
			return nil
		},
	} {
		o := good()
		more := spoil(&o)
		if err := unitfile.CheckOffers(append([]cluster.Offer{o}, more...)); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
