package sim_test

import (
	"flag"
	"fmt"
	"testing"

	"argosy/internal/sim"
)

// seeds of the random test. To look at one that failed:
//
//	go test ./internal/sim -run Random -args -seed 7
var seed = flag.Uint64("seed", 0, "run the random test with this seed only")

// Fifty nodes are where waves and crowds show, but cost much; a few nodes, with
// as many faults for their number, come to every corner if it is often enough.
func TestRandomFaultsEndInACluster(t *testing.T) {
	for _, size := range []struct{ nodes, steps, seeds int }{{50, 40, 3}, {4, 20, 1000}} {
		seeds := make([]uint64, size.seeds)
		for i := range seeds {
			seeds[i] = uint64(i) + 1
		}
		if *seed != 0 {
			seeds = []uint64{*seed}
		}
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%d nodes, seed %d", size.nodes, seed), func(t *testing.T) {
				t.Parallel()
				script := sim.RandomScript(seed, size.nodes, size.steps)
				play(t, seed, script, sim.RandomFiles())
				if t.Failed() {
					t.Logf("seed %d; the script that shows it:\n%s", seed, script)
				}
			})
		}
	}
}
