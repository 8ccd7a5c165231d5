package etcdspace

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Open returns how many leases there are, and how many streams are open through this
// server: what applications must give back.
func Open(s *Service) (leases, streams int) {
	all, err := s.lease.LeaseLeases(context.Background(), &pb.LeaseLeasesRequest{})
	if err != nil {
		return -1, -1
	}
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	return len(all.Leases), s.limits.streams
}
