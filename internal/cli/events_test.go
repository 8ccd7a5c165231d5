package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// happened is a message of an event, seen some time before the test's now.
func happened(revision cluster.Revision, before time.Duration, kind cluster.EventKind, text string) wire.EventMessage {
	return wire.EventMessage{Revision: revision - 1, Event: &cluster.Event{
		ID: fmt.Sprintf("%d.%s", revision, kind), Time: testNow().Add(-before), Revision: revision, Kind: kind, Text: text,
	}}
}

func someEvents() []wire.EventMessage {
	return []wire.EventMessage{
		happened(8, 20*time.Hour, cluster.EventUnitSubmitted, "web.service: submitted, to be launched"),
		happened(9, time.Hour, cluster.EventUnitFailed, "web.service: failed on node-2 (exit code 7): no\x1b[31m route"),
		happened(9, time.Minute, cluster.EventUnitMoved, "web.service: moved from node-2, which is lost, to node-3"),
		{Revision: 9},
	}
}

func TestEventsAreATable(t *testing.T) {
	got := run(t, &fake{events: [][]wire.EventMessage{someEvents()}}, "argosy events")
	want := `
TIME             KIND             WHAT
Feb 28 16:00:00  unit-submitted   web.service: submitted, to be launched
11:00:00         unit-failed      web.service: failed on node-2 (exit code 7): no·[31m route
11:59:00         unit-moved       web.service: moved from node-2, which is lost, to node-3
`
	if diff := cmp.Diff(want, "\n"+got.out); diff != "" || got.code != 0 || got.err != "" {
		t.Errorf("exit %d, said %q\n%s", got.code, got.err, diff)
	}
}

func TestEventsOnATerminalAreColoured(t *testing.T) {
	got := session{terminal: true}.run(t, &fake{events: [][]wire.EventMessage{someEvents()}}, "argosy", "events")
	if !strings.Contains(got.out, styleBad+"unit-failed    "+styleReset+"  web.service") {
		t.Errorf("%q", got.out)
	}
}

func TestEventsAsJSONAreOneObjectALine(t *testing.T) {
	got := run(t, &fake{events: [][]wire.EventMessage{someEvents()[1:]}}, "argosy events -o json")
	want := `{"id":"9.unit-failed","time":"2026-03-01T11:00:00Z","revision":9,"kind":"unit-failed","text":"web.service: failed on node-2 (exit code 7): no\u001b[31m route"}
{"id":"9.unit-moved","time":"2026-03-01T11:59:00Z","revision":9,"kind":"unit-moved","text":"web.service: moved from node-2, which is lost, to node-3"}
`
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != 0 {
		t.Errorf("exit %d\n%s", got.code, diff)
	}
}

func TestWhatIsAskedOfEvents(t *testing.T) {
	for _, tt := range []struct {
		line string
		code int
		want []string
	}{
		{"argosy events", exitDone, []string{"events since 24h0m0s after 0 about [] follow false"}},
		{"argosy events --since 90m web@* node-2", exitDone, []string{"events since 1h30m0s after 0 about [web@* node-2] follow false"}},
		{"argosy events --since 0s", exitMisuse, nil},
		{"argosy events --since yesterday", exitMisuse, nil},
		{"argosy events -o xml", exitMisuse, nil},
	} {
		f := &fake{}
		if got := run(t, f, tt.line); got.code != tt.code || !cmp.Equal(tt.want, f.requests) {
			t.Errorf("%s: exit %d, asked %q", tt.line, got.code, f.requests)
		}
	}
	refusal := cluster.Errorf(cluster.NotFound, "there is no unit and no node %q", "typo").WithHint("list them")
	for _, line := range []string{"argosy events typo", "argosy events -f typo"} {
		got := run(t, &fake{fail: map[string]error{"events": refusal}}, line)
		if got.code != exitRefused || !strings.Contains(got.err, "no node \"typo\"\nhint: list them") {
			t.Errorf("%s: exit %d: %s", line, got.code, got.err)
		}
	}
}

// A server dies while its events are followed; another goes on. It has cut its
// snapshots elsewhere, so some of what it tells was told.
func TestFollowedEventsGoOnElsewhereWithoutTellingAnythingTwice(t *testing.T) {
	all := someEvents()
	f := &fake{events: [][]wire.EventMessage{
		{all[0], all[1]},
		{all[1], all[2], {Revision: 12}},
		{all[2], happened(13, 0, cluster.EventNodeReady, "node-2: heard again")},
	}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.watching = cancel
	got := session{}.runContext(t, ctx, f, "argosy", "events", "-f", "web")
	want := []string{
		"events since 24h0m0s after 0 about [web] follow true without end",
		"events since 24h0m0s after 8 about [web] follow true without end",
		"events since 24h0m0s after 12 about [web] follow true without end",
	}
	if diff := cmp.Diff(want, f.requests); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(got.out, "\n"); n != 5 || strings.Count(got.out, "unit-failed") != 1 || !strings.Contains(got.out, "heard again") {
		t.Errorf("%d lines:\n%s", n, got.out)
	}
	if got.code != exitDone || strings.Count(got.err, "lost the connection") != 2 {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

func TestEveryKindOfEventIsExplained(t *testing.T) {
	text := run(t, &fake{}, "argosy help event-kinds").out
	for _, kind := range cluster.EventKinds() {
		if !strings.Contains(text, "  "+string(kind.Kind)+" ") || kind.Meaning == "" {
			t.Errorf("%s is not explained", kind.Kind)
		}
	}
}
