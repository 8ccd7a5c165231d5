package memspace_test

import (
	"testing"
	"time"

	"argosy/internal/keyspace"
	"argosy/internal/keyspace/memspace"
	"argosy/internal/keyspace/spacetest"
)

func TestConformance(t *testing.T) {
	spacetest.Run(t, func(*testing.T) keyspace.Space { return memspace.New() })
}

func TestTimePassesWhenATestSaysSo(t *testing.T) {
	s := memspace.New()
	id, err := s.Grant(t.Context(), 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.Pass(59 * time.Second)
	if state, err := s.Lease(t.Context(), id); err != nil || state.Left != time.Second {
		t.Errorf("%+v, %v", state, err)
	}
	if s.Pass(time.Second); s.Leases() != 0 {
		t.Error("a lease outlived its time")
	}
}
