package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/engine"
	"argosy/internal/mirror"
	"argosy/internal/place/placetest"
	"argosy/internal/store"
)

const committingText = `The leader of a cluster of 1,000 nodes over a real etcd with one member on a real disk: it plans units that are
stored already, audits the plan, and commits the placements, each guarded by the records that it was computed from.
Measured from the start of the engine, its election included, until its copy of the store shows the last placement; the
best of three.
The goal is 2,000 placements a second.`

func measureCommitting(ctx context.Context, _ options, t *table) error {
	var before time.Duration
	for _, units := range []int{2500, 5000, 10_000, 20_000} {
		var took time.Duration
		for i := range 3 {
			once, err := committing(ctx, placetest.Mixed, 1000, units)
			if err != nil {
				return err
			}
			if i == 0 || once < took {
				took = once
			}
		}
		note := rate(units, took)
		if before > 0 {
			note += "; " + growth(took, before)
		}
		t.row(fmt.Sprintf("place and commit %d units", units), millis(took), note)
		before = took
	}
	return nil
}

// committing measures how long it takes to place units that are all new.
func committing(ctx context.Context, kind placetest.Kind, nodes, units int) (time.Duration, error) {
	m, err := newMember(ctx)
	if err != nil {
		return 0, err
	}
	defer m.close()
	in := placetest.New(kind, nodes, units)
	if err := fill(ctx, m.store, in.State); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	copied := mirror.New(m.store, log)
	go func() { _ = copied.Run(ctx) }()
	state, err := copied.Wait(ctx, 0)
	if err != nil {
		return 0, err
	}
	e := engine.New(engine.Config{Node: state.Nodes[0].Node.ID}, engine.Deps{Store: m.store, Mirror: copied, Log: log})
	start := time.Now()
	go func() { _ = e.Run(ctx) }()
	for len(state.Placements) < units {
		if state, err = copied.Wait(ctx, state.Revision); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// fill writes a cluster to the store: its nodes, which have just been heard of,
// and its units.
func fill(ctx context.Context, s store.Store, state *cluster.State) error {
	// Nobody renews the sessions here, so they have to last.
	timings := cluster.DefaultTimings()
	timings.Lost, timings.Dead = time.Hour, 2*time.Hour
	ops := []store.Op{store.PutCluster(cluster.Cluster{ID: "bench", Timings: timings})}
	for _, u := range state.Units {
		ops = append(ops, store.PutUnit(u))
	}
	for _, n := range state.Nodes {
		session := cluster.Session{Node: n.Node.ID, Incarnation: "1", Seq: 1}
		ops = append(ops, store.PutNode(n.Node), store.PutReport(n.Report), store.PutSession(session))
	}
	for batch := range slices.Chunk(ops, store.TxnOpsMax) {
		if _, _, err := s.Commit(ctx, store.Txn{Then: batch}); err != nil {
			return err
		}
	}
	return nil
}
