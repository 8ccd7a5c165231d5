package etcdspace

import (
	"context"
	"errors"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// Read implements keyspace.Space: one transaction that writes nothing.
func (s *Service) Read(ctx context.Context, queries ...keyspace.Query) ([]keyspace.Answer, cluster.Revision, error) {
	r := &pb.TxnRequest{}
	for _, q := range queries {
		r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{
			Key: []byte(q.Key), RangeEnd: []byte(q.End), Limit: q.Limit, KeysOnly: q.KeysOnly,
		}}})
	}
	answer, err := s.commit(ctx, r)
	if err != nil {
		return nil, 0, spaceError("read", err, cluster.Unavailable)
	}
	answers := make([]keyspace.Answer, len(answer.Responses))
	for i, op := range answer.Responses {
		found := op.GetResponseRange()
		answers[i].Count = found.GetCount()
		for _, kv := range found.GetKvs() {
			answers[i].Items = append(answers[i].Items, itemOf(kv))
		}
	}
	return answers, cluster.Revision(answer.Header.Revision), nil
}

// Commit implements keyspace.Space.
func (s *Service) Commit(ctx context.Context, txn keyspace.Txn) (cluster.Revision, bool, error) {
	r := &pb.TxnRequest{}
	for _, c := range txn.If {
		r.Compare = append(r.Compare, compareOf(c))
	}
	for _, op := range txn.Then {
		r.Success = append(r.Success, opOf(op))
	}
	answer, err := s.commit(ctx, r)
	if err != nil {
		return 0, false, spaceError("write", err, cluster.Unknown)
	}
	return cluster.Revision(answer.Header.Revision), answer.Succeeded, nil
}

func (s *Service) commit(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	return s.txn(ctx, whole, r)
}

func compareOf(c keyspace.Cond) *pb.Compare {
	r := &pb.Compare{Key: []byte(c.Key), RangeEnd: []byte(c.End), Result: pb.Compare_EQUAL}
	switch c.Test {
	case keyspace.Absent:
		r.Target, r.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{}
	case keyspace.ChangedAt:
		r.Target, r.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: int64(c.Revision)}
	case keyspace.UnchangedSince:
		r.Result, r.Target, r.TargetUnion = pb.Compare_LESS, pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: int64(c.Revision) + 1}
	case keyspace.ValueIs:
		r.Target, r.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: c.Value}
	}
	return r
}

func opOf(op keyspace.Op) *pb.RequestOp {
	if op.Delete {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{
			Key: []byte(op.Key), RangeEnd: []byte(op.End),
		}}}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
		Key: []byte(op.Key), Value: op.Value, Lease: int64(op.Lease),
	}}}
}

func itemOf(kv *mvccpb.KeyValue) keyspace.Item {
	return keyspace.Item{
		Key: string(kv.Key), Value: kv.Value, Created: cluster.Revision(kv.CreateRevision), Changed: cluster.Revision(kv.ModRevision),
		Version: kv.Version, Lease: keyspace.Lease(kv.Lease),
	}
}

// Watch implements keyspace.Space.
func (s *Service) Watch(ctx context.Context, span keyspace.Span, after cluster.Revision, each func(keyspace.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	create := &pb.WatchCreateRequest{Key: []byte(span.Key), RangeEnd: []byte(span.End), PrevKv: true, ProgressNotify: true}
	if after > 0 {
		create.StartRevision = int64(after) + 1
		if err := s.kept(ctx, after); err != nil {
			return err
		}
	}
	whole.Watch(create)
	stream, err := s.watch.Watch(requireLeader(ctx))
	if err == nil {
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
	}
	for err == nil {
		var answer *pb.WatchResponse
		if answer, err = stream.Recv(); err != nil {
			break
		}
		if answer.CompactRevision > 0 {
			return keyspace.ErrCompacted
		}
		if answer.Canceled {
			return cluster.Errorf(cluster.Unavailable, "the watch of the key space was ended: %s", answer.CancelReason)
		}
		if err := each(batchOf(answer)); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return spaceError("watch", err, cluster.Unavailable)
}

// kept returns ErrCompacted if the history after a revision is not kept any more.
func (s *Service) kept(ctx context.Context, rev cluster.Revision) error {
	_, err := s.kv.Range(ctx, &pb.RangeRequest{Key: []byte(whole), Revision: int64(rev), CountOnly: true})
	if err = spaceError("watch", err, cluster.Unavailable); cluster.KindOf(err) == cluster.Invalid {
		return nil // a revision that is still to come
	}
	return err
}

func batchOf(answer *pb.WatchResponse) keyspace.Batch {
	batch := keyspace.Batch{Revision: cluster.Revision(answer.Header.Revision)}
	for _, e := range whole.Events(answer.Events) {
		event := keyspace.Event{Item: itemOf(e.Kv), Deleted: e.Type == mvccpb.Event_DELETE}
		if e.PrevKv != nil {
			before := itemOf(e.PrevKv)
			event.Before = &before
		}
		batch.Events, batch.Revision = append(batch.Events, event), event.Changed
	}
	return batch
}

// Members lists the servers.
func (s *Service) Members(ctx context.Context) ([]keyspace.Member, error) {
	answer, err := s.members.MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return nil, spaceError("list the members", err, cluster.Unavailable)
	}
	var list []keyspace.Member
	for _, m := range answer.Members {
		list = append(list, keyspace.Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs})
	}
	return list, nil
}

