package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/systemd"
)

// play lets units come and go; it returns who was worked on, in this order. A word
// is what happens to the unit, or the instances, named after it.
func play(t *testing.T, slots int, script string) string {
	q := newQueue(slots)
	now := time.Now()
	want := func(n cluster.UnitName) *cluster.Assignment { return &cluster.Assignment{Name: n, Hash: "text"} }
	asked := map[cluster.UnitName]turn{}
	working := map[cluster.UnitName]*turn{}
	var worked []string
	ask := func(n cluster.UnitName) {
		if slot, _ := q.ask(asked[n], now); slot != nil {
			working[n] = slot
			worked = append(worked, string(n))
		}
	}
	asks := func(kinds ...converge.Kind) func(cluster.UnitName) {
		return func(n cluster.UnitName) {
			var steps []converge.Step
			for _, k := range kinds {
				steps = append(steps, converge.Step{Kind: k})
			}
			asked[n] = turn{unit: n, family: familyOf(*want(n)), work: q.workOf(n, steps)}
			ask(n)
		}
	}
	started := func(result string) converge.Known {
		return converge.Known{Started: &converge.Started{Key: converge.Key{Hash: "text"}, Result: result}}
	}
	sees := func(u systemd.Unit, known converge.Known) func(cluster.UnitName) {
		return func(n cluster.UnitName) {
			u.Name = n
			q.seen(want(n), u, known)
		}
	}
	events := map[string]func(cluster.UnitName){
		"starts":   asks(converge.Write, converge.Start),
		"stops":    asks(converge.Stop, converge.Remove),
		"restarts": asks(converge.Restart),
		"gives-up": asks(converge.GiveUp),
		"done":     func(n cluster.UnitName) { q.done(working[n]) },
		"slow":     func(n cluster.UnitName) { q.give(working[n]) },
		"leaves":   q.leave,
		"runs":     sees(systemd.Unit{Active: "active"}, started("done")),
		"down":     sees(systemd.Unit{Active: "inactive"}, started("done")),
		"ended":    sees(systemd.Unit{Active: "inactive", Result: "success"}, started("done")),
		"failed":   sees(systemd.Unit{Active: "failed"}, started("done")),
		"gave-up":  sees(systemd.Unit{Active: "inactive"}, started(cluster.JobGaveUp)),
		"pauses":   sees(systemd.Unit{Active: "activating", Sub: "auto-restart"}, started("done")),
		"retries":  sees(systemd.Unit{Active: "activating", AutoRestarts: 1}, started("done")),
		"waits":    sees(systemd.Unit{Active: "activating", AutoRestarts: 1, RestartDelay: pause}, started("done")),
		"gone":     q.gone,
		"passes":   func(cluster.UnitName) { now = now.Add(turnMax) },
		"changes": func(n cluster.UnitName) {
			q.seen(&cluster.Assignment{Name: n, Hash: "new"}, systemd.Unit{Name: n, Active: "failed"}, started("done"))
		},
	}
	words := strings.Fields(script)
	for ; len(words) >= 2; words = words[2:] {
		event := events[words[0]]
		if event == nil {
			t.Fatalf("no event %q", words[0])
		}
		for _, name := range instances(words[1]) {
			event(name)
		}
		for name := q.next(now, false); name != ""; name = q.next(now, false) {
			ask(name)
		}
	}
	return strings.Join(worked, " ")
}

// instances expands "web@1-3" to its instances.
func instances(word string) []cluster.UnitName {
	var first, last int
	prefix, numbers, _ := strings.Cut(word, "@")
	if _, err := fmt.Sscanf(numbers, "%d-%d", &first, &last); err != nil {
		return []cluster.UnitName{cluster.UnitName(word)}
	}
	var names []cluster.UnitName
	for i := first; i <= last; i++ {
		names = append(names, cluster.UnitName(fmt.Sprintf("%s@%d", prefix, i)))
	}
	return names
}

