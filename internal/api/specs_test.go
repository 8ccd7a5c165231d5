package api

import (
	"fmt"
	"testing"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/metrics"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// Units whose names never come again are not remembered by a server of which
// always the same is asked.
func TestWhateverIsAskedUnitsThatAreGoneAreForgotten(t *testing.T) {
	const together = 150 // units at a time
	for _, tt := range []struct {
		name string
		// open prepares what is asked; ask looks at all units that there are.
		open func(b *bench) (ask func())
	}{
		{"metrics", func(b *bench) func() {
			b.server.Metrics = metrics.New()
			return func() { fleetCall(b.t, b.server.Local(), "GET "+wire.PathMetrics, "") }
		}},
		{"status", func(b *bench) func() {
			return func() { b.call("GET", wire.PathStatus, nil, nil) }
		}},
		{"a watch", func(b *bench) func() {
			watch := open[wire.Change](b, pki.Caller{Kind: pki.Local}, wire.PathWatch)
			watch.next()
			return func() {
				for seen := 0; seen < together; {
					seen += len(watch.next().Units)
				}
			}
		}},
		{"a submission", func(b *bench) func() {
			return func() { _, _ = submit(b, one("a.service", hello)) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				ask := tt.open(b)
				round := func(n int) (first cluster.Unit) {
					var put, remove []store.Op
					for i := range together {
						u := cluster.Unit{Name: cluster.UnitName(fmt.Sprintf("u%d-%d.service", n, i)), UID: "u", Text: hello, Hash: cluster.HashText(hello)}
						if i == 0 {
							first = u
						}
						put, remove = append(put, store.PutUnit(u)), append(remove, store.Delete(store.UnitKey(u.Name)))
					}
					b.put(put...)
					ask()
					b.put(remove...)
					return first
				}
				first := round(0)
				spec, _ := b.server.specs.Of(first)
				for n := 1; n < 5; n++ {
					round(n)
				}
				if again, _ := b.server.specs.Of(first); again == spec {
					t.Error("what a unit asked for is remembered although it is gone")
				}
			})
		})
	}
}
