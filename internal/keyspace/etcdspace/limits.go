package etcdspace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"argosy/internal/cluster"
	"argosy/internal/keyspace/confine"
	"argosy/internal/store"
)

// What applications may take of the store that the cluster lives in. All of them
// together, through all servers, but for the last four, which each server grants.
const (
	// bytesMax is what may be in the key space at a time: the most that an answer can
	// hold, too. Each key counts for keyCost more than it holds, so that there are no
	// more than 65,536 of them, which etcd can remove in one go without falling silent.
	bytesMax = 64 << 20
	keyCost  = 1 << 10
	// databaseMax is how large the database may be in use, with the history that it
	// keeps: a quarter of etcd's limit. Applications write no more then, and the
	// cluster goes on.
	databaseMax = 1 << 30
	leasesMax   = 20_000

	// writingMax is how many bytes may be on their way to etcd at a time. A write counts
	// for writeCost at least, so that there are 64 at most, and one of the cluster waits
	// for no more than these.
	writingMax = 4 << 20
	writeCost  = writingMax / 64
	// readingMax is how many bytes answers to reads of more than a key may hold at a
	// time. Each counts for all that is in the key space, since that is what etcd may
	// have to look at.
	readingMax = 2 * bytesMax
	// callsMax is how many calls of one caller, a node or a person, are served at a time.
	// Others wait, unread, for waitMax at most.
	callsMax = 64
	waitMax  = 5 * time.Second
	// streamsMax is how many streams (watches, renewals) of one caller are open, and
	// allStreamsMax how many in all: etcd carries 1,000 for a client.
	streamsMax    = 128
	allStreamsMax = 800
	watchesMax    = 1000 // of one stream
)

// lookEvery is how often the size of the database is looked at.
const lookEvery = 2 * time.Second

// limits keeps count of what applications take.
type limits struct {
	store            store.Store
	writing, reading *semaphore.Weighted

	mu       sync.Mutex
	counted  chan struct{}    // closed once the key space was counted
	sizes    map[string]int64 // by key
	used     int64
	database int64
	leases   int
	callers  map[string]*caller
	streams  int
}

// caller is what somebody has open.
type caller struct {
	calls   *semaphore.Weighted
	streams int
	users   int // calls that are served or wait, and streams
}

func newLimits(db store.Store) *limits {
	return &limits{
		store: db, writing: semaphore.NewWeighted(writingMax), reading: semaphore.NewWeighted(readingMax),
		counted: make(chan struct{}), callers: map[string]*caller{},
	}
}

// admitRead lets through a read of so many spans.
func (l *limits) admitRead(ctx context.Context, spans int) (done func(), err error) {
	if spans == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	l.mu.Lock()
	weight := min(int64(spans)*max(l.used, 1), readingMax)
	l.mu.Unlock()
	if l.reading.Acquire(ctx, weight) != nil {
		return nil, rpctypes.ErrGRPCRequestTooManyRequests
	}
	return func() { l.reading.Release(weight) }, nil
}

// admit lets a write through once there is a place for it, or says why not. The
// caller calls done when it is over.
func (l *limits) admit(ctx context.Context, cost confine.Cost) (done func(), err error) {
	if err := cost.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	if cost.Puts > 0 {
		if err := l.room(ctx, cost.Bytes+cost.Puts*keyCost); err != nil {
			return nil, err
		}
	}
	read, err := l.admitRead(ctx, cost.Ranges)
	if err != nil {
		return nil, err
	}
	weight := max(cost.Bytes, writeCost)
	if l.writing.Acquire(ctx, weight) != nil {
		read()
		return nil, rpctypes.ErrGRPCRequestTooManyRequests
	}
	return func() { l.writing.Release(weight); read() }, nil
}

// admitLease lets a new lease through.
func (l *limits) admitLease(ctx context.Context) (done func(), err error) {
	l.mu.Lock()
	leases := l.leases
	l.mu.Unlock()
	if leases >= leasesMax {
		return nil, status.Errorf(codes.ResourceExhausted, "argosy: there are %d leases, which is as many as applications may have; keep one alive rather than making another for each key", leases)
	}
	return l.admit(ctx, confine.Cost{Ops: 1})
}

