package sim_test

import (
	"fmt"
	"strings"
	"testing"
)

// Two thousand units are destroyed and submitted again under the same names with
// another text, while nodes lose their power and come back: no ghost runs, no
// record is left over, and none runs with the older text.
func TestNamesAreUsedAgainWhileNodesComeAndGo(t *testing.T) {
	const units, nodes = 2000, 12
	files := map[string]string{
		"first":  "[Service]\nExecStart=/bin/sleep infinity\n",
		"second": "[Service]\nExecStart=/bin/sleep 99999\n",
	}
	var names [2][]string // in two halves, so that each half changes while nodes fail
	for i := range units {
		names[i%2] = append(names[i%2], fmt.Sprintf("u%d.service", i))
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	all := func(verb string, half int) { say("%s %s", verb, strings.Join(names[half], " ")) }
	submit := func(file string, half int) {
		say("submit %s", strings.Join(names[half], "="+file+" ")+"="+file)
		all("start", half)
	}
	say("cluster %d", nodes)
	for half := range 2 {
		submit("first", half)
	}
	say("wait u%d.service active", units-1)
	for half := range 2 {
		say("power node-%d off", 5+half)
		all("destroy", half)
		say("power node-%d off", 7+half)
		submit("second", half)
		say("power node-%d on", 5+half)
		say("advance 3s")
		say("power @leader off")
		say("advance 5s")
		say("power all on")
	}
	say("advance 30s")
	say("wait u%d.service active", units-1)
	say("audit 5m")
	play(t, b.String(), files)
}
