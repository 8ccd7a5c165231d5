package api

import (
	"context"
	"net/http"

	"argosy/internal/cluster"
	"argosy/internal/metrics"
)

// metrics serves the page that Prometheus reads. Whoever may read the cluster on
// one page may read its numbers.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.Metrics == nil {
		writeProblem(w, cluster.Errorf(cluster.Unavailable, "this server counts nothing"))
		return
	}
	s.Metrics.Serve(w, r, s.snapshot(r.Context()))
}

// snapshot is what is true now. What cannot be found out in time is left out: a
// server of an ill cluster answers too.
func (s *Server) snapshot(ctx context.Context) metrics.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, statusMax)
	defer cancel()
	size := make(chan int64, 1)
	go func() {
		_, n, err := s.Voters(ctx)
		if err != nil {
			n = 0
		}
		size <- n
	}()
	now := metrics.Snapshot{Quorum: s.quorum.check(ctx) == nil, Age: s.Mirror.Age(), Size: <-size}
	if s.Names != nil {
		now.Names = s.Names()
	}
	if s.Leading != nil {
		now.Leading = s.Leading()
	}
	if state := s.Mirror.State(); state != nil {
		v := s.views(state)
		now.Revision, now.Term = state.Revision, state.Leader.Term
		now.Nodes, now.Units, now.Records = countNodes(v), countStates(v), countRecords(state)
	}
	return now
}

// countNodes counts the nodes by health. Nobody is 0 and not absent, so that an
// alarm can be set on it.
func countNodes(v views) map[string]int {
	counts := map[string]int{string(cluster.Ready): 0, string(cluster.Lost): 0, string(cluster.Dead): 0, "unheard": 0}
	for _, n := range v.state.Nodes {
		word := "unheard"
		if h := v.health(n.Node.ID); h != "" {
			word = string(h)
		}
		counts[word]++
	}
	return counts
}

// countRecords counts what the store holds, of each kind of which there can be many.
func countRecords(s *cluster.State) map[string]int {
	return map[string]int{
		"node": len(s.Nodes), "unit": len(s.Units), "placement": len(s.Placements), "status": len(s.Statuses),
		"member": len(s.Members), "token": len(s.Tokens),
	}
}

// countStates counts the units that are stored by what is known of them.
func countStates(v views) map[string]int {
	counts := map[string]int{}
	for _, c := range []unitClass{unitFailed, unitPending, unitUnknown, unitActive, unitLoaded, unitInactive} {
		counts[string(c)] = 0
	}
	for _, u := range v.units() {
		counts[string(classOf(u))]++
	}
	return counts
}
