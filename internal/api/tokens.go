package api

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// Bounds and defaults of tokens.
const (
	tokenLife    = 15 * time.Minute
	tokenLifeMax = 30 * 24 * time.Hour
	tokenUsesMax = 1000
)

func (s *Server) listTokens(context.Context, *struct{}) (*body[[]cluster.Token], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	list := make([]cluster.Token, 0, len(state.Tokens))
	for _, token := range state.Tokens {
		token.Digest = "" // is as good as the secret
		list = append(list, token)
	}
	return &body[[]cluster.Token]{list}, nil
}

func (s *Server) createToken(ctx context.Context, in *body[wire.TokenRequest]) (*body[wire.TokenAnswer], error) {
	ttl, uses := in.Body.TTL, in.Body.Uses
	if ttl == 0 {
		ttl = tokenLife
	}
	if uses == 0 {
		uses = 1
	}
	if ttl < 0 || ttl > tokenLifeMax || uses < 0 || uses > tokenUsesMax {
		return nil, problemOf(cluster.Errorf(cluster.Invalid, "a token lives up to %s and is good for up to %d nodes", tokenLifeMax, tokenUsesMax))
	}
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	token, err := pki.NewToken(s.Authority, serverAddresses(state))
	if err != nil {
		return nil, problemOf(err)
	}
	now := time.Now().UTC()
	record := cluster.Token{ID: token.ID, Digest: token.Digest(), Created: now, Expires: now.Add(ttl), Uses: uses}
	rev, ok, err := s.commit(ctx, store.Txn{
		If:   []store.Cond{store.Absent(store.TokenKey(token.ID))},
		Then: []store.Op{store.PutToken(record)},
	})
	if err == nil && !ok {
		err = cluster.Errorf(cluster.Conflict, "token %s exists already", token.ID).WithHint("try again")
	}
	if err != nil {
		return nil, problemOf(err)
	}
	s.settle(ctx, rev)
	record.Digest = ""
	return &body[wire.TokenAnswer]{wire.TokenAnswer{Token: token.String(), Record: record}}, nil
}

type tokenInput struct {
	ID string `path:"id"`
}

func (s *Server) removeToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	i := slices.IndexFunc(state.Tokens, func(t cluster.Token) bool { return t.ID == in.ID })
	if i < 0 {
		return nil, problemOf(cluster.Errorf(cluster.NotFound, "there is no token %.20s", in.ID).WithHint("argosy token ls"))
	}
	rev, ok, err := s.commit(ctx, store.Txn{
		If:   []store.Cond{store.ChangedAt(store.TokenKey(in.ID), state.Tokens[i].Revision)},
		Then: []store.Op{store.Delete(store.TokenKey(in.ID))},
	})
	if err == nil && !ok {
		err = cluster.Errorf(cluster.Conflict, "token %s was used or revoked at the same time", in.ID).WithHint("argosy token ls, and try again")
	}
	if err != nil {
		return nil, problemOf(err)
	}
	s.settle(ctx, rev)
	return &struct{}{}, nil
}

// serverAddresses are the API addresses of the servers, for tokens and nodes.
func serverAddresses(state *cluster.State) []string {
	var list []string
	for _, m := range state.Members {
		if m.State != cluster.MemberVoter {
			continue
		}
		if n, ok := findNode(state, m.Node); ok && n.Report.Address.IsValid() {
			list = append(list, net.JoinHostPort(n.Report.Address.String(), strconv.Itoa(wire.PortAPI)))
		}
	}
	return list
}

// serverIDs are the nodes that are servers.
func serverIDs(state *cluster.State) []cluster.NodeID {
	var list []cluster.NodeID
	for _, m := range state.Members {
		if m.State == cluster.MemberVoter {
			list = append(list, m.Node)
		}
	}
	return list
}
