package api

import (
	"context"
	"maps"
	"slices"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/store"
	"argosy/internal/unitfile"
)

type nodeInput struct {
	ID cluster.NodeID `path:"id"`
}

func noNode(id cluster.NodeID) error {
	return cluster.Errorf(cluster.NotFound, "there is no node %s in this cluster", id).WithHint("argosy node ls shows which there are")
}

func (s *Server) listNodes(ctx context.Context, _ *struct{}) (*body[wire.List[wire.NodeView]], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	stale, age := s.freshness(ctx)
	return &body[wire.List[wire.NodeView]]{wire.List[wire.NodeView]{
		Revision: state.Revision, Stale: stale, Age: age, Items: s.withUsage(state, s.views(state).nodes()),
	}}, nil
}

func (s *Server) getNode(_ context.Context, in *nodeInput) (*body[wire.NodeView], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	for _, view := range s.withUsage(state, s.views(state).nodes()) {
		if view.ID == in.ID {
			return &body[wire.NodeView]{view}, nil
		}
	}
	return nil, problemOf(noNode(in.ID))
}

type patchInput struct {
	ID   cluster.NodeID `path:"id"`
	Body wire.NodePatch
}

// Bounds of labels.
const (
	labelsMax   = 64
	labelLenMax = 256
)

func (s *Server) patchNode(ctx context.Context, in *patchInput) (*body[wire.NodeView], error) {
	if err := s.label(ctx, map[cluster.NodeID]map[string]string{in.ID: in.Body.Labels}); err != nil {
		return nil, problemOf(err)
	}
	return s.getNode(ctx, &nodeInput{in.ID})
}

// label changes labels of several nodes in one transaction.
func (s *Server) label(ctx context.Context, patch map[cluster.NodeID]map[string]string) error {
	if len(patch) > store.TxnOpsMax {
		return cluster.Errorf(cluster.Invalid, "labels of %d nodes in one request; the limit is %d", len(patch), store.TxnOpsMax)
	}
	state, err := s.state()
	if err != nil {
		return err
	}
	var txn store.Txn
	for _, id := range slices.Sorted(maps.Keys(patch)) {
		n, ok := findNode(state, id)
		if !ok {
			return noNode(id)
		}
		node := n.Node
		if node.Labels, err = patchLabels(n, patch[id]); err != nil {
			return err
		}
		txn.If = append(txn.If, store.ChangedAt(store.NodeKey(id), n.Node.Revision))
		txn.Then = append(txn.Then, store.PutNode(node))
	}
	rev, ok, err := s.commit(ctx, txn)
	if err == nil && !ok {
		err = cluster.Errorf(cluster.Conflict, "a node was changed by somebody else at the same time").WithHint("try again")
	}
	if err != nil {
		return err
	}
	s.settle(ctx, rev)
	return nil
}

// patchLabels applies a patch: an empty value removes a label, also one that
// the node itself reports.
func patchLabels(n cluster.NodeState, patch map[string]string) (map[string]string, error) {
	labels := map[string]string{}
	for k, v := range n.Node.Labels {
		labels[k] = v
	}
	for k, v := range patch {
		if !unitfile.IsLabelKey(k) {
			return nil, cluster.Errorf(cluster.Invalid, "label %.40q: a key has 1 to %d letters, digits and _ . - /", k, unitfile.LabelKeyMax)
		}
		if len(v) > labelLenMax {
			return nil, cluster.Errorf(cluster.Invalid, "label %.40q: a value has at most %d characters", k, labelLenMax)
		}
		if _, reported := n.Report.Labels[k]; v == "" && !reported {
			delete(labels, k)
		} else {
			labels[k] = v
		}
	}
	if len(labels) > labelsMax {
		return nil, cluster.Errorf(cluster.Invalid, "%d labels; the limit is %d", len(labels), labelsMax)
	}
	return labels, nil
}

// removeNode removes the record of a node; the leader takes care of what hangs
// on it. The node itself learns of it with its next renewal.
func (s *Server) removeNode(ctx context.Context, in *nodeInput) (*struct{}, error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	n, ok := findNode(state, in.ID)
	if !ok {
		return nil, problemOf(noNode(in.ID))
	}
	if len(state.Nodes) == 1 {
		return nil, problemOf(cluster.Errorf(cluster.Conflict, "%s is the last node of the cluster", n.Node.Name).WithHint("argosy reset ends the cluster"))
	}
	others, err := votersWithout(state, n, s.Health)
	if err != nil {
		return nil, problemOf(err)
	}
	guards := []store.Cond{store.ChangedAt(store.NodeKey(in.ID), n.Node.Revision)}
	for _, other := range others { // none of them may go at the same time
		guards = append(guards, store.ChangedAt(store.NodeKey(other.ID), other.Revision))
	}
	rev, ok, err := s.commit(ctx, store.Txn{If: guards, Then: []store.Op{
		store.Delete(store.NodeKey(in.ID)), store.Delete(store.NameKey(n.Node.Name)),
	}})
	if err == nil && !ok {
		err = cluster.Errorf(cluster.Conflict, "node %s was changed by somebody else at the same time", in.ID).WithHint("try again")
	}
	if err != nil {
		return nil, problemOf(err)
	}
	s.settle(ctx, rev)
	return &struct{}{}, nil
}

