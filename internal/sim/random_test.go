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

func TestRandomFaultsEndInACluster(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if *seed != 0 {
		seeds = []uint64{*seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			script := sim.RandomScript(seed, 50, 40)
			play(t, seed, script, sim.RandomFiles())
			if t.Failed() {
				t.Logf("seed %d; the script that shows it:\n%s", seed, script)
			}
		})
	}
}
