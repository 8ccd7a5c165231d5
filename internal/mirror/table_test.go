package mirror

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// row is ordered the other way round than by its key, as statuses are.
type row struct{ A, B, Value int }

func (r row) key() string { return fmt.Sprintf("%d/%d", r.A, r.B) }

func newRows() *table[row] {
	return newTable(row.key, func(a, b row) int { return cmp.Or(cmp.Compare(a.B, b.B), cmp.Compare(a.A, b.A)) })
}

// Whatever is put and removed between two lists, a list is all rows in order,
// and lists that were handed out stay as they were.
func TestAListIsWhatSortingAllRowsWouldGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := newRows()
		var listed, copies [][]row
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			r := row{rapid.IntRange(0, 4).Draw(t, "a"), rapid.IntRange(0, 4).Draw(t, "b"), rapid.Int().Draw(t, "value")}
			switch rapid.SampledFrom([]string{"put", "put", "remove", "list"}).Draw(t, "step") {
			case "put":
				rows.put(r.key(), r)
			case "remove":
				rows.remove(r.key())
			case "list":
				listed = append(listed, rows.list())
				copies = append(copies, slices.Clone(rows.list()))
			}
		}
		want := slices.SortedFunc(maps.Values(rows.rows), rows.compare)
		if diff := gocmp.Diff(want, append([]row(nil), rows.list()...)); diff != "" {
			t.Fatalf("list (-want +got):\n%s", diff)
		}
		if diff := gocmp.Diff(copies, listed); diff != "" {
			t.Fatalf("a list that was handed out changed (-then +now):\n%s", diff)
		}
	})
}

func TestAListIsTheSameOneWhileNothingChanges(t *testing.T) {
	rows := newRows()
	rows.put("1/1", row{1, 1, 1})
	first := rows.list()
	rows.remove("2/2") // which there is not
	if second := rows.list(); &first[0] != &second[0] {
		t.Error("the list was made anew")
	}
}

func BenchmarkOneStatusOfTenThousandChanges(b *testing.B) {
	t := newTables()
	status := func(i, restarts int) cluster.Status {
		return cluster.Status{Node: cluster.NodeID(fmt.Sprintf("%032d", i%100)),
			Unit: cluster.UnitName(fmt.Sprintf("web@%d.service", i)), Restarts: int64(restarts)}
	}
	put := func(s cluster.Status) { t.statuses.put(store.StatusKey(s.Node, s.Unit), s) }
	for i := range 10_000 {
		put(status(i, 0))
	}
	_ = t.snapshot()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		put(status(i%10_000, i+1))
		_ = t.snapshot()
	}
}