func TestWhoIsWorkedOn(t *testing.T) {
	for _, c := range []struct{ what, script, want string }{
		{"who comes first goes first, four at a time", "starts a starts b starts c starts d starts e starts f", "a b c d"},
		{"a slot that is given back goes to the next", "starts a starts b starts c starts d starts e starts f slow b", "a b c d e"},
		{"who leaves while it waits is passed over", "starts a starts b starts c starts d starts e starts f leaves e slow a", "a b c d f"},
		{"a slot is given back once", "starts a starts b starts c starts d starts e starts f slow a done a runs a", "a b c d e"},

		{"what was started keeps its slot until it is seen", "starts web@1-5 done web@1", "web@1 web@2 web@3 web@4"},
		{"and no longer", "starts web@1-5 done web@1 down web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"nor once its time is over", "starts web@1-5 done web@1 slow web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"nor once it is gone", "starts web@1-5 done web@1 gone web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"if more run than are tried, it is trusted", "runs web@11-15 starts web@1-5 done web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"one that runs is no proof for four", "runs web@11 starts web@1-5 done web@1", "web@1 web@2 web@3 web@4"},
		{"that others run says nothing of it", "runs db@11-19 starts web@1-5 done web@1", "web@1 web@2 web@3 web@4"},

		{"of those that wait, the doubtful come last", "failed bad@9 starts a starts b starts c starts d starts bad@1 starts web slow a", "a b c d web"},
		{"and one after the other", "failed bad@9 starts bad@1-3", "bad@1"},
		{"so do those of one that was given up", "gave-up bad@9 starts bad@1-3", "bad@1"},
		{"or waits for its first restart", "pauses bad@9 starts bad@1-3", "bad@1"},
		{"until most of them run", "failed bad@9 starts bad@1-5 done bad@1 runs bad@1 done bad@2 runs bad@2", "bad@1 bad@2 bad@3 bad@4 bad@5"},
		{"what ended well counts like what runs", "failed bad@9 ended bad@8 starts bad@1-3", "bad@1 bad@2 bad@3"},
		{"but not for ever", "failed bad@9 starts bad@1-4 passes time", "bad@1 bad@2"},
		{"and then one at a time", "failed bad@9 starts bad@1-4 passes time slow bad@2 starts web", "bad@1 bad@2 bad@3 web"},
		{"to stop them is another thing", "failed bad@9 stops bad@1-3", "bad@1 bad@2 bad@3"},
		{"and so it is to restart what runs", "failed bad@9 restarts bad@1-3", "bad@1 bad@2 bad@3"},
		{"a unit without siblings stands for itself", "failed bad starts good starts bad starts fine", "good fine"},
		{"and may try again", "failed bad starts bad", "bad"},
		{"a failure that is over is forgotten", "failed bad@9 down bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},
		{"and so is one of a unit that is gone", "failed bad@9 gone bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},
		{"and one of another text", "failed bad@9 changes bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},
		{"said twice it counts once", "runs bad@8 failed bad@9 failed bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},

		{"what systemd starts again and again counts", "retries x@1-2 starts a starts b starts c", "a b"},
		{"but leaves some room", "retries x@1-9 starts a starts b", "a"},
		{"until it is given up", "retries x@1-9 starts a starts b failed x@1-9", "a b"},
		{"with long pauses it does not count", "waits x@1-9 starts a starts b starts c", "a b c"},
		{"when nothing else is to be done, the doubtful are tried", "retries x@1-9 starts x@10-11", "x@10"},

		{"stops do not wait for starts", "starts a starts b starts c starts d stops e", "a b c d e"},
		{"but sixteen at a time", "stops x@1-18 done x@3", "x@1 x@2 x@3 x@4 x@5 x@6 x@7 x@8 x@9 x@10 x@11 x@12 x@13 x@14 x@15 x@16 x@17"},
		{"what brings relief waits for nothing", "stops x@1-17 gives-up y retries z stops z", "x@1 x@2 x@3 x@4 x@5 x@6 x@7 x@8 x@9 x@10 x@11 x@12 x@13 x@14 x@15 x@16 y z"},
	} {
		if got := play(t, 4, c.script); got != c.want {
			t.Errorf("%s: %s: worked on %q, want %q", c.what, c.script, got, c.want)
		}
	}
}

func TestOneThatIsCalledWithAnotherTextKeepsWaiting(t *testing.T) {
	q, now := newQueue(1), time.Now()
	start := func(unit cluster.UnitName, hash cluster.Hash) *turn {
		slot, _ := q.ask(turn{unit: unit, family: family{unit, hash}, work: starting}, now)
		return slot
	}
	first := start("a", "text")
	if start("b", "text") != nil || start("c", "text") != nil {
		t.Fatal("two are worked on")
	}
	q.give(first)
	if name := q.next(now, false); name != "b" {
		t.Fatalf("%q is called", name)
	}
	if start("b", "new") != nil {
		t.Error("it passes one that waits for as long")
	}
	for _, want := range []cluster.UnitName{"c", "b"} {
		name := q.next(now, false)
		slot := start(name, map[cluster.UnitName]cluster.Hash{"b": "new", "c": "text"}[name])
		if name != want || slot == nil {
			t.Fatalf("%q is called, want %s; %+v", name, want, slot)
		}
		q.give(slot)
	}
	if q.starts != 0 || len(q.line) != 0 {
		t.Errorf("left: %+v", q)
	}
}

func TestOneThatIsCalledAndHasNothingToDoGivesItsTurnBack(t *testing.T) {
	q, now := newQueue(1), time.Now()
	first, _ := q.ask(turn{unit: "a", family: family{"a", "x"}, work: starting}, now)
	q.ask(turn{unit: "b", family: family{"b", "x"}, work: starting}, now)
	q.give(first)
	if name := q.next(now, true); name != "" {
		t.Errorf("starts are held, and %q is called", name)
	}
	if name := q.next(now, false); name != "b" {
		t.Fatalf("%q is called", name)
	}
	q.leave("b")
	if q.starts != 0 || len(q.line) != 0 {
		t.Errorf("left: %+v", q)
	}
}
