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
		var before placed
		for _, size := range [][2]int{{1000, 1000}, {1000, 10_000}, {1000, 50_000}, {1000, 100_000}, {5000, 100_000}, {10_000, 100_000}} {
			now, err := placing(kind, size[0], size[1])
			if err != nil {
				return err
			}
			now.rows(t, before)
			before = now
		}
	}
	return nil
}

// placed is what it took to plan a cluster of some size.
type placed struct {
	kind         placetest.Kind
	nodes, units int
	all, one     time.Duration // when all units are new, and when one is
	memory       uint64        // that the latter allocates, in bytes
}

func placing(kind placetest.Kind, nodes, units int) (p placed, err error) {
	p = placed{kind: kind, nodes: nodes, units: units}
	in := placetest.New(kind, nodes, units)
	changes := 0
	count := func(p place.Proposal) { changes = len(p.Changes) }
	p.all, _ = planned(in, count)
	if changes != units {
		return p, fmt.Errorf("%d of %d units were planned", changes, units)
	}
	settled := placetest.Running(placetest.Settled(in))
	p.one, p.memory = planned(placetest.With(settled, placetest.Unit(kind, units)), count)
	if changes != 1 {
		return p, fmt.Errorf("%d units were planned, and one is new", changes)
	}
	return p, nil
}

// rows writes two rows, with how many times it is what half of it took.
func (p placed) rows(t *table, before placed) {
	what := fmt.Sprintf("%s units, %d nodes, %d units", p.kind, p.nodes, p.units)
	growth := func(now, then time.Duration) string {
		switch {
		case p.nodes == before.nodes && p.units == 2*before.units:
			return fmt.Sprintf("; %.1f times what half the units take", now.Seconds()/then.Seconds())
		case p.units == before.units && p.nodes == 2*before.nodes:
			return fmt.Sprintf("; %.1f times what half the nodes take", now.Seconds()/then.Seconds())
		}
		return ""
	}
	t.row(what+": all are new", millis(p.all), rate(p.units, p.all)+growth(p.all, before.all))
	t.row(what+": one is new", millis(p.one), fmt.Sprintf("allocates %.0f MB", float64(p.memory)/1e6)+growth(p.one, before.one))
}

// planned plans some times, and returns the shortest time and what one plan
// allocates.
func planned(in place.Input, use func(place.Proposal)) (time.Duration, uint64) {
	const times = 15
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	took := fastest(times, func() { use(place.Plan(in)) })
	runtime.ReadMemStats(&after)
	return took, (after.TotalAlloc - before.TotalAlloc) / times
}
