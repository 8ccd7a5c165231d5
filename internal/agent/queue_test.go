package agent

import (
	"fmt"
	"strings"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// play lets units come and go; it returns who was given a slot, in this order. A
// word is what happens to the units in braces after it, or to the one that follows.
func play(t *testing.T, slots int, script string) string {
	q := newQueue(slots)
	turns := map[cluster.UnitName]*turn{}
	var order []cluster.UnitName
	var worked []string
	events := map[string]func(cluster.UnitName){
		"starts":  func(n cluster.UnitName) { turns[n] = q.join(n, starting); order = append(order, n) },
		"stops":   func(n cluster.UnitName) { turns[n] = q.join(n, chores); order = append(order, n) },
		"relief":  func(n cluster.UnitName) { turns[n] = q.join(n, relief); order = append(order, n) },
		"done":    func(n cluster.UnitName) { q.done(turns[n]) },
		"slow":    func(n cluster.UnitName) { q.give(turns[n]) },
		"leaves":  func(n cluster.UnitName) { q.leave(turns[n]) },
		"runs":    func(n cluster.UnitName) { q.seen(systemd.Unit{Name: n, Active: "active"}, false) },
		"down":    func(n cluster.UnitName) { q.seen(systemd.Unit{Name: n, Active: "inactive"}, false) },
		"failed":  func(n cluster.UnitName) { q.seen(systemd.Unit{Name: n, Active: "failed"}, true) },
		"retries": func(n cluster.UnitName) { q.seen(systemd.Unit{Name: n, Active: "activating", AutoRestarts: 1}, false) },
		"waits": func(n cluster.UnitName) {
			q.seen(systemd.Unit{Name: n, Active: "activating", AutoRestarts: 1, RestartDelay: pause}, false)
		},
		"gone": q.gone,
	}
	has := map[cluster.UnitName]bool{}
	words := strings.Fields(script)
	for len(words) >= 2 {
		event := events[words[0]]
		if event == nil {
			t.Fatalf("no event %q", words[0])
		}
		for _, name := range instances(words[1]) {
			event(name)
		}
		words = words[2:]
		for _, name := range order {
			select {
			case <-turns[name].come:
				if !has[name] {
					has[name] = true
					worked = append(worked, string(name))
				}
			default:
			}
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
		{"who comes first goes first, four at a time", "starts a starts b stops c starts d starts e stops f", "a b c d"},
		{"a slot that is given back goes to the next", "stops a stops b stops c stops d stops e done b", "a b c d e"},
		{"who leaves makes room", "stops a stops b stops c stops d stops e leaves a", "a b c d e"},
		{"who leaves while it waits is passed over", "stops a stops b stops c stops d stops e stops f leaves e done a", "a b c d f"},
		{"what is slow makes room", "starts a starts b starts c starts d starts e slow a", "a b c d e"},
		{"and makes it once", "starts a starts b starts c starts d starts e starts f slow a done a runs a leaves a", "a b c d e"},

		{"what was started keeps its slot until it is seen", "starts web@1-5 done web@1", "web@1 web@2 web@3 web@4"},
		{"and no longer", "starts web@1-5 done web@1 runs web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"nor once it is gone", "starts web@1-5 done web@1 gone web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"if its siblings run, it is trusted", "runs web@9 starts web@1-5 done web@1", "web@1 web@2 web@3 web@4 web@5"},
		{"that others run says nothing of it", "runs db@9 starts web@1-5 done web@1", "web@1 web@2 web@3 web@4"},

		{"of those that wait, the doubtful come last", "failed bad@9 stops a stops b stops c stops d starts bad@1 starts web done a", "a b c d web"},
		{"and one after the other", "failed bad@9 starts bad@1-3", "bad@1"},
		{"until most of them run", "failed bad@9 starts bad@1-5 done bad@1 runs bad@1 done bad@2 runs bad@2", "bad@1 bad@2 bad@3 bad@4 bad@5"},
		{"to stop them is another thing", "failed bad@9 stops bad@1-3", "bad@1 bad@2 bad@3"},
		{"a unit without siblings stands for itself", "failed bad starts good starts bad starts fine", "good fine"},
		{"and may try again", "failed bad starts bad", "bad"},
		{"a failure that is over is forgotten", "failed bad@9 down bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},
		{"and so is one of a unit that is gone", "failed bad@9 gone bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},
		{"said twice it counts once", "runs bad@8 failed bad@9 failed bad@9 starts bad@1-3", "bad@1 bad@2 bad@3"},

		{"what systemd starts again and again counts", "retries x@1-2 starts a starts b starts c", "a b"},
		{"but leaves some room", "retries x@1-9 starts a starts b", "a"},
		{"until it is given up", "retries x@1-9 starts a starts b failed x@1-9", "a b"},
		{"with long pauses it does not count", "waits x@1-9 starts a starts b starts c", "a b c"},
		{"when nothing else is to be done, the doubtful are tried", "retries x@1-9 starts x@10-11", "x@10"},

		{"relief waits for nothing", "starts a starts b starts c starts d starts e relief x", "a b c d x"},
	} {
		if got := play(t, 4, c.script); got != c.want {
			t.Errorf("%s: %s: worked on %q, want %q", c.what, c.script, got, c.want)
		}
	}
}
