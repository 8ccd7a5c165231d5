package sim_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"argosy/internal/sim"
)

// seeds of the random test. To look at one that failed:
//
//	go test ./internal/sim -run Random -args -seed 7
var seed = flag.Uint64("seed", 0, "run the random test with this seed only")

// seedsVar says how many small clusters are played; continuous integration plays
// a thousand.
const seedsVar = "ARGOSY_SEEDS"

// Fifty nodes are where waves and crowds show, but cost much; a few nodes, with
// as many faults for their number, come to every corner if it is often enough.
func TestRandomFaultsEndInACluster(t *testing.T) {
	small := 60
	if text := os.Getenv(seedsVar); text != "" {
		var err error
		if small, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []struct{ nodes, steps, seeds int }{{50, 50, 3}, {4, 28, small}} {
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
				play(t, sim.RandomScript(seed, size.nodes, size.steps), sim.RandomFiles())
			})
		}
	}
}
