package cli

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

func TestBatchesHoldEveryUnitOnceInOrderWithinTheLimits(t *testing.T) {
	longest := strings.Repeat("x", cluster.UnitTextMax)
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, cluster.UnitTextMax), 0, 60).Draw(t, "sizes")
		small := rapid.IntRange(0, 2*batchUnits+1).Draw(t, "small")
		var units []wire.SubmitUnit
		for i := range small + len(sizes) {
			size := 0
			if i >= small {
				size = sizes[i-small]
			}
			units = append(units, wire.SubmitUnit{Name: cluster.UnitName(rune('a' + i%26)), Text: longest[:size]})
		}
		next := 0
		for _, batch := range batches(units) {
			bytes := 0
			for _, unit := range batch {
				if unit != units[next] {
					t.Fatalf("unit %d is another one", next)
				}
				next++
				bytes += len(unit.Text)
			}
			if len(batch) == 0 || len(batch) > batchUnits || bytes > batchBytes {
				t.Fatalf("a batch of %d units and %d bytes", len(batch), bytes)
			}
		}
		if next != len(units) {
			t.Fatalf("%d of %d units are in batches", next, len(units))
		}
	})
}