// votersWithout returns the servers that are left with a vote when a node goes,
// as far as they are well. It is an error if they would be no majority: a node
// stops its etcd as soon as it is removed, and with the quorum everything that
// was ever stored would be out of reach, for good if it was the only server.
func votersWithout(state *cluster.State, n cluster.NodeState, health func(cluster.NodeID) cluster.Health) ([]cluster.Node, error) {
	voters, votes := 0, false
	var well []cluster.Node
	for _, m := range state.Members {
		if m.State != cluster.MemberVoter && m.State != cluster.MemberLeaving {
			continue
		}
		voters++
		if m.Node == n.Node.ID {
			votes = true
			continue
		}
		if other, ok := findNode(state, m.Node); ok && m.State == cluster.MemberVoter && health(m.Node) == cluster.Ready {
			well = append(well, other.Node)
		}
	}
	switch {
	case !votes:
		return nil, nil
	case voters == 1:
		return nil, cluster.Errorf(cluster.Conflict, "%s is the only server: the cluster would end with it", n.Node.Name).
			WithHint("from three nodes on there are three servers, and each may go; argosy reset on every node ends the cluster")
	case len(well) < voters/2+1:
		return nil, cluster.Errorf(cluster.Conflict, "%s is needed: without it %d of %d servers would be well, which is no majority", n.Node.Name, len(well), voters).
			WithHint("argosy status shows the servers; try again when all are well, or when a change among them is over")
	}
	return well, nil
}

type certInput struct {
	ID   cluster.NodeID `path:"id"`
	Body wire.CertRequest
}

// renewCertificate signs the node's own key anew. Name and address come from
// the store, not from the request.
//
// A node that was off until its certificate had expired calls without one, and
// shows the expired one in the request.
func (s *Server) renewCertificate(ctx context.Context, in *certInput) (*body[wire.CertAnswer], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	if err := s.mayRenew(callerOf(ctx), in); err != nil {
		return nil, problemOf(err)
	}
	n, ok := findNode(state, in.ID)
	if !ok {
		return nil, problemOf(noNode(in.ID))
	}
	key, err := pki.KeyFingerprint(in.Body.CSR)
	if err != nil {
		return nil, problemOf(err)
	}
	if n.Node.Key != "" && key != n.Node.Key {
		return nil, problemOf(cluster.Errorf(cluster.Denied, "node %s asks for a certificate of another key than it joined with", in.ID))
	}
	cert, err := s.Authority.SignNode(pki.NodeCert{
		CSR: in.Body.CSR, Node: in.ID, Name: n.Node.Name, Address: n.Report.Address, Life: s.CertLife,
	}, time.Now())
	if err != nil {
		return nil, problemOf(err)
	}
	return &body[wire.CertAnswer]{wire.CertAnswer{Certificate: cert}}, nil
}

// mayRenew lets a node renew its own certificate, and nobody else's.
func (s *Server) mayRenew(caller pki.Caller, in *certInput) error {
	if caller.Kind != pki.Anonymous {
		return authorize(ownNode, caller, in.ID, s.roster())
	}
	owner, err := s.Authority.ExpiredOwner(in.Body.Current, in.Body.CSR, time.Now())
	if err == nil && owner != in.ID {
		err = cluster.Errorf(cluster.Denied, "node %s may not act for node %s", owner, in.ID)
	}
	return err
}

// serverSecrets hands the authorities to a node that the leader chose as a
// server, over a connection on which both sides are known.
func (s *Server) serverSecrets(ctx context.Context, in *nodeInput) (*body[wire.ServerSecrets], error) {
	initial, err := s.InitialCluster(ctx)
	if err != nil {
		return nil, problemOf(err)
	}
	s.Log.Info("handing a server's secrets to a node", "node", in.ID)
	return &body[wire.ServerSecrets]{wire.ServerSecrets{
		CA: s.Authority.PEM(), EtcdCA: s.EtcdAuthority.PEM(), InitialCluster: initial,
	}}, nil
}

// withUsage adds to each node what it promised and what it uses. A watch goes
// without: the one costs a look at every unit, the other never stands still.
func (s *Server) withUsage(state *cluster.State, nodes []wire.NodeView) []wire.NodeView {
	promised := map[cluster.NodeID]cluster.Usage{}
	for _, p := range state.Placements {
		u, stored := findUnit(state, p.Unit)
		if !stored || len(p.Nodes) == 0 {
			continue
		}
		spec, err := s.specs.Of(u)
		if err != nil {
			continue // it was promised nothing
		}
		for _, id := range p.Nodes {
			promised[id] = promised[id].Add(cluster.Usage{CPU: spec.CPU, Memory: spec.Memory})
		}
	}
	for i := range nodes {
		nodes[i].Promised = promised[nodes[i].ID]
		if n, ok := findNode(state, nodes[i].ID); ok {
			nodes[i].Used = n.Session.Usage
		}
	}
	return nodes
}
