package agent

import (
	"context"
	"sync"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// sliceKeeper follows the node's slice and holds its newest state.
type sliceKeeper struct {
	a    *Agent
	gate *gate
	loop *loop.Loop

	mu     sync.Mutex
	slice  cluster.Slice
	units  map[cluster.UnitName]cluster.Assignment
	cancel context.CancelFunc // of the stream that is open
}

func newSliceKeeper(a *Agent, g *gate) *sliceKeeper {
	k := &sliceKeeper{a: a, gate: g, units: map[cluster.UnitName]cluster.Assignment{}}
	k.slice.Node = a.cfg.Node
	k.loop = loop.New("slice", a.log, k.step)
	return k
}

func (k *sliceKeeper) current() cluster.Slice {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.slice
}

// reconnect ends the open stream; the loop opens another one.
func (k *sliceKeeper) reconnect() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		k.cancel()
	}
}

// step follows one stream to its end.
func (k *sliceKeeper) step(ctx context.Context) (time.Duration, error) {
	stream, cancel := context.WithCancel(ctx)
	defer cancel()
	k.mu.Lock()
	k.cancel = cancel
	after := k.slice.Generation
	k.mu.Unlock()
	// A server answers with a slice that is no older than this, so that the
	// first message after a session was opened is as new as the session.
	after = max(after, k.gate.least())
	messages := 0
	err := k.a.deps.Uplink.Slices(stream, after, func(update wire.SliceUpdate) error {
		messages++
		return k.apply(update)
	})
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case messages > 0 || stream.Err() != nil:
		return 100 * time.Millisecond, nil // it worked; servers come and go
	case err == nil:
		return 0, cluster.Errorf(cluster.Unavailable, "the slice stream ended before its first message")
	}
	return 0, err
}

// apply takes one message. An older generation than ours comes from a server
// that is behind, or from a leader that no longer leads: it is refused.
func (k *sliceKeeper) apply(update wire.SliceUpdate) error {
	k.mu.Lock()
	if update.Generation < k.slice.Generation || update.Full && update.Generation == 0 {
		have := k.slice.Generation
		k.mu.Unlock()
		return cluster.Errorf(cluster.Conflict, "slice of generation %d refused: this node has %d", update.Generation, have)
	}
	changed := k.merge(update)
	server := update.Full || update.Member != nil || update.Servers != nil
	slice := k.slice
	k.mu.Unlock()
	k.gate.slice(update.Generation)
	if len(changed) > 0 || server {
		k.a.disk.loop.Wake()
		if k.a.deps.OnSlice != nil {
			k.a.deps.OnSlice(slice)
		}
	}
	k.a.worker.assign(slice, changed)
	return nil
}

// merge works a message into the slice and returns the units that it changed.
func (k *sliceKeeper) merge(update wire.SliceUpdate) (changed []cluster.UnitName) {
	k.slice.Generation = update.Generation
	gone := update.Remove
	if update.Full {
		put := make(map[cluster.UnitName]bool, len(update.Put))
		for _, unit := range update.Put {
			put[unit.Name] = true
		}
		for name := range k.units {
			if !put[name] {
				gone = append(gone, name)
			}
		}
	}
	for _, name := range gone {
		if _, ok := k.units[name]; ok {
			delete(k.units, name)
			changed = append(changed, name)
		}
	}
	for _, unit := range update.Put {
		if k.units[unit.Name] != unit {
			k.units[unit.Name] = unit
			changed = append(changed, unit.Name)
		}
	}
	if update.Full || update.Member != nil {
		k.slice.Member = update.Member
	}
	if update.Full || update.Servers != nil {
		k.slice.Servers, k.slice.ServerIDs = update.Servers, update.ServerIDs
	}
	if len(changed) > 0 || k.slice.Units == nil {
		k.slice.Units = sortedUnits(k.units)
	}
	return changed
}

// restore takes the slice that was read from disk.
func (k *sliceKeeper) restore(slice cluster.Slice) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slice = slice
	for _, unit := range slice.Units {
		k.units[unit.Name] = unit
	}
}

func sortedUnits(units map[cluster.UnitName]cluster.Assignment) []cluster.Assignment {
	sorted := make([]cluster.Assignment, 0, len(units))
	for _, unit := range units {
		sorted = append(sorted, unit)
	}
	cluster.SortAssignments(sorted)
	return sorted
}
