package api

import (
	"context"
	"crypto/tls"
	"slices"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// tlsKey is the context key of a request's TLS session.
type tlsKey struct{}

func withTLS(ctx context.Context, state *tls.ConnectionState) context.Context {
	return context.WithValue(ctx, tlsKey{}, state)
}

// admitNode lets a node into the cluster: the proof must be made with the
// token's secret on this very TLS session, the token must admit the node, and
// its use and the node's record are written in one transaction. A node that
// was admitted before is admitted again if it comes with the same key: its
// first attempt may have been cut off.
func (s *Server) admitNode(ctx context.Context, in *body[wire.AdmitRequest]) (*body[wire.AdmitAnswer], error) {
	answer, err := s.admit(ctx, in.Body)
	if err != nil {
		s.Log.Warn("node not admitted", "node", in.Body.Node, "name", in.Body.Name, "token", in.Body.TokenID, "err", err)
		return nil, problemOf(err)
	}
	s.Log.Info("node admitted", "node", in.Body.Node, "name", in.Body.Name, "token", in.Body.TokenID)
	return &body[wire.AdmitAnswer]{answer}, nil
}

func (s *Server) admit(ctx context.Context, req wire.AdmitRequest) (answer wire.AdmitAnswer, err error) {
	if err := checkAdmitRequest(req); err != nil {
		return answer, err
	}
	// The token is read from the store itself: the mirror may be behind, and a
	// token that was just made must work.
	state, err := s.current(ctx)
	if err != nil {
		return answer, err
	}
	token, err := s.verifyToken(ctx, state, req)
	if err != nil {
		return answer, err
	}
	key, err := pki.KeyFingerprint(req.CSR)
	if err != nil {
		return answer, err
	}
	known, err := checkNewcomer(state, req, key)
	if err != nil {
		return answer, err
	}
	cert, err := s.Authority.SignNode(pki.NodeCert{
		CSR: req.CSR, Node: req.Node, Name: req.Name, Address: req.Address, Life: s.CertLife,
	}, time.Now())
	if err != nil {
		return answer, err
	}
	if !known {
		if err := s.enlist(ctx, token, req, key); err != nil {
			return answer, err
		}
	}
	return wire.AdmitAnswer{
		Cluster: state.Cluster, Certificate: cert, CA: s.Authority.CertPEM(), Servers: serverAddresses(state),
	}, nil
}

// current returns a snapshot that holds everything acknowledged so far.
func (s *Server) current(ctx context.Context) (*cluster.State, error) {
	ctx, cancel := context.WithTimeout(ctx, writeMax)
	defer cancel()
	_, rev, err := s.Store.List(ctx, store.KeyCluster)
	if err != nil {
		return nil, err
	}
	return s.Mirror.WaitFor(ctx, rev)
}

func checkAdmitRequest(req wire.AdmitRequest) error {
	if err := cluster.CheckNodeID(req.Node); err != nil {
		return err
	}
	if err := cluster.CheckNodeName(req.Name); err != nil {
		return err
	}
	if !req.Address.IsValid() || req.Address.IsUnspecified() {
		return cluster.Errorf(cluster.Invalid, "the node gives no address that others could reach").
			WithHint("argosy join --address IP")
	}
	return nil
}

// verifyToken returns the token's record if the request proves its secret.
func (s *Server) verifyToken(ctx context.Context, state *cluster.State, req wire.AdmitRequest) (cluster.Token, error) {
	i := slices.IndexFunc(state.Tokens, func(t cluster.Token) bool { return t.ID == req.TokenID })
	if i < 0 {
		return cluster.Token{}, cluster.Errorf(cluster.Denied, "token %.20s is not known: it was revoked or expired long ago", req.TokenID).
			WithHint("make a new one: argosy token create")
	}
	token := state.Tokens[i]
	session, ok := ctx.Value(tlsKey{}).(*tls.ConnectionState)
	if !ok {
		return token, cluster.Errorf(cluster.Denied, "nodes are admitted over TLS only")
	}
	good, err := pki.VerifyProof(token.Digest, req.Proof, *session, req.CSR)
	if err != nil {
		return token, err
	}
	if !good {
		return token, cluster.Errorf(cluster.Denied, "the proof for token %s is wrong: the token was changed, or somebody relays the connection", token.ID)
	}
	return token, token.Admits(req.Node, time.Now())
}

// checkNewcomer tells whether the node is known already, and refuses one that
// claims another's ID or name.
func checkNewcomer(state *cluster.State, req wire.AdmitRequest, key string) (known bool, err error) {
	for _, n := range state.Nodes {
		switch {
		case n.Node.ID == req.Node && n.Node.Key == key:
			return true, nil
		case n.Node.ID == req.Node:
			return false, cluster.Errorf(cluster.Exists, "node ID %s belongs to %s, which has another key", req.Node, n.Node.Name).
				WithHint("a cloned machine needs a machine ID of its own; a reinstalled one is removed first: argosy node rm " + n.Node.Name)
		case n.Node.Name == req.Name:
			return false, cluster.Errorf(cluster.Exists, "the name %s belongs to node %s", req.Name, n.Node.ID.Short()).
				WithHint("set Name= in /etc/argosy/argosy.conf, or another host name")
		}
	}
	return false, nil
}

// enlist uses the token up and writes the node's records, all at once.
func (s *Server) enlist(ctx context.Context, token cluster.Token, req wire.AdmitRequest, key string) error {
	used := token
	used.Uses--
	used.UsedBy = append(slices.Clone(token.UsedBy), req.Node)
	if slices.Contains(token.UsedBy, req.Node) {
		used = token
	}
	rev, ok, err := s.commit(ctx, store.Txn{
		If: []store.Cond{
			store.ChangedAt(store.TokenKey(token.ID), token.Revision),
			store.Absent(store.NodeKey(req.Node)),
			store.Absent(store.NameKey(req.Name)), // the snapshot may not show yet who took it
		},
		Then: []store.Op{
			store.PutToken(used),
			store.PutNode(cluster.Node{ID: req.Node, Name: req.Name, Joined: time.Now().UTC(), Key: key}),
			store.PutName(req.Name, req.Node),
			store.PutReport(cluster.Report{Node: req.Node, Address: req.Address}),
		},
	})
	if err != nil {
		return err
	}
	if !ok {
		// Kind Unavailable: nothing happened, and the same request may succeed.
		return cluster.Errorf(cluster.Unavailable, "another node used the token, or took the name, at the same time").WithHint("try again with the same token")
	}
	s.settle(ctx, rev)
	return nil
}
