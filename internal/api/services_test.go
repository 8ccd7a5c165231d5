package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

// offering returns the records of a unit that offers services on the other node.
func offering(name cluster.UnitName, healthy bool, services ...string) []store.Op {
	s := cluster.Status{Node: there, Unit: name, UID: "u-" + cluster.UID(name), Active: "active"}
	for _, service := range services {
		s.Offers = append(s.Offers, cluster.Offer{Service: service, Port: 80, Protocol: "tcp", Healthy: healthy})
	}
	return append(placed(name, hello), store.PutStatus(s))
}

// told is what messages say, one on a line each.
func told(messages []wire.Services) (lines []string) {
	for _, m := range messages {
		var line strings.Builder
		if m.Full {
			line.WriteString("all:")
		}
		for _, s := range m.Services {
			fmt.Fprintf(&line, " %s", s.Name)
			for _, e := range s.Endpoints {
				fmt.Fprintf(&line, " %s:%d", e.Address, e.Port)
				if !e.Healthy {
					line.WriteString("!")
				}
			}
		}
		for _, name := range m.Gone {
			fmt.Fprintf(&line, " -%s", name)
		}
		if m.Stale {
			fmt.Fprintf(&line, " (%.0f s old)", m.Age)
		}
		lines = append(lines, line.String())
	}
	return lines
}

// heard reads what a request for services got until its stream pauses.
func heard(s *reader[wire.Services]) (messages []wire.Services) {
	synctest.Wait()
	for len(s.messages) > 0 {
		messages = append(messages, <-s.messages)
	}
	return messages
}

func (b *bench) expect(what string, s *reader[wire.Services], want ...string) (cursor string) {
	b.t.Helper()
	messages := heard(s)
	if diff := cmp.Diff(want, told(messages)); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	if len(messages) == 0 {
		return ""
	}
	return messages[len(messages)-1].Cursor
}

func TestServicesAreFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(offering("a.service", true, "admin", "web")...)
		once := open[wire.Services](b, localRoot(), wire.PathServices)
		b.expect("once", once, "all: admin 10.0.0.2:80 web 10.0.0.2:80")
		<-once.ended
		s := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true")
		b.expect("the whole first", s, "all: admin 10.0.0.2:80 web 10.0.0.2:80")
		b.put(offering("b.service", false, "web")...)
		b.pass(time.Second)
		b.expect("what changed", s, " web 10.0.0.2:80 10.0.0.2:80!")
		b.put(store.PutSession(cluster.Session{Node: there, Seq: 2}))
		b.put(offering("c.service", true)...)
		b.pass(time.Second)
		b.expect("what changes no service", s)
		b.put(store.Delete(store.UnitKey("a.service")))
		b.pass(time.Second)
		cursor := b.expect("what is gone", s, " web 10.0.0.2:80! -admin")
		b.pass(streamAlive)
		b.expect("a sign of life", s, "")

		b.put(offering("b.service", true, "web")...)
		b.pass(time.Second)
		later := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true&after="+url.QueryEscape(cursor))
		b.expect("going on", later, " web 10.0.0.2:80")
		for _, strange := range []string{"other.3", cursor + "0", "3", "-1", strings.Split(cursor, ".")[0] + ".-1"} {
			whole := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true&after="+url.QueryEscape(strange))
			b.expect("after "+strange, whole, "all: web 10.0.0.2:80")
		}
	})
}

func TestAReaderOfServicesThatIsTooFarBehindIsToldTheWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(offering("a.service", true, "web")...)
		first := heard(open[wire.Services](b, localRoot(), wire.PathServices))
		large := strings.Repeat("x", feedMax/5)
		for i := range 8 {
			ops := offering("a.service", true, "web")
			status := cluster.Status{Node: there, Unit: "a.service", UID: "u-a.service", Active: "active", Offers: []cluster.Offer{{
				Service: "web", Port: uint16(80 + i), Protocol: "tcp", Healthy: true, Parameters: map[string]string{"x": large},
			}}}
			b.put(ops[0], ops[1], store.PutStatus(status))
			heard(open[wire.Services](b, localRoot(), wire.PathServices))
		}
		s := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true&after="+url.QueryEscape(first[0].Cursor))
		b.expect("eight changes later", s, "all: web 10.0.0.2:87")
		if f := b.server.announcer.feed; f.size > feedMax || len(f.recent) == 0 {
			t.Errorf("%d bytes of %d changes are kept", f.size, len(f.recent))
		}
	})
}

func TestServicesOfANodeThatIsLostAreWithdrawn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(offering("a.service", true, "web")...)
		s := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true")
		b.expect("ready", s, "all: web 10.0.0.2:80")
		b.server.Health = func(cluster.NodeID) cluster.Health { return cluster.Lost }
		b.put(store.PutSession(cluster.Session{Node: here, Seq: 2})) // some session is renewed all the time
		b.pass(time.Second)
		b.expect("lost", s, " web 10.0.0.2:80!")
	})
}

