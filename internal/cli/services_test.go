package cli

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// serviceOn makes a service with an endpoint on each of some nodes; those below zero are
// not healthy.
func serviceOn(name string, nodes ...int) cluster.Service {
	s := cluster.Service{Name: name}
	for _, n := range nodes {
		e := cluster.Endpoint{
			Offer: cluster.Offer{Service: name, Port: 8080, Protocol: "tcp", Healthy: n > 0},
			Unit:  cluster.UnitName(name + ".service"),
		}
		if n < 0 {
			n, e.Reason = -n, "the unit is activating (start)"
		} else {
			e.Parameters = map[string]string{"version": "2", "role": "front"}
		}
		e.Node, e.NodeName, e.Address = nodeID(n), "node-"+string(rune('0'+n)), netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func TestServices(t *testing.T) {
	services := func() *fake {
		return &fake{services: [][]wire.Services{{{Revision: 7, Cursor: "c", Full: true, Services: []cluster.Service{serviceOn("db", 1), serviceOn("web", 1, -2)}}}}}
	}
	for name, c := range map[string]struct {
		line, want, err string
		code            int
		stale           bool
	}{
		"where each is, and whether it can be used": {line: "argosy services", want: `
SERVICE  ENDPOINT           UNIT         NODE    HEALTH     PARAMETERS
db       10.0.0.1:8080/tcp  db.service   node-1  healthy    role=front,version=2
web      10.0.0.1:8080/tcp  web.service  node-1  healthy    role=front,version=2
web      10.0.0.2:8080/tcp  web.service  node-2  unhealthy  -
`},
		"of one of them, with why not": {line: "argosy services web --fields node,problem --no-legend", want: `
node-1  -
node-2  the unit is activating (start)
`},
		"by name":     {line: "argosy services -o name", want: "\ndb\nweb\n"},
		"none of it":  {line: "argosy services db nothere", code: 1, err: `there is no service "nothere"`, want: "\n"},
		"what is old": {line: "argosy services db --fields service --no-legend", stale: true, err: "this is what was known 12 s ago", want: "\ndb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := services()
			if c.stale {
				f.services[0][0].Stale, f.services[0][0].Age = true, 12
			}
			got := run(t, f, c.line)
			if diff := cmp.Diff(c.want, "\n"+got.out); diff != "" || got.code != c.code || !strings.Contains(got.err, c.err) {
				t.Errorf("exit code %d, %s (-want +got):\n%s", got.code, got.err, diff)
			}
		})
	}
}

func TestServicesAreFollowedThroughTheLossOfAServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{watching: cancel, services: [][]wire.Services{
		{
			{Cursor: "c1", Full: true, Services: []cluster.Service{serviceOn("db", 1), serviceOn("web", 1, 2)}},
			{Cursor: "c2"},
			{Cursor: "c3", Services: []cluster.Service{serviceOn("web", 1, -3)}},
		},
		{{Cursor: "c4", Gone: []string{"db"}}},
	}}
	got := session{}.runContext(t, ctx, f, strings.Fields("argosy services -w --fields service,node,health,problem")...)
	want := `
SERVICE  NODE    HEALTH   PROBLEM
db       node-1  healthy  -
web      node-1  healthy  -
web      node-2  healthy  -
web      node-3  unhealthy  the unit is activating (start)
web      node-2  gone       -
db       node-1  gone       -
`
	if diff := cmp.Diff(want, "\n"+got.out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"followservices ", "followservices c3"}, f.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
