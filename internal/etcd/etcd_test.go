package etcd_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/etcd"
	"argosy/internal/etcd/etcdtest"
	"argosy/internal/loop"
	"argosy/internal/store"
	"argosy/internal/store/etcdstore"
)

const patience = 30 * time.Second

// eventually repeats what may fail for a while, such as writes during an
// election.
func eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		one, done := context.WithTimeout(ctx, 2*time.Second)
		err := try(one)
		done()
		if err == nil {
			return
		}
		if loop.Sleep(ctx, 50*time.Millisecond) != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func write(t *testing.T, s *etcdstore.Store, key string) {
	t.Helper()
	eventually(t, "write "+key, func(ctx context.Context) error {
		_, _, err := s.Commit(ctx, store.Txn{Then: []store.Op{store.Put(key, []byte("v"))}})
		return err
	})
}

func count(t *testing.T, s *etcdstore.Store, prefix string) int {
	t.Helper()
	var n int
	eventually(t, "list", func(ctx context.Context) error {
		items, _, err := s.List(ctx, prefix)
		n = len(items)
		return err
	})
	return n
}

// join makes a new member a voter: a learner first.
func join(t *testing.T, c *etcdtest.Cluster, s *etcdstore.Store, name string) *etcdtest.Member {
	t.Helper()
	m := c.Prepare(t, name)
	var id uint64
	eventually(t, "add "+name, func(ctx context.Context) (err error) {
		id, err = s.Membership().AddLearner(ctx, m.Config.AdvertisePeer)
		return err
	})
	m.Start(t)
	eventually(t, "promote "+name, func(ctx context.Context) error { return s.Membership().Promote(ctx, id) })
	return m
}

func TestOneMemberGrowsToThreeAndSurvivesTheLossOfOne(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	s := c.Open(t, one)
	write(t, s, "/k/1")
	two := join(t, c, s, "two")
	three := join(t, c, s, "three")
	all := c.Open(t, one, two, three)
	list, err := all.Membership().List(t.Context())
	if err != nil || len(list) != 3 || list[0].Learner || list[1].Learner || list[2].Learner {
		t.Fatalf("members %+v, %v; want three voters", list, err)
	}

	one.Stop(t)
	write(t, all, "/k/2")
	two.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, _, err := all.List(ctx, "/k/"); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("a list without a quorum: %v, want Unavailable", err)
	}
	if list, err := all.Health(t.Context()); err != nil || len(list) != 3 {
		t.Errorf("without a quorum the members are not shown: %+v, %v", list, err)
	}

	one.Start(t)
	write(t, all, "/k/3")
	if n := count(t, all, "/k/"); n != 3 {
		t.Errorf("%d of 3 acknowledged writes are there", n)
	}
}

func TestAMemberThatWasRemovedEndsAndSaysSo(t *testing.T) {
	c := etcdtest.New(t)
	s := c.Open(t, c.Found(t, "one"))
	two := join(t, c, s, "two")
	eventually(t, "remove", func(ctx context.Context) error {
		list, err := s.Membership().List(ctx)
		for _, m := range list {
			if m.Name == "two" {
				err = s.Membership().Remove(ctx, m.ID)
			}
		}
		return err
	})
	if err := two.Wait(t); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("a removed member ended with %v", err)
	}
	write(t, s, "/k")
}

func TestAMemberWhoseDataIsGoneDoesNotStart(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	one.Stop(t)
	if err := os.RemoveAll(one.Config.Dir); err != nil {
		t.Fatal(err)
	}
	err := etcd.Run(t.Context(), one.Config, func() { t.Error("it served") })
	if cluster.KindOf(err) != cluster.Conflict || !strings.Contains(err.Error(), one.Config.Token) {
		t.Errorf("got %v, want a refusal that names the cluster", err)
	}
}

func TestAMemberKeepsItsDataWhenItIsStartedAgain(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	s := c.Open(t, one)
	write(t, s, "/k")
	one.Stop(t)
	one.Start(t)
	if n := count(t, s, "/k"); n != 1 {
		t.Errorf("%d of 1 acknowledged writes are there", n)
	}
}

func TestNobodyWithoutAnIdentityOfThisClusterIsServed(t *testing.T) {
	c, foreign := etcdtest.New(t), etcdtest.New(t)
	one := c.Found(t, "one")
	ours, theirs := c.ClientTLS(t), foreign.ClientTLS(t)
	old := ours.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	callers := []struct {
		name   string
		tls    *tls.Config
		served bool
	}{
		{"our own", ours, true},
		{"without a certificate", &tls.Config{RootCAs: c.Roots()}, false},
		{"with a foreign cluster's certificate", &tls.Config{RootCAs: c.Roots(), Certificates: theirs.Certificates}, false},
		{"with our own, expired", c.ExpiredTLS(t), false},
		{"with TLS 1.2", old, false},
	}
	for port, address := range map[string]string{"client": one.Config.ListenClient, "peer": one.Config.ListenPeer} {
		for _, caller := range callers {
			t.Run(port+" port, a caller "+caller.name, func(t *testing.T) {
				if err := ask(t, address, caller.tls); (err == nil) != caller.served {
					t.Errorf("served: %v, want %v (%v)", err == nil, caller.served, err)
				}
			})
		}
	}
	if err := ask(t, one.Config.ListenClient, &tls.Config{RootCAs: foreign.Roots(), Certificates: theirs.Certificates}); err == nil {
		t.Error("a foreign daemon took our member for one of its own")
	}
}

// ask sends one request and reads the first byte of the answer: with TLS 1.3 a
// client learns only then whether its certificate was taken.
func ask(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, "GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.ReadFull(connection, make([]byte, 1))
	return err
}

func TestAConfigurationThatCannotWorkIsRefusedWithTheReason(t *testing.T) {
	valid := etcdtest.New(t).Prepare(t, "one").Config
	for _, c := range []struct {
		name   string
		change func(*etcd.Config)
		reason string // part of the error; "" if it is to be taken
	}{
		{"complete", func(*etcd.Config) {}, ""},
		{"without a name", func(c *etcd.Config) { c.Name = "" }, "no name"},
		{"without a folder", func(c *etcd.Config) { c.Dir = "" }, "no dir"},
		{"without a marker", func(c *etcd.Config) { c.Started = "" }, "no started"},
		{"without a certificate", func(c *etcd.Config) { c.CertFile = "" }, "no certFile"},
		{"in no known state", func(c *etcd.Config) { c.State = "odd" }, `"odd"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := valid
			c.change(&cfg)
			text, err := json.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := load(t, text)
			if c.reason == "" {
				if err != nil || got != cfg {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if cluster.KindOf(err) != cluster.Invalid || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, want Invalid with %q", err, c.reason)
			}
		})
	}
	if _, err := load(t, []byte("{")); cluster.KindOf(err) != cluster.Invalid {
		t.Errorf("half a file: %v, want Invalid", err)
	}
	if _, err := etcd.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func load(t *testing.T, text []byte) (etcd.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return etcd.Load(path)
}
