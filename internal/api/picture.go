package api

import (
	"cmp"
	"sync"
	"weak"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// picture is what users are shown of a cluster, and what that was made from. It is
// not changed once it is made.
type picture struct {
	views  views // for the next picture, under its painter's lock
	units  []wire.UnitView
	made   []stamp // what each of units was made from
	placed map[cluster.NodeID]int
	nodes  []wire.NodeView
}

// next makes a picture of later views. Sessions are renewed all the time, and
// statuses change one by one, while there are many units: what is not touched is
// kept.
func (p *picture) next(v views) *picture {
	sameNodes := v.sameNodes(p.views)
	if sameNodes && v.state == p.views.state {
		return p
	}
	now := &picture{views: v, units: p.units, made: p.made, placed: p.placed}
	if !sameNodes || !v.sameRecords(p.views) {
		now.placed = v.placed()
		now.units, now.made = p.touched(v, sameNodes)
	}
	now.nodes = v.nodesWith(now.placed)
	return now
}

// touched returns the views of all units, of which only those are made anew whose
// records have changed, if all nodes are as they were, and the stamps of these.
func (p *picture) touched(v views, sameNodes bool) (units []wire.UnitView, made []stamp) {
	units, made = make([]wire.UnitView, 0, len(v.state.Units)), make([]stamp, 0, len(v.state.Units))
	at := 0
	for r := range everyUnit(v.state) {
		for at < len(p.units) && p.units[at].Name < r.name {
			at++
		}
		s := r.stamp()
		made = append(made, s)
		if sameNodes && at < len(p.units) && p.units[at].Name == r.name && p.made[at] == s {
			units = append(units, p.units[at])
		} else {
			units = append(units, v.listed(r))
		}
	}
	return units, made
}

// painter makes one picture of each moment for all that look at it: watches and
// listings. Its methods may be called concurrently.
type painter struct {
	mu sync.Mutex
	// last is what was painted last. It is there for as long as somebody shows it:
	// who lists units of a large cluster now and then does not keep its picture in
	// memory.
	last weak.Pointer[picture]
}

// picture returns what users are shown now; the mirror has a snapshot. A watch
// passes what it shows, nil at first: the last picture is gone if only a listing
// showed it.
func (s *Server) picture(shown *picture) *picture {
	s.painter.mu.Lock()
	defer s.painter.mu.Unlock()
	last := cmp.Or(s.painter.last.Value(), shown, &picture{})
	now := last.next(s.views(s.Mirror.State()))
	s.painter.last = weak.Make(now)
	return now
}
