package main

import (
	"context"
	"errors"
	"os"
	"time"

	"argosy/internal/etcd"
	"argosy/internal/etcd/etcdtest"
	"argosy/internal/pki"
	"argosy/internal/store/etcdstore"
)

// member is a cluster of etcd with one member, in this process, on a real disk.
type member struct {
	store *etcdstore.Store
	dir   string
	stop  context.CancelFunc
	ended chan error
}

// newMember starts one on loopback; close it.
func newMember(ctx context.Context) (*member, error) {
	dir, err := os.MkdirTemp("", "argosy-bench-")
	if err != nil {
		return nil, err
	}
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		return nil, err
	}
	cfg, err := etcdtest.Configure(dir, "bench", authority)
	if err != nil {
		return nil, err
	}
	settings, err := etcdtest.ClientTLS(authority)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	m := &member{dir: dir, stop: stop, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { m.ended <- etcd.Run(ctx, cfg, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-m.ended:
		stop()
		return nil, errors.Join(errors.New("etcd has not started"), err)
	}
	m.store, err = etcdstore.Open(etcdstore.Config{Endpoints: []string{cfg.AdvertiseClient}, TLS: settings})
	return m, err
}

func (m *member) close() {
	_ = m.store.Close()
	m.stop()
	<-m.ended //nolint:errcheck // that it was stopped
	_ = os.RemoveAll(m.dir)
}
