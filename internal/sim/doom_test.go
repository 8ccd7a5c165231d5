package sim_test

import (
	"fmt"
	"testing"
)

// The leader's node loses its power at each of its commits in turn, just before
// the commit is stored and just after: units are being placed, moved, tried
// again, replaced and destroyed. Whatever was half done, the next leader ends it.
func TestTheLeaderIsKilledAtEveryStep(t *testing.T) {
	const service = "[Service]\nExecStart=/bin/sleep infinity\n"
	files := map[string]string{
		"web@.service":  service,
		"big@.service":  service + "[X-Argosy]\nCPU=1\nPriority=%i\n",
		"all.service":   service + "[X-Fleet]\nGlobal=true\n",
		"heir.service":  service + "[X-Fleet]\nReplaces=web@1.service\n",
		"sick.service":  "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/bin/false\nRestart=on-failure\n",
		"near@.service": service + "[X-Fleet]\nMachineOf=web@%i.service\n",
	}
	const script = `seed %[1]d
cluster 5
submit all.service sick.service heir.service
submit web@1.service web@2.service web@3.service near@1.service near@2.service
submit big@1.service big@2.service big@3.service big@4.service big@5.service big@6.service big@7.service big@8.service
start web@1.service web@2.service near@1.service big@1.service big@2.service big@3.service
wait web@1.service active
let victim @leader
doom $victim %[1]d %[2]s
? start all.service sick.service web@3.service
? start near@2.service heir.service
? start big@4.service big@5.service big@6.service big@7.service big@8.service
advance 1s
? destroy big@2.service
? restart web@2.service
advance 40s
differ $victim @leader
power $victim off
start all.service sick.service web@3.service near@2.service heir.service big@8.service
wait heir.service active
wait near@2.service active
power all on
audit 3m
`
	for _, when := range []string{"before", "after"} {
		for step := 1; step <= 24; step++ {
			t.Run(fmt.Sprintf("%s commit %d", when, step), func(t *testing.T) {
				t.Parallel()
				play(t, fmt.Sprintf(script, step, when), files)
			})
		}
	}
}
