// Package etcdspace is the key space of applications as a server has it: etcd's own
// API, version 3, confined to a prefix and to limits, and the port of package
// keyspace on top of it. There is no other way in.
//
// Requests go on to etcd as they are, but for their keys (package confine) and what
// they may cost (limits.go); answers and errors are etcd's.
package etcdspace

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/api/v3/version"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"argosy/internal/keyspace"
	"argosy/internal/keyspace/confine"
	"argosy/internal/loop"
	"argosy/internal/store"
)

// prefix is where the keys of applications lie, whole what else is kept for them, too.
const (
	prefix = confine.Prefix(store.PrefixApps + keyspace.Keys)
	whole  = confine.Prefix(store.PrefixApps)
)

// messageMax bounds a message that comes in: a request with what frames it.
const messageMax = keyspace.RequestBytesMax + 64<<10

// Deps are what a key space works with.
type Deps struct {
	// Conn leads to etcd. It is not that of the control plane: what applications do
	// must not stand in the way of what the cluster does.
	Conn grpc.ClientConnInterface
	// Store is the same etcd, to count by what is in the key space.
	Store store.Store
	Log   *slog.Logger
}

// Service is the key space on one server. Run keeps count; Server serves it.
type Service struct {
	kv          pb.KVClient
	watch       pb.WatchClient
	lease       pb.LeaseClient
	members     pb.ClusterClient
	maintenance pb.MaintenanceClient
	limits      *limits
	log         *slog.Logger
	grpc        *grpc.Server
}

var _ keyspace.Space = (*Service)(nil)

// answerMax bounds an answer of etcd's: a transaction may read all that there is a few
// times. (gRPC's own bound is 4 MiB.)
const answerMax = (keyspace.RangesMax + 1) * bytesMax

// roomy is a connection that takes answers of any size that there can be.
type roomy struct{ grpc.ClientConnInterface }

func (c roomy) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, append(opts, grpc.MaxCallRecvMsgSize(answerMax))...)
}

func (c roomy) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.ClientConnInterface.NewStream(ctx, desc, method, append(opts, grpc.MaxCallRecvMsgSize(answerMax))...)
}

// New makes a key space.
func New(deps Deps) *Service {
	conn := roomy{deps.Conn}
	s := &Service{
		kv: pb.NewKVClient(conn), watch: pb.NewWatchClient(conn), lease: pb.NewLeaseClient(conn),
		members: pb.NewClusterClient(conn), maintenance: pb.NewMaintenanceClient(conn),
		limits: newLimits(deps.Store), log: deps.Log,
	}
	s.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(messageMax),
		grpc.UnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, call grpc.UnaryHandler) (any, error) {
			answer, err := call(ctx, r)
			return answer, goingAway(ctx, err)
		}),
		grpc.StreamInterceptor(func(s any, down grpc.ServerStream, _ *grpc.StreamServerInfo, call grpc.StreamHandler) error {
			return goingAway(down.Context(), call(s, down))
		}))
	pb.RegisterKVServer(s.grpc, kvServer{Service: s})
	pb.RegisterWatchServer(s.grpc, watchServer{Service: s})
	pb.RegisterLeaseServer(s.grpc, leaseServer{Service: s})
	pb.RegisterClusterServer(s.grpc, clusterServer{Service: s})
	pb.RegisterMaintenanceServer(s.grpc, maintenanceServer{Service: s})
	return s
}

// Run keeps count of what is in the key space until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	count := loop.New("count the key space", s.log, s.limits.count)
	look := loop.New("look at the store's size", s.log, func(ctx context.Context) (time.Duration, error) {
		return s.limits.look(ctx, s.maintenance, s.lease)
	})
	group.Go(func() error { return count.Run(ctx) })
	group.Go(func() error { return look.Run(ctx) })
	return group.Wait()
}

// ServeHTTP serves etcd's API to a caller that was admitted.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.grpc.ServeHTTP(w, r) }

// Version is that of etcd, whose API it is.
func (*Service) Version() string { return version.Version }

// goingAway is what a client is told that did not give up itself when what it asked was
// given up here: the server stops. It is to ask another, or again; told that its call
// was canceled, it would do neither.
func goingAway(ctx context.Context, err error) error {
	if ctx.Err() == nil && status.Code(err) == codes.Canceled {
		return status.Error(codes.Unavailable, "argosy: this server stops; ask again, and another may answer")
	}
	return err
}

