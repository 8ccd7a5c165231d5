package place_test

import (
	"fmt"
	"testing"

	"argosy/internal/place"
	"argosy/internal/place/placetest"
)

// BenchmarkPlan measures how long a plan takes when all units are new, when one
// is, and when none is.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []struct{ units, nodes int }{{1000, 3}, {10_000, 1000}, {100_000, 10_000}} {
		for _, kind := range []placetest.Kind{placetest.Plain, placetest.Labelled, placetest.Mixed} {
			in := placetest.New(kind, size.nodes, size.units)
			name := func(what string) string {
				return fmt.Sprintf("%s/%dunits/%dnodes/%s", kind, size.units, size.nodes, what)
			}
			b.Run(name("new"), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if got := place.Plan(in); len(got.Changes) != size.units {
						b.Fatal(len(got.Changes))
					}
				}
			})
			settled := placetest.Running(placetest.Settled(in))
			b.Run(name("settled"), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if !place.Plan(settled).Empty() {
						b.Fatal("not settled")
					}
				}
			})
			more := placetest.With(settled, placetest.Unit(kind, size.units))
			b.Run(name("one"), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if len(place.Plan(more).Changes) != 1 {
						b.Fatal("more than one change")
					}
				}
			})
		}
	}
}