// room says whether so many bytes more may be kept.
func (l *limits) room(ctx context.Context, more int64) error {
	select {
	case <-l.counted:
	case <-ctx.Done():
		return status.Error(codes.Unavailable, "argosy: this server has not read the key space yet; try again in a moment")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.used+more > bytesMax:
		return status.Errorf(codes.ResourceExhausted, "argosy: the key space of applications is full: %s of %s are used, 1 KiB for each key included; remove keys, or keep large values elsewhere", mebibytes(l.used), mebibytes(bytesMax))
	case l.database > databaseMax:
		return status.Errorf(codes.ResourceExhausted, "argosy: applications may not write now: with the history of what was written lately the store's database is %s large, and they may fill %s of it; write less often, or smaller values, and it shrinks within minutes", mebibytes(l.database), mebibytes(databaseMax))
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// count reads the key space, and follows what changes until that fails.
func (l *limits) count(ctx context.Context) (time.Duration, error) {
	items, rev, err := l.store.List(ctx, store.PrefixApps)
	if err != nil {
		return 0, err
	}
	l.begin(items)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := l.store.Watch(ctx, store.PrefixApps, rev)
	for batch := range watch.C() {
		l.follow(batch.Events)
	}
	err = watch.Err()
	if errors.Is(err, store.ErrMoved) || errors.Is(err, store.ErrCompacted) {
		return time.Millisecond, nil // read anew
	}
	return 0, err
}

func (l *limits) begin(items []store.Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sizes, l.used = make(map[string]int64, len(items)), 0
	for _, item := range items {
		l.set(item.Key, sizeOf(item))
	}
	select {
	case <-l.counted:
	default:
		close(l.counted)
	}
}

func (l *limits) follow(events []store.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		size := sizeOf(e.Item)
		if e.Deleted {
			size = 0
		}
		l.set(e.Key, size)
	}
}

// set notes the size of a key; 0: it is gone.
func (l *limits) set(key string, size int64) {
	l.used += size - l.sizes[key]
	if l.sizes[key] = size; size == 0 {
		delete(l.sizes, key)
	}
}

func sizeOf(item store.Item) int64 {
	return int64(len(item.Key)-len(store.PrefixApps)+len(item.Value)) + keyCost
}

// look asks the own member for what no watch tells.
func (l *limits) look(ctx context.Context, maintenance pb.MaintenanceClient, lease pb.LeaseClient) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	size, err := maintenance.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return 0, cluster.Errorf(cluster.Unavailable, "size of the store: %w", err)
	}
	all, err := lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		return 0, cluster.Errorf(cluster.Unavailable, "leases of the store: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.database, l.leases = size.DbSizeInUse, len(all.Leases)
	return lookEvery, nil
}

// Enter lets a caller's request in. One that is over soon waits for its turn; a
// stream is let in or refused. The caller calls leave when it is over.
func (s *Service) Enter(ctx context.Context, who string, stream bool) (leave func(), err error) {
	return s.limits.enter(ctx, who, stream)
}

func (l *limits) enter(ctx context.Context, who string, stream bool) (leave func(), err error) {
	if stream {
		return l.open(who)
	}
	c := l.use(who)
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	if c.calls.Acquire(ctx, 1) != nil {
		l.unuse(who, c)
		return nil, cluster.Errorf(cluster.Unavailable, "%d calls of %s to the key space are under way, which is the limit", callsMax, who)
	}
	return func() { c.calls.Release(1); l.unuse(who, c) }, nil
}

func (l *limits) open(who string) (leave func(), err error) {
	c := l.use(who)
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.streams >= streamsMax || l.streams >= allStreamsMax {
		l.drop(who, c)
		return nil, cluster.Errorf(cluster.Unavailable, "%s has %d watches and the like open on the key space here, all have %d; the limits are %d and %d",
			who, c.streams, l.streams, streamsMax, allStreamsMax)
	}
	c.streams++
	l.streams++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.streams--
		l.streams--
		l.drop(who, c)
	}, nil
}

func (l *limits) use(who string) *caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, known := l.callers[who]
	if !known {
		c = &caller{calls: semaphore.NewWeighted(callsMax)}
		l.callers[who] = c
	}
	c.users++
	return c
}

func (l *limits) unuse(who string, c *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(who, c)
}

// drop forgets a caller that has nothing open.
func (l *limits) drop(who string, c *caller) {
	if c.users--; c.users == 0 {
		delete(l.callers, who)
	}
}
