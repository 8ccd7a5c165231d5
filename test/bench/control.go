package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/sim"
)

const controlText = `One server, its API over mutual TLS, and the daemons of many nodes over a real etcd with one member on a real disk,
all in one process and in real time (the simulator without its simulated time). The network between them is in
memory, and what the nodes have in place of systemd starts a unit at once: what is measured is the control plane. What
nodes keep on disk lies in memory: each has a disk of its own in life, and here the store's log would wait for all of
them on one. CPU is that of the whole process, etcd, the server and all nodes together.`

// nodesDir is where nodes keep what they keep on disk: a folder in memory.
const nodesDir = "/dev/shm"

func measureControl(ctx context.Context, opts options, t *table) error {
	var before float64
	for _, nodes := range []int{opts.nodes / 4, opts.nodes / 2, opts.nodes} {
		err := world(ctx, nodes, func(s *sim.Sim) error {
			used, writes, err := idle(ctx, s)
			if err != nil {
				return err
			}
			note := fmt.Sprintf("%.1f %% of one core", used*100)
			if before > 0 {
				note += fmt.Sprintf("; %.1f times the row above", used/before)
			}
			before = used
			t.row(fmt.Sprintf("%d nodes, idle: CPU for each node", nodes), fmt.Sprintf("%.3f %%", used*100/float64(nodes)), note)
			t.row(fmt.Sprintf("%d nodes, idle: revisions of the store", nodes), fmt.Sprintf("%.1f/s", writes), "")
			t.row(fmt.Sprintf("%d nodes, idle: memory for each node", nodes), fmt.Sprintf("%.2f MB", heap()/float64(nodes)), "of the heap; server and etcd included")
			return nil
		})
		if err != nil {
			return err
		}
	}
	return measureUnits(ctx, opts.nodes, t)
}

// measureUnits measures how long it takes to run more and more units.
func measureUnits(ctx context.Context, nodes int, t *table) error {
	var before time.Duration
	for _, n := range []int{nodes * 10 / 4, nodes * 10 / 2, nodes * 10} {
		err := world(ctx, nodes, func(s *sim.Sim) error {
			took, err := runUnits(ctx, s, n)
			if err != nil {
				return err
			}
			note := rate(n, took)
			if before > 0 {
				note += "; " + growth(took, before)
			}
			before = took
			t.row(fmt.Sprintf("%d nodes: %d units from submit until all are seen running", nodes, n), seconds(took), note)
			used, writes, err := idle(ctx, s)
			if err != nil {
				return err
			}
			t.row(fmt.Sprintf("%d nodes, %d units, idle: CPU", nodes, n), fmt.Sprintf("%.1f %%", used*100), fmt.Sprintf("of one core; %.1f revisions/s", writes))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// world runs a cluster of one server and many nodes.
func world(ctx context.Context, nodes int, do func(*sim.Sim) error) error {
	m, err := newMember(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	dir, err := os.MkdirTemp(nodesDir, "argosy-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := sim.New(sim.Config{Nodes: nodes, Servers: 1, Dir: dir, Store: m.store, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := until(ctx, func() (bool, error) {
		list, err := s.API().Nodes(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // the server is about to come up
		}
		ready := 0
		for _, n := range list.Items {
			if n.Health == cluster.Ready {
				ready++
			}
		}
		return ready == nodes, nil
	}); err != nil {
		return err
	}
	return do(s)
}

// idleFor is how long a world is watched in which nothing happens, after a while
// in which it comes to rest.
const idleFor = 20 * time.Second

// idle returns the share of a core that the process uses while nothing happens,
// and how many revisions the store makes in a second.
func idle(ctx context.Context, s *sim.Sim) (used, writes float64, err error) {
	if err := loop.Sleep(ctx, 5*time.Second); err != nil {
		return 0, 0, err
	}
	revision, err := revisionOf(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	cpu := processCPU()
	if err := loop.Sleep(ctx, idleFor); err != nil {
		return 0, 0, err
	}
	used = (processCPU() - cpu).Seconds() / idleFor.Seconds()
	now, err := revisionOf(ctx, s)
	return used, float64(now-revision) / idleFor.Seconds(), err
}

func revisionOf(ctx context.Context, s *sim.Sim) (cluster.Revision, error) {
	list, err := s.API().Nodes(ctx)
	return list.Revision, err
}

// runUnits submits units and waits until every one has been reported to run.
func runUnits(ctx context.Context, s *sim.Sim, n int) (time.Duration, error) {
	start := time.Now()
	const batch = 500
	for first := 0; first < n; first += batch {
		var req wire.SubmitRequest
		for i := first; i < min(first+batch, n); i++ {
			req.Units = append(req.Units, wire.SubmitUnit{Name: cluster.UnitName(fmt.Sprintf("unit-%d.service", i)), Text: unitText, Desired: cluster.Launched})
		}
		if _, err := s.API().Submit(ctx, req); err != nil {
			return 0, err
		}
	}
	err := until(ctx, func() (bool, error) {
		list, err := s.API().Units(ctx)
		active := 0
		for _, u := range list.Items {
			for _, status := range u.Statuses {
				if status.Active == "active" {
					active++
				}
			}
		}
		return active == n, err
	})
	return time.Since(start), err
}

// until asks again and again until something is so.
func until(ctx context.Context, so func() (bool, error)) error {
	for {
		is, err := so()
		if err != nil || is {
			return err
		}
		if err := loop.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func processCPU() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// heap returns the megabytes that live objects take.
func heap() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc) / 1e6
}
