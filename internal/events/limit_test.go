package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/events"
)

func event(n int, kind cluster.EventKind, unit cluster.UnitName) cluster.Event {
	return cluster.Event{ID: fmt.Sprintf("%d.%s.%s", n, kind, unit), Kind: kind, Unit: unit, Node: n1, NodeName: "node-1", Text: "."}
}

// flap lets a unit fail every second for so long, and returns what was kept.
func flap(l *events.Limiter, from time.Time, lasting time.Duration) (kept []cluster.Event) {
	for at := time.Duration(0); at < lasting; at += time.Second {
		now := from.Add(at)
		kept = append(kept, l.Pass([]cluster.Event{event(int(now.Unix()), cluster.EventUnitFailed, "bad.service")}, cluster.Revision(now.Unix()), now)...)
	}
	return kept
}

func TestAUnitThatFailsForEverIsToldOfAFewTimesAndThenCounted(t *testing.T) {
	var l events.Limiter
	kept := flap(&l, noon(), time.Minute)
	if len(kept) != 5 {
		t.Errorf("%d events of one subject and kind in a minute", len(kept))
	}
	kept = l.Pass(nil, 7, noon().Add(time.Minute))
	want := []string{"log-left-out  55 more events unit-failed of bad.service on node-1 were left out within 1m0s"}
	if diff := cmp.Diff(want, told(kept)); diff != "" {
		t.Error(diff)
	}
	if len(kept) == 1 && (kept[0].Unit != "bad.service" || kept[0].Revision != 7 || kept[0].ID == "") {
		t.Errorf("%+v", kept[0])
	}
}

// The longer it goes on, the less is told of it: a day of failing every second
// leaves room for everything else.
func TestADayOfFlappingIsAFewHundredEvents(t *testing.T) {
	var l events.Limiter
	if n := len(flap(&l, noon(), 24*time.Hour)); n > 300 || n < 24 {
		t.Errorf("%d events", n)
	}
}

func TestWhatOneSubjectMayNotTellOthersMay(t *testing.T) {
	var l events.Limiter
	flap(&l, noon(), 30*time.Second)
	list := []cluster.Event{
		event(1, cluster.EventUnitFailed, "other.service"),
		event(2, cluster.EventUnitActive, "bad.service"),
		event(3, cluster.EventUnitFailed, "bad.service"),
	}
	if diff := cmp.Diff(list[:2], l.Pass(list, 1, noon().Add(30*time.Second))); diff != "" {
		t.Error(diff)
	}
}

func TestAfterAQuietWhileEverythingIsToldAgain(t *testing.T) {
	var l events.Limiter
	flap(&l, noon(), 10*time.Minute)
	l.Pass(nil, 1, noon().Add(2*time.Hour))
	l.Pass(nil, 1, noon().Add(4*time.Hour))
	if n := len(flap(&l, noon().Add(5*time.Hour), 5*time.Second)); n != 5 {
		t.Errorf("%d of 5", n)
	}
}

func TestTenThousandUnitsAtOnceDoNotPushOutTheDay(t *testing.T) {
	var l events.Limiter
	var list []cluster.Event
	for i := range 10_000 {
		list = append(list, event(i, cluster.EventUnitDestroyed, cluster.UnitName(fmt.Sprintf("u%d.service", i))))
	}
	if n := len(l.Pass(list, 1, noon())); n != 2000 {
		t.Errorf("%d were kept", n)
	}
	rest := l.Pass(nil, 1, noon().Add(time.Minute))
	if len(rest) != 1 || !strings.HasPrefix(rest[0].Text, "8000 more events unit-destroyed of all units and nodes") {
		t.Errorf("%q", told(rest))
	}
}

func TestWhoAsksForANameGetsWhatItMeans(t *testing.T) {
	move := cluster.Event{
		Time: noon(), Revision: 100, Kind: cluster.EventUnitMoved, Unit: "web@1.service",
		Node: n1, NodeName: "node-1", From: n2, FromName: "node-2",
	}
	leader := cluster.Event{Time: noon(), Revision: 100, Kind: cluster.EventLeaderChanged, Node: n1, NodeName: "node-1"}
	for _, tt := range []struct {
		name   string
		filter events.Filter
		event  cluster.Event
		want   bool
	}{
		{"nothing in particular", events.Filter{}, leader, true},
		{"the unit", events.Filter{Names: []string{"web@1.service"}}, move, true},
		{"the unit without its type", events.Filter{Units: []string{"web@1"}}, move, true},
		{"a glob", events.Filter{Names: []string{"web@*"}}, move, true},
		{"another unit", events.Filter{Names: []string{"web@2"}}, move, false},
		{"a malformed glob", events.Filter{Names: []string{"web@["}}, move, false},
		{"every unit, of an event without one", events.Filter{Units: []string{"*"}}, leader, false},
		{"the node it is on", events.Filter{Names: []string{"node-1"}}, move, true},
		{"the node it was on", events.Filter{Nodes: []string{"node-2"}}, move, true},
		{"the node's ID", events.Filter{Nodes: []string{string(n2)}}, move, true},
		{"the begin of it", events.Filter{Nodes: []string{"2222"}}, move, true},
		{"too little of it", events.Filter{Nodes: []string{"222"}}, move, false},
		{"another node", events.Filter{Nodes: []string{"node-3"}}, move, false},
		{"a unit of a node's name", events.Filter{Units: []string{"node-1"}}, move, false},
		{"one of several", events.Filter{Units: []string{"db"}, Nodes: []string{"node-1"}}, move, true},
		{"later ones", events.Filter{Since: noon().Add(1)}, move, false},
		{"from then on", events.Filter{Since: noon()}, move, true},
		{"what comes after this revision", events.Filter{After: 100}, move, false},
		{"what comes after the one before", events.Filter{After: 99}, move, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.filter.Wants(tt.event); got != tt.want {
				t.Errorf("wanted: %v", got)
			}
		})
	}
}