// notForApplications refuses what is about the whole store.
func notForApplications(what string) error {
	return status.Errorf(codes.PermissionDenied, "argosy: %s is about the cluster's whole store, and not for applications; it is done by the cluster itself", what)
}

// kvServer is etcd's KV.
type kvServer struct {
	pb.UnimplementedKVServer
	*Service
}

func (s kvServer) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := prefix.Range(r); err != nil {
		return nil, err
	}
	spans := 0
	if len(r.RangeEnd) > 0 {
		spans = 1
	}
	done, err := s.limits.admitRead(ctx, spans)
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := s.kv.Range(ctx, r)
	if err != nil {
		return nil, err
	}
	answer.Kvs = prefix.Items(answer.Kvs)
	return answer, nil
}

func (s kvServer) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	cost := confine.CostOfPut(r)
	if err := prefix.Put(r); err != nil {
		return nil, err
	}
	done, err := s.limits.admit(ctx, cost)
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := s.kv.Put(ctx, r)
	if err != nil {
		return nil, err
	}
	answer.PrevKv = prefix.Item(answer.PrevKv)
	return answer, nil
}

func (s kvServer) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	cost := confine.CostOfDelete(r)
	if err := prefix.Delete(r); err != nil {
		return nil, err
	}
	done, err := s.limits.admit(ctx, cost)
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := s.kv.DeleteRange(ctx, r)
	if err != nil {
		return nil, err
	}
	answer.PrevKvs = prefix.Items(answer.PrevKvs)
	return answer, nil
}

func (s kvServer) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	return s.txn(ctx, prefix, r)
}

// txn commits a transaction under a prefix.
func (s *Service) txn(ctx context.Context, under confine.Prefix, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	cost := confine.CostOfTxn(r)
	if err := under.Txn(r); err != nil {
		return nil, err
	}
	done, err := s.limits.admit(ctx, cost)
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := s.kv.Txn(ctx, r)
	if err != nil {
		return nil, err
	}
	under.TxnAnswer(answer)
	return answer, nil
}

// Compact refuses: the history is the whole store's, and watches of the control plane
// go on from it. The cluster keeps it short by itself.
func (s kvServer) Compact(context.Context, *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	return nil, notForApplications("compaction")
}

// requireLeader has etcd end a stream when it has no leader: one that is fed by a
// server without quorum would look alive.
func requireLeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
}

// streamError is what a client is told of the end of its stream. One that did not ask
// for a leader must not be told that there is none: it would give up, where it is to
// go on through another server. closed says that the client wanted no more.
func streamError(ctx context.Context, err error, closed bool) error {
	switch {
	case closed && errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.EOF):
		return status.Error(codes.Unavailable, "argosy: etcd ended the stream; ask again")
	case status.Convert(err).Message() == status.Convert(rpctypes.ErrGRPCNoLeader).Message() &&
		len(metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)) == 0:
		return status.Error(codes.Unavailable, "argosy: this server is without a leader; ask again, and another may answer")
	}
	return err
}

// watchServer is etcd's Watch.
type watchServer struct {
	pb.UnimplementedWatchServer
	*Service
}

// Watch carries a stream of watches, each request and answer confined.
func (s watchServer) Watch(down grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	ctx, cancel := context.WithCancelCause(down.Context())
	defer cancel(nil)
	up, err := s.watch.Watch(requireLeader(ctx))
	if err != nil {
		return streamError(ctx, err, false)
	}
	var closed atomic.Bool
	go func() {
		if err := passRequests(down, up, &closed); err != nil {
			cancel(err)
		}
	}()
	for {
		answer, err := up.Recv()
		if cause := context.Cause(ctx); cause != nil && down.Context().Err() == nil {
			return cause
		}
		if err != nil {
			return streamError(ctx, err, closed.Load())
		}
		answer.Events = prefix.Events(answer.Events)
		if err := down.Send(answer); err != nil {
			return err
		}
	}
}

// passRequests passes on what a client wants to watch, until it wants no more.
func passRequests(down grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse], up pb.Watch_WatchClient, closed *atomic.Bool) error {
	for watches := 0; ; {
		r, err := down.Recv()
		if errors.Is(err, io.EOF) {
			closed.Store(true)
			return up.CloseSend()
		}
		if err != nil {
			return err
		}
		if r.GetCancelRequest() != nil {
			watches--
		}
		if create := r.GetCreateRequest(); create != nil {
			if watches++; watches > watchesMax {
				return status.Errorf(codes.ResourceExhausted, "argosy: more than %d watches on one stream", watchesMax)
			}
			prefix.Watch(create)
		}
		if err := up.Send(r); err != nil {
			return nil //nolint:nilerr // the other direction learns why
		}
	}
}

