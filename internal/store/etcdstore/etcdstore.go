// Package etcdstore is the real store: etcd, over mutual TLS. It implements
// store.Store and the membership of etcd that the engine works with.
//
// It never repeats a transaction whose outcome it does not know; it says so.
package etcdstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// How soon a server that lost power is left for another.
const (
	dialMax        = 2 * time.Second
	keepAliveEvery = 2 * time.Second
	keepAliveMax   = 2 * time.Second
)

// How large one answer of etcd may be. What it holds in all has no bound that an
// answer could have: a listing comes in pages, and what a watch has to catch up on
// in fragments. A record is no larger than the transaction that wrote it, so the
// largest page fits; a fragment is no larger than what etcd takes in one request.
const (
	pageMax   = 500                                         // records; with each page etcd counts those that follow, so small ones cost more
	answerMax = (pageMax + 1) * (store.TxnBytesMax + 1<<10) // bytes; what frames a record is far less than 1 KiB
)

// Config says where etcd is and who asks.
type Config struct {
	Endpoints []string // https://host:port of voters
	TLS       *tls.Config
}

// Store is a client of etcd. It is safe for concurrent use.
type Store struct {
	client *clientv3.Client
	page   int64 // records in a page of a listing

	mu    sync.Mutex
	moved chan struct{} // closed and replaced when other servers are to be asked
}

var _ store.Store = (*Store)(nil)

// Open makes a client; it does not connect yet. Close it.
func Open(cfg Config) (*Store, error) { return open(cfg, pageMax, answerMax) }

func open(cfg Config, page int64, answer int) (*Store, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, TLS: cfg.TLS, DialTimeout: dialMax,
		DialKeepAliveTime: keepAliveEvery, DialKeepAliveTimeout: keepAliveMax, PermitWithoutStream: true,
		MaxCallRecvMsgSize: answer,
		Logger:             zap.NewNop(), // its errors come back to us as errors
	})
	if err != nil {
		return nil, cluster.Errorf(cluster.Internal, "open etcd's client: %w", err)
	}
	return &Store{client: client, page: page, moved: make(chan struct{})}, nil
}

// Conn is the connection to etcd, for what is not of the port: the key space of
// applications speaks etcd's own API.
func (s *Store) Conn() grpc.ClientConnInterface { return s.client.ActiveConnection() }

// Close ends the client and its watches.
func (s *Store) Close() error { return s.client.Close() }

// SetEndpoints replaces the servers to ask. Open watches end with ErrMoved: the
// connections to the servers of before are not closed while something comes over
// them, so a watch would stay with a server that is not meant any more, and hang
// when that one dies, however well the others are.
func (s *Store) SetEndpoints(endpoints []string) {
	s.client.SetEndpoints(endpoints...)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *Store) moves() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Item, cluster.Revision, error) {
	for {
		items, rev, err := s.pages(ctx, prefix)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // so much was written meanwhile that the revision is forgotten
		}
		if err != nil {
			return nil, 0, readError("list", err)
		}
		return items, rev, nil
	}
}

// pages reads a listing page by page, all of them at the revision of the first.
func (s *Store) pages(ctx context.Context, prefix string) ([]store.Item, cluster.Revision, error) {
	items := []store.Item{}
	key, at, rest := prefix, int64(0), clientv3.WithPrefix()
	for {
		response, err := s.client.Get(ctx, key, rest, clientv3.WithRev(at), clientv3.WithLimit(s.page))
		if err != nil {
			return nil, 0, err
		}
		if at == 0 { // the header of later pages is ahead of them
			at = response.Header.Revision
		}
		for _, kv := range response.Kvs {
			items = append(items, item(kv))
		}
		if !response.More {
			return items, cluster.Revision(at), nil
		}
		key = items[len(items)-1].Key + "\x00" // the next one that there can be
		rest = clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix))
	}
}

func item(kv *mvccpb.KeyValue) store.Item {
	return store.Item{
		Key: string(kv.Key), Value: kv.Value,
		Created: cluster.Revision(kv.CreateRevision), Changed: cluster.Revision(kv.ModRevision),
	}
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	if err := store.CheckTxn(txn); err != nil {
		return 0, false, err
	}
	if ctx.Err() != nil { // nothing was sent, which etcd's client would not say
		return 0, false, cluster.Errorf(cluster.Unavailable, "store: commit: %w", context.Cause(ctx))
	}
	var conds []clientv3.Cmp
	for _, c := range txn.If {
		subject := clientv3.ModRevision(c.Key)
		if c.OnCreated {
			subject = clientv3.CreateRevision(c.Key)
		}
		conds = append(conds, clientv3.Compare(subject, "=", int64(c.Revision)))
	}
	var ops []clientv3.Op
	for _, op := range txn.Then {
		if op.Delete {
			ops = append(ops, clientv3.OpDelete(op.Key))
		} else {
			ops = append(ops, clientv3.OpPut(op.Key, string(op.Value)))
		}
	}
	response, err := s.client.Txn(ctx).If(conds...).Then(ops...).Commit()
	if err != nil {
		return 0, false, commitError(err)
	}
	return cluster.Revision(response.Header.Revision), response.Succeeded, nil
}

