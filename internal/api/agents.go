package api

import (
	"context"
	"encoding/json"
	"net/http"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

// What the daemons of nodes call. These read their bodies leniently: a node
// may run a newer version than its server.

// decodeBody reads a request's body, at most max bytes of it.
func decodeBody(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(into); err != nil {
		return cluster.Errorf(cluster.Invalid, "request body: %w", err)
	}
	return nil
}

// atLeast waits for a snapshot of a revision or later.
func (s *Server) atLeast(ctx context.Context, rev cluster.Revision) (*cluster.State, error) {
	ctx, cancel := context.WithTimeout(ctx, readMax)
	defer cancel()
	state, err := s.Mirror.WaitFor(ctx, max(rev, 1))
	if err != nil {
		return nil, cluster.Errorf(cluster.Unavailable, "this server has not seen revision %d yet", rev)
	}
	return state, nil
}

func (s *Server) renewSession(w http.ResponseWriter, r *http.Request) {
	var session cluster.Session
	err := decodeBody(w, r, smallBodyMax, &session)
	if err == nil && string(session.Node) != r.PathValue("id") {
		err = cluster.Errorf(cluster.Denied, "node %s may not renew the session of %s", r.PathValue("id"), session.Node)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), writeMax)
		defer cancel()
		session, err = s.Sessions.Renew(ctx, session)
	}
	if err != nil {
		writeProblem(w, err)
		return
	}
	writeJSON(w, session)
}

func (s *Server) putStatuses(w http.ResponseWriter, r *http.Request) {
	var update wire.StatusUpdate
	err := decodeBody(w, r, bodyMax, &update)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), 2*writeMax)
		defer cancel()
		err = s.Statuses.Update(ctx, cluster.NodeID(r.PathValue("id")), update)
	}
	if err != nil {
		writeProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) putReport(w http.ResponseWriter, r *http.Request) {
	var report cluster.Report
	err := decodeBody(w, r, smallBodyMax, &report)
	if err == nil && string(report.Node) != r.PathValue("id") {
		err = cluster.Errorf(cluster.Denied, "node %s may not report for %s", r.PathValue("id"), report.Node)
	}
	var state *cluster.State
	if err == nil {
		state, err = s.state()
	}
	if err == nil {
		err = s.storeReport(r.Context(), state, report)
	}
	if err != nil {
		writeProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// storeReport writes a report unless the node was removed, or reported anew,
// since a snapshot.
func (s *Server) storeReport(ctx context.Context, state *cluster.State, report cluster.Report) error {
	n, ok := findNode(state, report.Node)
	if !ok {
		return noNode(report.Node)
	}
	_, ok, err := s.commit(ctx, store.Txn{
		If: []store.Cond{
			store.ChangedAt(store.NodeKey(report.Node), n.Node.Revision),
			store.ChangedAt(store.ReportKey(report.Node), n.Report.Revision), // a newer one may have gone through another server
		},
		Then: []store.Op{store.PutReport(report)},
	})
	if err == nil && !ok {
		err = cluster.Errorf(cluster.Conflict, "the records of node %s changed at the same time", report.Node)
	}
	return err
}
