package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// RandomFiles are the units that a random script names.
func RandomFiles() map[string]string {
	const service = "[Service]\nExecStart=/bin/sleep infinity\n"
	return map[string]string{
		"web@.service":  service,
		"db@.service":   service + "[X-Fleet]\nConflicts=db@*\n",
		"watch.service": service + "[X-Fleet]\nGlobal=true\n",
		"bad.service":   "[Service]\nExecStart=/bin/false\n",
		"sick.service":  "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/bin/false\nRestart=on-failure\n",
		// The nodes of the simulation have two CPUs each.
		"big@.service":  service + "[X-Argosy]\nCPU=1\nPriority=%i\n",
		"near.service":  service + "[X-Argosy]\nNear=web@*.service\nAway=db@*.service\n",
		"heir@.service": service + "[X-Fleet]\nReplaces=web@%i.service\n",
	}
}

// RandomScript writes a script of so many steps for a cluster of so many
// nodes: users do this and that while nodes, lines and daemons fail. In the
// end everything is whole again, and the cluster must come to rest.
func RandomScript(seed uint64, nodes, steps int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("cluster %d", nodes)
	say("submit watch.service bad.service sick.service near.service")
	say("start watch.service bad.service sick.service near.service")
	for i := range nodes {
		say("submit web@%d.service", i)
		say("start web@%d.service", i)
	}
	say("audit")
	for range steps {
		say("%s", randomStep(r, nodes))
		if r.IntN(2) == 0 {
			say("advance %dms", r.IntN(12000))
		}
	}
	say("heal")
	say("resume all")
	say("power all on")
	say("advance 30s")
	say("start watch.service")
	say("wait watch.service active")
	say("audit 3m")
	return b.String()
}

// randomStep returns one line.
func randomStep(r *rand.Rand, nodes int) string {
	node := func() string { return fmt.Sprintf("node-%d", 1+r.IntN(nodes)) }
	unit := fmt.Sprintf("web@%d.service", r.IntN(nodes))
	switch r.IntN(8) {
	case 0, 1:
		unit = fmt.Sprintf("db@%d.service", r.IntN(5))
	case 2:
		unit = fmt.Sprintf("big@%d.service", r.IntN(2*nodes))
	case 3:
		unit = fmt.Sprintf("heir@%d.service", r.IntN(nodes))
	case 4:
		unit = []string{"near.service", "sick.service"}[r.IntN(2)]
	}
	switch r.IntN(18) {
	case 0, 1:
		return "power " + node() + " off"
	case 2:
		return "power all on"
	case 3:
		return "power @leader off"
	case 4:
		return "cut " + node()
	case 5:
		return "cut " + node() + ":" + node() + " oneway"
	case 6:
		return "cut " + node() + ":* oneway"
	case 7:
		return "heal"
	case 8:
		return "pause " + node()
	case 9:
		return "resume all"
	case 10:
		return fmt.Sprintf("slow %s %dms", node(), r.IntN(3000))
	case 11:
		return fmt.Sprintf("lossy %s 0.%02d", node(), r.IntN(30))
	case 12:
		return "daemon " + node()
	case 13:
		return "? destroy " + unit
	case 14:
		return "? restart " + unit
	case 15:
		return "? stop " + unit
	case 16:
		return "? submit " + unit
	}
	return "? start " + unit
}
