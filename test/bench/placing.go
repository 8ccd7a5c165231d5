package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"argosy/internal/place"
	"argosy/internal/place/placetest"
)

const placingText = `The pure core that places units, without a store: a plan for units that are all new, and one after a single
unit has been added to a cluster where all others run. The clusters are those of the benchmark of SwarmKit's
scheduler (1,000 nodes; tasks without demands, and tasks that a third of the nodes may take), where SwarmKit does
about 2,000 placements a second on two cores; and one of applications of ten units, which are spread over zones,
conflict with each other, follow each other, and ask for labels, CPU and memory (` + "`internal/place/placetest`" + `).
The goals are 50,000 placements a second with plain units, 10,000 with all those demands, and 50 ms for one change
on 10,000 nodes with 100,000 units.`

func measurePlacing(_ context.Context, _ options, t *table) error {
	for _, kind := range []placetest.Kind{placetest.Plain, placetest.Labelled, placetest.Mixed} {
		for _, size := range [][2]int{{1000, 1000}, {1000, 10_000}, {1000, 100_000}, {10_000, 100_000}} {
			if err := placing(t, kind, size[0], size[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func placing(t *table, kind placetest.Kind, nodes, units int) error {
	in := placetest.New(kind, nodes, units)
	placed := 0
	fresh, _ := planned(in, func(p place.Proposal) { placed = len(p.Changes) })
	if placed != units {
		return fmt.Errorf("%d of %d units were planned", placed, units)
	}
	what := fmt.Sprintf("%s units, %d nodes, %d units", kind, nodes, units)
	t.row(what+": all are new", millis(fresh), rate(units, fresh))
	settled := placetest.Running(placetest.Settled(in))
	one, memory := planned(placetest.With(settled, placetest.Unit(kind, units)), func(p place.Proposal) { placed = len(p.Changes) })
	if placed != 1 {
		return fmt.Errorf("%d units were planned, and one is new", placed)
	}
	t.row(what+": one is new", millis(one), fmt.Sprintf("allocates %.0f MB", float64(memory)/1e6))
	return nil
}

// planned plans some times, and returns the shortest time and what one plan
// allocates.
func planned(in place.Input, use func(place.Proposal)) (time.Duration, uint64) {
	const times = 5
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	took := fastest(times, func() { use(place.Plan(in)) })
	runtime.ReadMemStats(&after)
	return took, (after.TotalAlloc - before.TotalAlloc) / times
}
