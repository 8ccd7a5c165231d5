package api

import (
	"context"
	"fmt"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// statusMax bounds what the page waits for: it must say within three seconds
// that there is no quorum.
const statusMax = 2500 * time.Millisecond

func (s *Server) status(ctx context.Context, _ *struct{}) (*body[wire.Status], error) {
	ctx, cancel := context.WithTimeout(ctx, statusMax)
	defer cancel()
	// Both wait for other machines, so they wait together.
	type etcdView struct {
		voters []wire.Voter
		size   int64
		err    error
	}
	etcd := make(chan etcdView, 1)
	go func() {
		voters, size, err := s.Voters(ctx)
		etcd <- etcdView{voters, size, err}
	}()
	quorum := s.quorum.check(ctx)
	view := <-etcd

	page := wire.Status{Formed: true, Node: s.Self, Role: cluster.Server, Quorum: quorum == nil, DBSize: view.size, Voters: view.voters}
	if quorum != nil {
		page.Problems = append(page.Problems, quorum.Error())
	}
	if view.err != nil {
		page.Problems = append(page.Problems, "etcd: "+view.err.Error())
	}
	if state := s.Mirror.State(); state != nil {
		summarize(&page, state, s.views(state))
	}
	if page.Stale, page.Age = s.freshness(ctx); page.Stale {
		page.Problems = append(page.Problems, fmt.Sprintf("what is shown is %.0f s old", page.Age))
	}
	page.Problems = append(page.Problems, s.Mirror.Problems()...)
	if problem := s.Events.Problem(); problem != "" {
		page.Problems = append(page.Problems, problem)
	}
	return &body[wire.Status]{page}, nil
}

// summarize counts what a snapshot holds and names what is wrong with it.
func summarize(page *wire.Status, state *cluster.State, v views) {
	page.Cluster, page.Revision, page.Nodes = state.Cluster, state.Revision, len(state.Nodes)
	if state.Leader.Node != "" {
		leader := state.Leader
		page.Leader, page.LeaderName = &leader, v.name(leader.Node)
	} else {
		page.Problems = append(page.Problems, "there is no leader yet: nothing is placed")
	}
	for i, voter := range page.Voters {
		page.Voters[i].Name = v.name(voter.Node)
		if !voter.Healthy {
			page.Problems = append(page.Problems, fmt.Sprintf("server %s does not answer: %s", v.name(voter.Node), voter.Error))
		}
	}
	for _, n := range v.nodes() {
		if n.Health == cluster.Ready {
			page.NodesReady++
		} else {
			page.Problems = append(page.Problems, fmt.Sprintf("node %s is %s", n.Name, healthWord(n.Health)))
		}
		for _, p := range n.Problems {
			page.Problems = append(page.Problems, n.Name+": "+p)
		}
	}
	countUnits(page, v)
}

func healthWord(h cluster.Health) string {
	if h == "" {
		return "not heard of yet"
	}
	return string(h)
}

// unitClass is how a unit is counted.
type unitClass string

const (
	unitFailed   unitClass = "failed"   // on one of its nodes at least
	unitPending  unitClass = "pending"  // waits for a node
	unitActive   unitClass = "active"   // seen to be started
	unitUnknown  unitClass = "unknown"  // nothing is known of it but on nodes that are lost or dead
	unitLoaded   unitClass = "loaded"   // some systemd has it
	unitInactive unitClass = "inactive" // none has
)

func classOf(u wire.UnitView) unitClass {
	failed, unknown := false, false
	for _, s := range u.Statuses {
		failed = failed || s.Active == "failed"
		unknown = unknown || s.Active == cluster.ActiveUnknown
	}
	switch {
	case failed:
		return unitFailed
	case u.Placement != nil && u.Placement.Pending():
		return unitPending
	case u.State == cluster.Launched:
		return unitActive
	case u.State == cluster.Loaded:
		return unitLoaded
	case unknown:
		return unitUnknown
	}
	return unitInactive
}

func countUnits(page *wire.Status, v views) {
	for _, u := range v.units() {
		page.Units++
		switch classOf(u) {
		case unitFailed:
			page.UnitsFailed++
		case unitPending:
			page.UnitsPending++
		case unitActive:
			page.UnitsActive++
		case unitUnknown, unitLoaded, unitInactive:
		}
	}
	if page.UnitsPending > 0 {
		page.Problems = append(page.Problems, fmt.Sprintf("%d of %d units wait for a node: argosy list-units shows why", page.UnitsPending, page.Units))
	}
	if page.UnitsFailed > 0 {
		page.Problems = append(page.Problems, fmt.Sprintf("%d of %d units failed: argosy status UNIT shows why", page.UnitsFailed, page.Units))
	}
}
