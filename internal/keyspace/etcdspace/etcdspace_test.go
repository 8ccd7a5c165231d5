package etcdspace_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"argosy/internal/etcd/etcdtest"
	"argosy/internal/keyspace"
	"argosy/internal/keyspace/etcdspace"
	"argosy/internal/keyspace/spacetest"
	"argosy/internal/store"
	"argosy/internal/store/etcdstore"
)

// bench is a key space on a real etcd, in which the cluster keeps something, too.
type bench struct {
	*etcdspace.Service
	member *etcdtest.Member
	store  *etcdstore.Store
	raw    *clientv3.Client // of etcd itself
	client *clientv3.Client // of the key space
	tls    *tls.Config
}

func newBench(t *testing.T) *bench {
	t.Helper()
	c := etcdtest.New(t)
	m := c.Found(t, "n1")
	b := &bench{member: m, store: c.Open(t, m), tls: c.ClientTLS(t)}
	b.Service = etcdspace.New(etcdspace.Deps{Conn: b.store.Conn(), Store: b.store, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = b.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	b.raw = dial(t, clientv3.Config{Endpoints: []string{m.Config.AdvertiseClient}, TLS: c.ClientTLS(t)})
	b.client = dial(t, clientv3.Config{Endpoints: []string{serve(t, b.Service)}})
	for _, key := range []string{"/argosy/leader", "/argosy/units/a", "/argosy-apps", "/argosy-apps/other", "/argosy-apps/folders//d", "/argosy-apps/keys", "/argosy-apps/keys0", "\x00", "\xff\xff"} {
		if _, err := b.raw.Put(t.Context(), key, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func dial(t *testing.T, cfg clientv3.Config) *clientv3.Client {
	t.Helper()
	cfg.DialTimeout = 5 * time.Second
	client, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// serve serves etcd's API as a node does, on loopback.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

func TestConformance(t *testing.T) {
	b := newBench(t)
	spacetest.Run(t, func(t *testing.T) keyspace.Space {
		if _, _, err := b.Commit(t.Context(), keyspace.Txn{Then: []keyspace.Op{{Span: keyspace.Prefix(""), Delete: true}}}); err != nil {
			t.Fatal(err)
		}
		return b.Service
	})
}

// Programs that know etcd find it: its own client, with locks, elections, and watches.
func TestEtcdsOwnClientWorks(t *testing.T) {
	b := newBench(t)
	c, ctx := b.client, t.Context()
	t.Run("keys", func(t *testing.T) {
		if _, err := c.Put(ctx, "/services/web/1", "a"); err != nil {
			t.Fatal(err)
		}
		put, err := c.Put(ctx, "/services/web/1", "b", clientv3.WithPrevKV())
		if err != nil || string(put.PrevKv.Key) != "/services/web/1" || string(put.PrevKv.Value) != "a" {
			t.Fatalf("%+v, %v", put, err)
		}
		txn, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Value("/services/web/1"), "=", "b")).
			Then(clientv3.OpPut("/services/web/2", "c"), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("/services", clientv3.WithPrefix())}, nil)).Commit()
		if err != nil || !txn.Succeeded || txn.Responses[1].GetResponseTxn().Responses[0].GetResponseRange().Count != 2 {
			t.Fatalf("%+v, %v", txn, err)
		}
		got, err := c.Get(ctx, "/services/web/", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend), clientv3.WithLimit(1))
		if err != nil || got.Count != 2 || string(got.Kvs[0].Key) != "/services/web/2" {
			t.Fatalf("%+v, %v", got, err)
		}
		old, err := c.Get(ctx, "/services/web/1", clientv3.WithRev(put.Header.Revision-1))
		if err != nil || string(old.Kvs[0].Value) != "a" {
			t.Fatalf("%+v, %v", old, err)
		}
		if gone, err := c.Delete(ctx, "/services", clientv3.WithPrefix(), clientv3.WithPrevKV()); err != nil || gone.Deleted != 2 || string(gone.PrevKvs[0].Key) != "/services/web/1" {
			t.Fatalf("%+v, %v", gone, err)
		}
	})
	t.Run("watches", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		one, all := c.Watch(ctx, "/w/1", clientv3.WithCreatedNotify()), c.Watch(ctx, "", clientv3.WithFromKey(), clientv3.WithCreatedNotify(), clientv3.WithPrevKV())
		<-one
		<-all
		for _, key := range []string{"/w/0", "/w/1"} {
			if _, err := c.Put(ctx, key, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if e := (<-one).Events; len(e) != 1 || string(e[0].Kv.Key) != "/w/1" {
			t.Errorf("told %v", e)
		}
		if e := (<-all).Events; string(e[0].Kv.Key) != "/w/0" {
			t.Errorf("told %v", e)
		}
	})
	t.Run("leases", func(t *testing.T) {
		lease, err := c.Grant(ctx, 60)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(ctx, "/l", "x", clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
		if alive, err := c.KeepAliveOnce(ctx, lease.ID); err != nil || alive.TTL != 60 {
			t.Fatalf("%+v, %v", alive, err)
		}
		left, err := c.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
		if err != nil || len(left.Keys) != 1 || string(left.Keys[0]) != "/l" {
			t.Fatalf("%+v, %v", left, err)
		}
		if all, err := c.Leases(ctx); err != nil || len(all.Leases) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		if _, err := c.Revoke(ctx, lease.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "/l"); err != nil || got.Count != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("locks and elections", func(t *testing.T) {
		var sessions [2]*concurrency.Session
		for i := range sessions {
			s, err := concurrency.NewSession(c, concurrency.WithTTL(5))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sessions[i] = s
		}
		first, second := concurrency.NewMutex(sessions[0], "/lock"), concurrency.NewMutex(sessions[1], "/lock")
		if err := first.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		if err := second.TryLock(ctx); !errors.Is(err, concurrency.ErrLocked) {
			t.Fatalf("a second holder: %v", err)
		}
		if err := first.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if err := second.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		e := concurrency.NewElection(sessions[0], "/leader")
		if err := e.Campaign(ctx, "me"); err != nil {
			t.Fatal(err)
		}
		if who, err := concurrency.NewElection(sessions[1], "/leader").Leader(ctx); err != nil || string(who.Kvs[0].Value) != "me" {
			t.Fatalf("%+v, %v", who, err)
		}
	})
	t.Run("how it is", func(t *testing.T) {
		members, err := c.MemberList(ctx)
		if err != nil || len(members.Members) != 1 || members.Members[0].Name != "n1" || members.Members[0].ClientURLs[0] != c.Endpoints()[0] {
			t.Fatalf("%+v, %v", members, err)
		}
		if err := c.Sync(ctx); err != nil || !slices.Equal(c.Endpoints(), []string{members.Members[0].ClientURLs[0]}) {
			t.Errorf("after a sync, the client asks %v: %v", c.Endpoints(), err)
		}
		if how, err := c.Status(ctx, c.Endpoints()[0]); err != nil || how.Leader == 0 || how.Version != b.Version() {
			t.Fatalf("%+v, %v", how, err)
		}
		if alarms, err := c.AlarmList(ctx); err != nil || len(alarms.Alarms) != 0 {
			t.Fatalf("%+v, %v", alarms, err)
		}
	})
}

// Whatever a program asks, it sees and changes nothing of what is not its own.
func TestNothingOfTheClustersIsReached(t *testing.T) {
	b := newBench(t)
	c, ctx := b.client, t.Context()
	for _, key := range []string{"a", "\x00", "\xff\xff", "/argosy/leader", "../argosy/leader"} {
		if _, err := c.Put(ctx, key, "mine"); err != nil {
			t.Fatal(err)
		}
	}
	for name, op := range map[string]clientv3.Op{
		"everything":                clientv3.OpGet("", clientv3.WithPrefix()),
		"from a key":                clientv3.OpGet("\x00", clientv3.WithFromKey()),
		"a range past the end":      clientv3.OpGet("\x00", clientv3.WithRange("\xff\xff\xff")),
		"in a nested transaction":   clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("\x00", clientv3.WithFromKey())}, nil),
		"counted, not seen":         clientv3.OpGet("", clientv3.WithPrefix(), clientv3.WithCountOnly()),
		"with those changed lately": clientv3.OpGet("", clientv3.WithPrefix(), clientv3.WithMinModRev(1)),
	} {
		r, err := c.Do(ctx, op)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		count, text := int64(0), ""
		switch {
		case r.Get() != nil:
			count, text = r.Get().Count, fmt.Sprint(r.Get().Kvs)
		case r.Txn() != nil:
			found := r.Txn().Responses[0].GetResponseRange()
			count, text = found.Count, found.String()
		}
		if count != 5 || strings.Contains(text, "secret") {
			t.Errorf("%s: %d keys, want 5: %s", name, count, text)
		}
	}
	if gone, err := c.Delete(ctx, "\x00", clientv3.WithFromKey()); err != nil || gone.Deleted != 5 {
		t.Errorf("removed %+v, %v", gone, err)
	}
	left, err := b.raw.Get(ctx, "", clientv3.WithPrefix())
	if err != nil || left.Count != 9 {
		t.Errorf("%d keys of others are left of 9: %v", left.Count, err)
	}
	lease, err := b.raw.Grant(ctx, 60) // somebody's who is none of the cluster's today
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.raw.Put(ctx, "/argosy/held", "secret", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	if held, err := c.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys()); err != nil || len(held.Keys) != 0 {
		t.Errorf("under a lease, it sees %q, %v", held.Keys, err)
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	told := c.Watch(watching, "", clientv3.WithFromKey(), clientv3.WithRev(1), clientv3.WithProgressNotify())
	if _, err := b.raw.Put(ctx, "/argosy/leader", "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, "end", ""); err != nil {
		t.Fatal(err)
	}
	for r := range told {
		for _, e := range r.Events {
			if string(e.Kv.Value) == "secret" || string(e.Kv.Key) == "end" {
				cancel()
			}
			if string(e.Kv.Value) == "secret" {
				t.Errorf("a watch was told of %q", e.Kv.Key)
			}
		}
	}
}

// What is about the whole store is refused, with a reason.
func TestWhatIsNotForApplications(t *testing.T) {
	b := newBench(t)
	c, ctx := b.client, t.Context()
	for name, call := range map[string]func() error{
		"compact":       func() error { _, err := c.Compact(ctx, 1); return err },
		"defragment":    func() error { _, err := c.Defragment(ctx, c.Endpoints()[0]); return err },
		"snapshot":      func() error { _, err := c.SnapshotWithVersion(ctx); return err },
		"hash":          func() error { _, err := c.HashKV(ctx, c.Endpoints()[0], 0); return err },
		"move leader":   func() error { _, err := c.MoveLeader(ctx, 1); return err },
		"disarm":        func() error { _, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: 1, Alarm: 1}); return err },
		"add a member":  func() error { _, err := c.MemberAdd(ctx, []string{"http://x:1"}); return err },
		"drop a member": func() error { _, err := c.MemberRemove(ctx, 1); return err },
		"downgrade":     func() error { _, err := c.Downgrade(ctx, clientv3.DowngradeEnable, "3.6.0"); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "not for applications") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.AuthEnable(ctx); err == nil {
		t.Error("authentication was enabled")
	}
	if _, err := b.raw.Get(ctx, "/argosy/leader"); err != nil {
		t.Errorf("after all this, etcd says %v", err)
	}
}

// Too much of anything is refused with etcd's own error or one that says what to do.
func TestLimits(t *testing.T) {
	b := newBench(t)
	c, ctx := b.client, t.Context()
	if _, err := c.Put(ctx, "large", strings.Repeat("x", keyspace.RequestBytesMax)); err == nil || !strings.Contains(err.Error(), "request is too large") {
		t.Errorf("a value of 1 MiB with its key: %v", err)
	}
	var many []clientv3.Op
	for i := range keyspace.OpsMax + 1 {
		many = append(many, clientv3.OpPut(string(rune('a'+i)), ""))
	}
	if _, err := c.Txn(ctx).Then(many...).Commit(); err == nil || !strings.Contains(err.Error(), "too many operations") {
		t.Errorf("too many operations: %v", err)
	}
	nested := clientv3.OpTxn(nil, many[:100], nil)
	if _, err := c.Txn(ctx).Then(nested, clientv3.OpTxn(nil, many[:100], nil)).Commit(); err == nil || !strings.Contains(err.Error(), "too many operations") {
		t.Errorf("too many operations in nested transactions: %v", err)
	}
	// Filled to the brim, it takes no more, but less.
	value := strings.Repeat("x", keyspace.RequestBytesMax-100)
	full := error(nil)
	for i := 0; full == nil && i < 100; i++ {
		_, full = c.Put(ctx, "fill/"+string(rune('a'+i)), value)
	}
	if full == nil || !strings.Contains(full.Error(), "the key space of applications is full") {
		t.Fatalf("100 MiB went in: %v", full)
	}
	if _, _, err := b.store.Commit(ctx, store.Txn{Then: []store.Op{store.Put("/argosy/x", []byte("y"))}}); err != nil {
		t.Errorf("while applications have filled theirs, the cluster cannot write: %v", err)
	}
	if all, err := c.Get(ctx, "fill", clientv3.WithPrefix()); err != nil || all.Count < 60 {
		t.Errorf("full, it cannot be read: %v", err)
	}
	if _, err := c.Delete(ctx, "fill", clientv3.WithPrefix()); err != nil {
		t.Errorf("full, it cannot be emptied: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := c.Put(ctx, "again", "x")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("empty again, it takes nothing: %v", err)
		}
	}
}

// One caller takes no more than its share, and gives it back.
func TestACallersShare(t *testing.T) {
	b := newBench(t)
	var leave []func()
	for {
		done, err := b.Enter(t.Context(), "node a", true)
		if err != nil {
			break
		}
		leave = append(leave, done)
	}
	if len(leave) != 128 {
		t.Errorf("%d streams of one caller", len(leave))
	}
	if done, err := b.Enter(t.Context(), "node b", true); err != nil {
		t.Errorf("another gets none: %v", err)
	} else {
		done()
	}
	call, err := b.Enter(t.Context(), "node a", false) // it goes on with something else
	if err != nil {
		t.Fatal(err)
	}
	for _, done := range leave {
		done()
	}
	if done, err := b.Enter(t.Context(), "node a", true); err != nil {
		t.Errorf("nothing was given back: %v", err)
	} else {
		done()
	}
	call()
	for range 64 {
		if _, err := b.Enter(t.Context(), "node a", false); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Enter(ctx, "node a", false); err == nil {
		t.Error("more calls than a caller may have are served at once")
	}
	if _, err := b.Enter(t.Context(), "node b", false); err != nil {
		t.Errorf("calls of one caller stop those of another: %v", err)
	}
}

// When etcd goes, nothing hangs: calls fail, and streams end.
func TestWithoutEtcd(t *testing.T) {
	b := newBench(t)
	told := b.client.Watch(clientv3.WithRequireLeader(t.Context()), "x", clientv3.WithCreatedNotify())
	<-told
	b.member.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if _, err := b.client.Put(ctx, "x", "y"); err == nil || ctx.Err() != nil {
		t.Errorf("a write without etcd: %v", err)
	}
	if _, _, err := b.Read(ctx, keyspace.Query{Span: keyspace.One("x")}); err == nil || ctx.Err() != nil {
		t.Errorf("a read without etcd: %v", err)
	}
}

// Who watches goes on at another server when one stops, and misses nothing.
func TestAWatchGoesOnAtAnotherServer(t *testing.T) {
	b := newBench(t)
	other := etcdspace.New(etcdspace.Deps{Conn: b.store.Conn(), Store: b.store, Log: slog.New(slog.DiscardHandler)})
	stopping := dial(t, clientv3.Config{Endpoints: []string{b.member.Config.AdvertiseClient}, TLS: b.tls})
	service := etcdspace.New(etcdspace.Deps{Conn: stopping.ActiveConnection(), Store: b.store, Log: slog.New(slog.DiscardHandler)})
	var now atomic.Pointer[etcdspace.Service]
	now.Store(service)
	client := dial(t, clientv3.Config{Endpoints: []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().ServeHTTP(w, r) }))}})
	told := client.Watch(t.Context(), "k", clientv3.WithCreatedNotify())
	<-told
	now.Store(other)
	if err := stopping.Close(); err != nil { // as a daemon does that stops
		t.Fatal(err)
	}
	if _, err := b.client.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case r, ok := <-told:
		if !ok || r.Err() != nil || len(r.Events) != 1 {
			t.Errorf("told %+v, %v", r, ok)
		}
	case <-ctx.Done():
		t.Error("nothing is told any more")
	}
}
