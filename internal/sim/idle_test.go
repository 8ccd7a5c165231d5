package sim_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/sim"
)

// A minute in which nothing happens costs the store as many writes when 200
// units run as when there is none: nodes are heard of, units are not.
func TestIdleWritesDoNotGrowWithUnits(t *testing.T) {
	const units = 200
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var made *sim.Sim
		script := sim.Script{Files: sim.RandomFiles(), Make: func(nodes int, seed uint64) (sim.World, error) {
			var err error
			made, err = sim.New(sim.Config{Nodes: nodes, Servers: serversOf(nodes), Seed: seed, Dir: dir, Log: slog.New(slog.DiscardHandler)})
			return made, err
		}}
		defer func() { made.Close() }()
		play := func(text string) {
			if err := script.Run(text); err != nil {
				t.Fatal(err)
			}
		}
		idle := func() cluster.Revision {
			play("advance 30s") // what came before is told and forgotten
			before := made.Revision()
			made.Advance(time.Minute)
			return made.Revision() - before
		}
		play("cluster 3")
		without := idle()
		var names []string
		for i := range units {
			names = append(names, fmt.Sprintf("web@%d.service", i))
		}
		list := strings.Join(names, " ")
		play("submit " + list + "\nstart " + list + "\naudit")
		if with := idle(); with != without || without == 0 {
			t.Errorf("an idle minute writes %d times without units and %d times with %d", without, with, units)
		}
	})
}
