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
		"web@.service":  service + "[X-Argosy]\nPublish=web 80 slot=%i\nPublish=web-%i 80\n",
		"db@.service":   service + "[X-Fleet]\nConflicts=db@*\n",
		"watch.service": service + "[X-Fleet]\nGlobal=true\n[X-Argosy]\nPublish=watch 9100\n",
		"bad.service":   "[Service]\nExecStart=/bin/false\n",
		"sick.service":  "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/bin/false\nRestart=on-failure\n",
		"slow.service":  "[Service]\nExecStartPre=/bin/sleep 20\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 5\n",
		// The nodes of the simulation have two CPUs each.
		"big@.service":  service + "[X-Argosy]\nCPU=1\nPriority=%i\n",
		"near.service":  service + "[X-Argosy]\nNear=web@*.service\nAway=db@*.service\n",
		"heir@.service": service + "[X-Fleet]\nReplaces=web@%i.service\n",
		"side@.service": service + "[X-Fleet]\nMachineOf=web@%i.service\n",
		"meta@.service": service + "[X-Fleet]\nMachineMetadata=zone=a zone=b\n",
		"gpu@.service":  service + "[X-Argosy]\nRequire=gpu, zone!=c\nSpread=zone\n",
		"many@.service": service + "[X-Argosy]\nSpread=-zone\n",
		// Other texts of web@.
		"long":  "[Service]\nExecStart=/bin/sleep 99999\n",
		"picky": service + "[X-Argosy]\nRequire=zone in (a, c)\n",
	}
}

// RandomScript writes a script of so many steps for a cluster of so many
// nodes: users do this and that while nodes, lines and daemons fail. In the
// end everything is whole again, and the cluster must come to rest.
func RandomScript(seed uint64, nodes, steps int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("seed %d", seed)
	say("cluster %d", nodes)
	say("submit watch.service bad.service sick.service near.service slow.service many@.service")
	for i := range nodes {
		say("label node-%d zone=%c", i+1, "abc"[i%3])
	}
	say("start watch.service bad.service sick.service near.service slow.service")
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
	switch r.IntN(8) {
	case 0, 1:
		return randomWish(r, nodes)
	case 2, 3:
		return randomVerb(r) + " " + randomUnit(r, nodes)
	}
	return randomFault(r, nodes)
}

func randomNode(r *rand.Rand, nodes int) string { return fmt.Sprintf("node-%d", 1+r.IntN(nodes)) }

// randomUnit names a unit, or an instance of a template, that there may be.
func randomUnit(r *rand.Rand, nodes int) string {
	switch r.IntN(13) {
	case 0, 1:
		return fmt.Sprintf("db@%d.service", r.IntN(5))
	case 2:
		return fmt.Sprintf("big@%d.service", r.IntN(2*nodes))
	case 3:
		return fmt.Sprintf("heir@%d.service", r.IntN(nodes))
	case 4:
		return []string{"near.service", "sick.service"}[r.IntN(2)]
	case 5, 6:
		return fmt.Sprintf("side@%d.service", r.IntN(nodes))
	case 7:
		return fmt.Sprintf("meta@%d.service", r.IntN(4))
	case 8:
		return fmt.Sprintf("gpu@%d.service", r.IntN(4))
	case 9, 10:
		return "slow.service"
	}
	return fmt.Sprintf("web@%d.service", r.IntN(nodes))
}

// randomVerb is what a user does to a unit that there is or is not.
func randomVerb(r *rand.Rand) string {
	return []string{"? destroy", "? restart", "? stop", "? submit", "? start", "? replace", "? start"}[r.IntN(7)]
}

// randomWish is what users do besides: labels, replicas, other texts.
func randomWish(r *rand.Rand, nodes int) string {
	switch r.IntN(4) {
	case 0:
		return fmt.Sprintf("? scale many@.service %d", r.IntN(2*nodes))
	case 1:
		return fmt.Sprintf("? replace web@%d.service=%s", r.IntN(nodes), []string{"web@.service", "long", "picky"}[r.IntN(3)])
	}
	labels := []string{"zone=a", "zone=b", "zone=c", "zone-", "gpu=1", "gpu=1", "gpu-"}
	return "? label " + randomNode(r, nodes) + " " + labels[r.IntN(len(labels))]
}

// randomFault is what befalls nodes, lines and daemons, and how it ends.
func randomFault(r *rand.Rand, nodes int) string {
	node := func() string { return randomNode(r, nodes) }
	switch r.IntN(13) {
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
	}
	return "daemon " + node()
}
