package api

import (
	"net/http"
	"slices"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/mirror"
)

// slice streams what is placed on a node: the whole at first, then changes.
func (s *Server) slice(w http.ResponseWriter, r *http.Request) {
	node := cluster.NodeID(r.PathValue("id"))
	after, err := parseAfter(r.URL.Query().Get("after"))
	if err != nil {
		writeProblem(w, err)
		return
	}
	// A server that is behind the node must not answer with an old slice; the
	// node would refuse it, and stay without.
	ctx := r.Context()
	_, err = s.atLeast(ctx, after)
	if err == nil {
		err = s.cutOff()
	}
	if err != nil {
		writeProblem(w, err)
		return
	}
	last, there := s.dealer.slice(node)
	if !there {
		writeProblem(w, noNode(node))
		return
	}
	out := newStreamWriter(w)
	if err := out.send(fullSlice(last)); err != nil {
		return
	}
	pace := &loop.Pace{Every: streamPace}
	sent := time.Now()
	for rev := last.Generation; ; {
		state, err := s.next(ctx, rev, pace)
		if err != nil || s.cutOff() != nil {
			return
		}
		// Snapshots without a change for this node (renewals of sessions) come
		// all the time; they must not keep the sign of life from being sent.
		if time.Since(sent) >= streamAlive {
			if err := out.send(wire.SliceUpdate{Generation: last.Generation}); err != nil {
				return
			}
			sent = time.Now()
		}
		if state == nil {
			continue
		}
		now, there := s.dealer.slice(node)
		if !there {
			return // was removed; its next renewal tells it so
		}
		rev = now.Generation
		update, changed := sliceChange(last, now)
		if !changed {
			continue
		}
		if err := out.send(update); err != nil {
			return
		}
		last, sent = now, time.Now()
	}
}

// cutOff refuses to hand out slices while this server does not hear the store:
// another one may, and the node is to ask that one. Without a quorum no server
// does; then the node goes on with what it has.
func (s *Server) cutOff() error {
	if age := s.Mirror.Age(); age > mirror.StallMax {
		return cluster.Errorf(cluster.Unavailable, "this server has heard nothing of the store for %s", age.Round(time.Second))
	}
	return nil
}

func fullSlice(s cluster.Slice) wire.SliceUpdate {
	return wire.SliceUpdate{Generation: s.Generation, Full: true, Put: s.Units, Member: s.Member, Servers: s.Servers, ServerIDs: s.ServerIDs}
}

// sliceChange returns what to tell a node that has the slice before. A member
// record that went away cannot be said in a change, so that sends the whole.
func sliceChange(before, now cluster.Slice) (wire.SliceUpdate, bool) {
	if before.Member != nil && now.Member == nil {
		return fullSlice(now), true
	}
	update := wire.SliceUpdate{Generation: now.Generation}
	if !shared(before.Units, now.Units) {
		update.Put, update.Remove = diff(before.Units, now.Units,
			func(a *cluster.Assignment) cluster.UnitName { return a.Name }, func(a, b *cluster.Assignment) bool { return *a == *b })
	}
	if now.Member != nil && (before.Member == nil || *before.Member != *now.Member) {
		update.Member = now.Member
	}
	if !slices.Equal(before.Servers, now.Servers) || !slices.Equal(before.ServerIDs, now.ServerIDs) {
		update.Servers, update.ServerIDs = now.Servers, now.ServerIDs
	}
	changed := len(update.Put) > 0 || len(update.Remove) > 0 || update.Member != nil || update.Servers != nil
	return update, changed
}
