package etcdstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"argosy/internal/cluster"
	"argosy/internal/quorum"
)

// Membership is etcd's membership, as the engine asks for it.
type Membership struct{ store *Store }

// Membership returns the calls that change who is a member.
func (s *Store) Membership() Membership { return Membership{s} }

// List returns the members that a quorum agrees on.
func (m Membership) List(ctx context.Context) ([]quorum.MemberInfo, error) {
	response, err := m.store.client.MemberList(ctx)
	if err != nil {
		return nil, readError("list members", err)
	}
	var list []quorum.MemberInfo
	for _, member := range response.Members {
		info := quorum.MemberInfo{ID: member.ID, Name: member.Name, Learner: member.IsLearner}
		if len(member.PeerURLs) > 0 {
			info.PeerURL = member.PeerURLs[0]
		}
		list = append(list, info)
	}
	return list, nil
}

// AddLearner adds a member without a vote and returns its ID.
func (m Membership) AddLearner(ctx context.Context, peerURL string) (uint64, error) {
	response, err := m.store.client.MemberAddAsLearner(ctx, []string{peerURL})
	if err != nil {
		return 0, memberError("add a learner", err)
	}
	return response.Member.ID, nil
}

// Promote gives a learner its vote.
func (m Membership) Promote(ctx context.Context, id uint64) error {
	_, err := m.store.client.MemberPromote(ctx, id)
	return memberError("promote", err)
}

// Remove removes a member for good.
func (m Membership) Remove(ctx context.Context, id uint64) error {
	_, err := m.store.client.MemberRemove(ctx, id)
	return memberError("remove a member", err)
}

func memberError(operation string, err error) error {
	kind := cluster.Unavailable
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrMemberNotFound):
		kind = cluster.NotFound
	case errors.Is(err, rpctypes.ErrMemberExist), errors.Is(err, rpctypes.ErrPeerURLExist):
		kind = cluster.Exists
	case errors.Is(err, rpctypes.ErrMemberNotLearner):
		kind = cluster.Conflict
	}
	return cluster.Errorf(kind, "%w", wrap(operation, err))
}

// healthMax is how long a member may take to say how it is. One without power
// never answers, and those who ask want to show the others soon.
const healthMax = 2 * time.Second

// MemberHealth is what one member says of itself.
type MemberHealth struct {
	ID      uint64
	Name    string // the node ID; "" before it started for the first time
	Learner bool
	Leader  bool
	DBSize  int64 // bytes
	Err     error // nil if it answered
}

// Health asks every member how it is, all at once, for 2 s at most. The
// list of members is the one that the asked server knows, so it is answered
// without a quorum too.
func (s *Store) Health(ctx context.Context) ([]MemberHealth, error) {
	ctx, cancel := context.WithTimeout(ctx, healthMax)
	defer cancel()
	response, err := s.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil, readError("list members", err)
	}
	list := make([]MemberHealth, len(response.Members))
	var asked sync.WaitGroup
	for i, member := range response.Members {
		list[i] = MemberHealth{ID: member.ID, Name: member.Name, Learner: member.IsLearner}
		asked.Go(func() { s.ask(ctx, member.ClientURLs, &list[i]) })
	}
	asked.Wait()
	return list, nil
}

func (s *Store) ask(ctx context.Context, urls []string, health *MemberHealth) {
	if len(urls) == 0 {
		health.Err = errors.New("has not started yet")
		return
	}
	status, err := s.client.Status(ctx, urls[0])
	if err != nil {
		health.Err = errors.New("no answer")
		return
	}
	health.Leader = status.Leader == health.ID
	health.DBSize = status.DbSize
	if len(status.Errors) > 0 {
		health.Err = errors.New(status.Errors[0])
	}
}