func TestServicesComeWithWhereNodesAre(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true")
		first := heard(s)
		if len(first) != 1 || !first[0].Full || len(first[0].Nodes) != 2 || first[0].Nodes[0].ID >= first[0].Nodes[1].ID {
			t.Fatalf("the whole: %+v", first)
		}
		b.server.Health = func(id cluster.NodeID) cluster.Health {
			if id == there {
				return cluster.Lost
			}
			return cluster.Ready
		}
		b.put(store.PutSession(cluster.Session{Node: here, Seq: 2}))
		b.pass(time.Second)
		lost := heard(s)
		if len(lost) != 1 || lost[0].Full || len(lost[0].Nodes) != 1 || lost[0].Nodes[0].ID != there || !lost[0].Nodes[0].Away {
			t.Fatalf("a node that is lost: %+v", lost)
		}
		b.put(store.Delete(store.NodeKey(there)))
		b.pass(time.Second)
		if gone := heard(s); len(gone) != 1 || len(gone[0].GoneNodes) != 1 || gone[0].GoneNodes[0] != there {
			t.Fatalf("a node that was removed: %+v", gone)
		}
	})
}

func TestServicesWithoutTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(offering("a.service", true, "web")...)
		fresh := open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true&fresh=true")
		b.expect("fresh", fresh, "all: web 10.0.0.2:80")
		b.line.Cut()
		b.pass(time.Minute)
		select {
		case <-fresh.ended:
		default:
			t.Error("the stream goes on that was to be fresh")
		}
		refused := open[wire.Services](b, localRoot(), wire.PathServices+"?fresh=true")
		if <-refused.ended; refused.status != 503 {
			t.Errorf("what was to be fresh is answered with %d", refused.status)
		}
		stale := open[wire.Services](b, localRoot(), wire.PathServices)
		b.pass(probeMax + time.Second)
		old := heard(stale)
		if len(old) != 1 || !old[0].Stale || old[0].Age < 50 || len(old[0].Services) != 1 {
			t.Errorf("%+v", old)
		}
	})
}

func TestABadRequestForServices(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for _, query := range []string{"?follow=perhaps", "?fresh=perhaps", "?after=" + strings.Repeat("x", 101)} {
			s := open[wire.Services](b, localRoot(), wire.PathServices+query)
			if <-s.ended; s.status != 422 && s.status != 400 {
				t.Errorf("%s: %d", query, s.status)
			}
		}
	})
}

// However many follow, a change is looked for once, and one that would be longer than
// all there is, is not sent.
func TestManyWhoFollowServicesCostOneLook(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(offering("a.service", true, "web")...)
		asked := 0
		b.server.Health = func(cluster.NodeID) cluster.Health { asked++; return cluster.Ready } // under the announcer's lock
		for range 50 {
			open[wire.Services](b, localRoot(), wire.PathServices+"?follow=true")
		}
		b.pass(time.Second)
		asked = 0
		for i := range 10 {
			b.put(store.PutSession(cluster.Session{Node: there, Seq: int64(i)}))
			b.pass(time.Second)
		}
		if nodes := 2; asked > 4*10*nodes {
			t.Errorf("ten revisions that change nothing: the health of a node was asked for %d times", asked)
		}
		asked = 0
		for i := range 100 { // with somebody awake at any time
			b.put(store.PutSession(cluster.Session{Node: there, Seq: int64(100 + i)}))
			b.pass(time.Millisecond)
			if err := b.server.announcer.look(true); err != nil {
				t.Fatal(err)
			}
		}
		if asked > 60 {
			t.Errorf("a hundred revisions in a tenth of a second: the health of a node was asked for %d times", asked)
		}
	})
}

func TestAReaderOfServicesIsToldTheWholeIfThatIsLess(t *testing.T) {
	f := newFeed("x")
	large := cluster.Service{Name: "web"}
	for i := range 1000 {
		large.Endpoints = append(large.Endpoints, cluster.Endpoint{Offer: cluster.Offer{Service: "web", Port: uint16(i + 1), Protocol: "tcp"}, Unit: "a.service"})
	}
	for i := range 5 {
		large.Endpoints = slices.Clone(large.Endpoints)
		large.Endpoints[i].Healthy = true
		if err := f.put(1, catalog.Catalog{Services: []cluster.Service{large}}); err != nil {
			t.Fatal(err)
		}
	}
	if messages, number, err := f.news(1); err != nil || len(messages) != 1 || number != 5 || !strings.Contains(string(messages[0]), `"full":true`) {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	if messages, _, _ := f.news(4); len(messages) != 1 || strings.Contains(string(messages[0]), `"full":true`) {
		t.Errorf("one change: %d messages", len(messages))
	}
}
