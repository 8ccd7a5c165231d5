package etcdstore

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// OpenWithin is Open with other limits of an answer: records in a page, and bytes.
func OpenWithin(cfg Config, page int64, answer int) (*Store, error) { return open(cfg, page, answer) }

// AfterEachPage makes a store call f whenever it has read a page of a listing.
func (s *Store) AfterEachPage(f func()) { s.client.KV = pageReader{s.client.KV, f} }

type pageReader struct {
	clientv3.KV
	read func()
}

func (r pageReader) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	response, err := r.KV.Get(ctx, key, opts...)
	r.read()
	return response, err
}