// Grant implements keyspace.Space.
func (s *Service) Grant(ctx context.Context, id keyspace.Lease, ttl time.Duration) (keyspace.Lease, error) {
	answer, err := s.grant(ctx, &pb.LeaseGrantRequest{ID: int64(id), TTL: int64(ttl / time.Second)})
	if err != nil {
		return 0, spaceError("make a lease", err, cluster.Unavailable)
	}
	return keyspace.Lease(answer.ID), nil
}

// Renew implements keyspace.Space.
func (s *Service) Renew(ctx context.Context, id keyspace.Lease) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.lease.LeaseKeepAlive(requireLeader(ctx))
	if err == nil {
		err = stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)})
	}
	var answer *pb.LeaseKeepAliveResponse
	if err == nil {
		answer, err = stream.Recv()
	}
	if err == nil && answer.TTL <= 0 {
		err = rpctypes.ErrGRPCLeaseNotFound
	}
	return spaceError("renew a lease", err, cluster.Unavailable)
}

// Revoke implements keyspace.Space.
func (s *Service) Revoke(ctx context.Context, id keyspace.Lease) error {
	_, err := leaseServer{Service: s}.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: int64(id)})
	return spaceError("end a lease", err, cluster.Unknown)
}

// Lease implements keyspace.Space.
func (s *Service) Lease(ctx context.Context, id keyspace.Lease) (keyspace.LeaseState, error) {
	answer, err := s.left(ctx, whole, &pb.LeaseTimeToLiveRequest{ID: int64(id), Keys: true})
	if err == nil && answer.TTL < 0 {
		err = rpctypes.ErrGRPCLeaseNotFound
	}
	if err != nil {
		return keyspace.LeaseState{}, spaceError("ask for a lease", err, cluster.Unavailable)
	}
	lease := keyspace.LeaseState{Left: time.Duration(answer.TTL) * time.Second, Granted: time.Duration(answer.GrantedTTL) * time.Second}
	for _, key := range answer.Keys {
		lease.Keys = append(lease.Keys, string(key))
	}
	slices.Sort(lease.Keys) // etcd has them in none
	return lease, nil
}

// spaceError gives an error of etcd's its kind; what is not known to have been
// refused has the kind of the doubt.
func spaceError(what string, err error, doubt cluster.Kind) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	said := status.Convert(err)
	kind := doubt
	switch said.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition:
		kind = cluster.Invalid
	case codes.NotFound:
		kind = cluster.NotFound
	case codes.ResourceExhausted, codes.PermissionDenied:
		kind = cluster.Denied
		if said.Message() == status.Convert(rpctypes.ErrGRPCRequestTooManyRequests).Message() {
			kind = cluster.Unavailable
		}
	case codes.OutOfRange:
		if said.Message() == status.Convert(rpctypes.ErrGRPCCompacted).Message() {
			return keyspace.ErrCompacted
		}
		kind = cluster.Invalid
	default:
		if said.Message() == status.Convert(rpctypes.ErrGRPCNoLeader).Message() {
			kind = cluster.Unavailable
		}
	}
	return cluster.Errorf(kind, "key space: %s: %s", what, said.Message())
}