// leaseServer is etcd's Lease. The cluster itself uses none, so all are applications'.
type leaseServer struct {
	pb.UnimplementedLeaseServer
	*Service
}

func (s leaseServer) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return s.grant(ctx, r)
}

func (s *Service) grant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	done, err := s.limits.admitLease(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.lease.LeaseGrant(ctx, r)
}

func (s leaseServer) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	done, err := s.limits.admit(ctx, confine.Cost{Ops: 1})
	if err != nil {
		return nil, err
	}
	defer done()
	return s.lease.LeaseRevoke(ctx, r)
}

func (s leaseServer) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	return s.left(ctx, prefix, r)
}

func (s *Service) left(ctx context.Context, under confine.Prefix, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	answer, err := s.lease.LeaseTimeToLive(ctx, r)
	if err != nil {
		return nil, err
	}
	answer.Keys = under.Keys(answer.Keys)
	return answer, nil
}

func (s leaseServer) LeaseLeases(ctx context.Context, r *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	return s.lease.LeaseLeases(ctx, r)
}

// LeaseKeepAlive carries a stream of renewals.
func (s leaseServer) LeaseKeepAlive(down grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) error {
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	up, err := s.lease.LeaseKeepAlive(requireLeader(ctx))
	if err != nil {
		return streamError(ctx, err, false)
	}
	var closed atomic.Bool
	go func() {
		for {
			r, err := down.Recv()
			if err != nil || up.Send(r) != nil {
				closed.Store(errors.Is(err, io.EOF))
				_ = up.CloseSend() // the other direction learns why
				return
			}
		}
	}()
	for {
		answer, err := up.Recv()
		if err != nil {
			return streamError(ctx, err, closed.Load())
		}
		if err := down.Send(answer); err != nil {
			return err
		}
	}
}

// clusterServer is as much of etcd's Cluster as tells who the members are.
type clusterServer struct {
	pb.UnimplementedClusterServer
	*Service
}

// MemberList lists the members, each under the address that the client used: it can
// reach no other, and clients go to where a member says it is.
func (s clusterServer) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	answer, err := s.members.MemberList(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, m := range answer.Members {
		m.ClientURLs = nil
		for _, authority := range metadata.ValueFromIncomingContext(ctx, ":authority") {
			m.ClientURLs = append(m.ClientURLs, "http://"+authority)
		}
	}
	return answer, nil
}

func (clusterServer) MemberAdd(context.Context, *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	return nil, notForApplications("who is a member")
}

func (clusterServer) MemberRemove(context.Context, *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	return nil, notForApplications("who is a member")
}

func (clusterServer) MemberUpdate(context.Context, *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	return nil, notForApplications("who is a member")
}

func (clusterServer) MemberPromote(context.Context, *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	return nil, notForApplications("who is a member")
}

// maintenanceServer is as much of etcd's Maintenance as tells how the store is.
type maintenanceServer struct {
	pb.UnimplementedMaintenanceServer
	*Service
}

func (s maintenanceServer) Status(ctx context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	return s.maintenance.Status(ctx, r)
}

func (s maintenanceServer) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.Action != pb.AlarmRequest_GET {
		return nil, notForApplications("an alarm")
	}
	return s.maintenance.Alarm(ctx, r)
}

func (maintenanceServer) Defragment(context.Context, *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	return nil, notForApplications("defragmentation")
}

func (maintenanceServer) Hash(context.Context, *pb.HashRequest) (*pb.HashResponse, error) {
	return nil, notForApplications("its hash")
}

func (maintenanceServer) HashKV(context.Context, *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	return nil, notForApplications("its hash")
}

func (maintenanceServer) Snapshot(*pb.SnapshotRequest, grpc.ServerStreamingServer[pb.SnapshotResponse]) error {
	return notForApplications("a snapshot")
}

func (maintenanceServer) MoveLeader(context.Context, *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	return nil, notForApplications("who leads")
}

func (maintenanceServer) Downgrade(context.Context, *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	return nil, notForApplications("its version")
}
