package mirror

import "slices"

// table holds the records of one kind, and a sorted list of them. The list is
// shared with snapshots, so it is never changed: when records have changed, the
// next list is merged from the last one and the changes, which costs a copy and
// not a sort.
type table[T any] struct {
	key     func(T) string
	compare func(a, b T) int // orders the list; two records never compare equal
	rows    map[string]T     // by key
	sorted  []T
	// before holds, for each key that changed since the list was made, the
	// record that is in the list, nil if there is none.
	before map[string]*T
}

func newTable[T any](key func(T) string, compare func(a, b T) int) *table[T] {
	return &table[T]{key: key, compare: compare, rows: map[string]T{}, before: map[string]*T{}}
}

func (t *table[T]) put(key string, row T) {
	t.touch(key)
	t.rows[key] = row
}

func (t *table[T]) remove(key string) {
	if _, ok := t.rows[key]; ok {
		t.touch(key)
		delete(t.rows, key)
	}
}

// touch remembers what the list holds under a key that is about to change.
func (t *table[T]) touch(key string) {
	if _, touched := t.before[key]; touched {
		return
	}
	t.before[key] = nil
	if row, ok := t.rows[key]; ok {
		t.before[key] = &row
	}
}

// list returns the rows in order.
func (t *table[T]) list() []T {
	if len(t.before) == 0 {
		return t.sorted
	}
	var gone, fresh []T
	for key, was := range t.before {
		if was != nil {
			gone = append(gone, *was)
		}
		if row, ok := t.rows[key]; ok {
			fresh = append(fresh, row)
		}
	}
	slices.SortFunc(gone, t.compare)
	slices.SortFunc(fresh, t.compare)
	t.sorted = t.merge(gone, fresh)
	t.before = map[string]*T{} // not cleared: after a burst it would stay large
	return t.sorted
}

// merge returns the list without some rows and with others, all sorted.
func (t *table[T]) merge(gone, fresh []T) []T {
	out := make([]T, 0, len(t.sorted)-len(gone)+len(fresh))
	rest := t.sorted
	for len(gone) > 0 || len(fresh) > 0 {
		// A row that was replaced goes before its successor comes.
		if len(fresh) == 0 || len(gone) > 0 && t.compare(gone[0], fresh[0]) <= 0 {
			at, _ := slices.BinarySearchFunc(rest, gone[0], t.compare)
			out, rest, gone = append(out, rest[:at]...), rest[at+1:], gone[1:]
			continue
		}
		at, _ := slices.BinarySearchFunc(rest, fresh[0], t.compare)
		out = append(append(out, rest[:at]...), fresh[0])
		rest, fresh = rest[at:], fresh[1:]
	}
	return append(out, rest...)
}