// Compact implements store.Store.
func (s *Store) Compact(ctx context.Context, rev cluster.Revision) error {
	_, err := s.client.Compact(ctx, int64(rev))
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return store.ErrCompacted
	case errors.Is(err, rpctypes.ErrFutureRev):
		return cluster.Errorf(cluster.Invalid, "store: compact to revision %d, which is not reached yet", rev)
	case err != nil:
		return readError("compact", err)
	}
	return nil
}

// readError gives the failure of something that may be repeated its kind.
func readError(operation string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return cluster.Errorf(cluster.Unavailable, "store: %s: %w", operation, err)
}

// commitError tells a transaction that was refused from one whose outcome is
// not known: the first can be repeated.
func commitError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrDuplicateKey):
		return cluster.Errorf(cluster.Invalid, "store: commit: %w", err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return cluster.Errorf(cluster.Unavailable, "store: the database is full: %w", err).WithHint("destroying units makes room only after compact, defrag and alarm disarm by etcd's own etcdctl on every server; argosy status shows the size")
	case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrTooManyRequests):
		return cluster.Errorf(cluster.Unavailable, "store: commit: %w", err)
	}
	return cluster.Errorf(cluster.Unknown, "store: commit: it is not known whether it happened: %w", err)
}

// watch adapts etcd's stream.
type watch struct {
	c   chan store.Batch
	err error // set before c is closed
}

func (w *watch) C() <-chan store.Batch { return w.c }
func (w *watch) Err() error            { return w.err }

// Watch implements store.Store. It ends when etcd has no leader: a watch that
// is fed by a server without quorum would look alive. A batch may be larger than
// an answer: etcd's client puts the fragments together before we see them.
func (s *Store) Watch(ctx context.Context, prefix string, after cluster.Revision) store.Watch {
	w := &watch{c: make(chan store.Batch)}
	go func() {
		defer close(w.c)
		w.err = s.stream(ctx, prefix, after, w.c)
	}()
	return w
}

func (s *Store) stream(ctx context.Context, prefix string, after cluster.Revision, out chan<- store.Batch) error {
	moved := s.moves()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	responses := s.client.Watch(clientv3.WithRequireLeader(ctx), prefix,
		clientv3.WithPrefix(), clientv3.WithRev(int64(after)+1), clientv3.WithProgressNotify(), clientv3.WithFragment())
	for {
		var batch store.Batch
		select {
		case response, ok := <-responses:
			if err := responseError(ctx, response, ok); err != nil {
				return err
			}
			batch = batchOf(response)
		case <-moved:
			return store.ErrMoved
		}
		if batch.Revision == 0 {
			continue
		}
		select {
		case out <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// responseError says why a watch is over; nil if it is not.
func responseError(ctx context.Context, response clientv3.WatchResponse, ok bool) error {
	switch {
	case !ok && ctx.Err() != nil:
		return ctx.Err()
	case !ok:
		return cluster.Errorf(cluster.Unavailable, "store: the watch ended")
	case response.CompactRevision != 0:
		return store.ErrCompacted
	case response.Err() != nil:
		return readError("watch", response.Err())
	}
	return nil
}

// batchOf converts a response. While a watch catches up, the header is ahead
// of the events, so only the header of a progress notification counts.
func batchOf(response clientv3.WatchResponse) store.Batch {
	var batch store.Batch
	if response.IsProgressNotify() {
		batch.Revision = cluster.Revision(response.Header.Revision)
	}
	for _, e := range response.Events {
		event := store.Event{Item: item(e.Kv), Deleted: e.Type == clientv3.EventTypeDelete}
		if event.Deleted {
			event.Value, event.Created = nil, 0
		}
		batch.Revision = event.Changed
		batch.Events = append(batch.Events, event)
	}
	return batch
}

// wrap names what was asked of the membership.
func wrap(operation string, err error) error { return fmt.Errorf("etcd: %s: %w", operation, err) }
