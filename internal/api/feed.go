package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
)

// feedMax is how many bytes of changes are kept for readers that are behind. Who is
// further behind is told the whole.
const feedMax = 4 << 20

// smallChanges is how many bytes of changes are sent without a look at whether all
// there is would be less. A change tells its services whole, and a service of a global
// unit is large.
const smallChanges = 64 << 10

// feed is the catalog as it changes. It is one for all that follow it: a change is
// found once and encoded once, however many they are. Its methods may be called
// concurrently.
type feed struct {
	// id tells its cursors from those of other daemons, which see the health of nodes
	// with their own eyes, and from those of an earlier run of this one.
	id string

	mu       sync.Mutex
	revision cluster.Revision
	known    catalog.Catalog
	number   int64 // of the newest edition, from 1 on
	whole    []byte
	recent   []edition // the newest last
	size     int       // of recent, in bytes
	more     chan struct{}
}

// edition is one change of the catalog, encoded.
type edition struct {
	number int64
	change []byte
}

func newFeed(id string) *feed { return &feed{id: id, more: make(chan struct{})} }

// put makes a new edition if the catalog has changed.
func (f *feed) put(revision cluster.Revision, known catalog.Catalog) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	different := f.known.To(known)
	f.revision, f.known = revision, known
	if f.number > 0 && different.Empty() {
		return nil
	}
	f.number++
	f.whole = nil
	change, err := f.encode(wire.Services{Services: different.Services, Gone: different.Gone, Nodes: different.Nodes, GoneNodes: different.GoneNodes})
	if err != nil {
		return err
	}
	f.recent = append(f.recent, edition{f.number, change})
	f.size += len(change)
	for f.size > feedMax {
		f.size -= len(f.recent[0].change)
		f.recent = slices.Delete(f.recent, 0, 1)
	}
	close(f.more)
	f.more = make(chan struct{})
	return nil
}

// confirm notes that nothing is different at a later revision.
func (f *feed) confirm(revision cluster.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision = revision
}

// past returns a channel that is closed when there is an edition after one; it is
// closed already if there is.
func (f *feed) past(number int64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.number > number {
		over := make(chan struct{})
		close(over)
		return over
	}
	return f.more
}

// news returns the messages that lead from an edition to the newest one, and its
// number. Edition 0 is that of who knows nothing.
func (f *feed) news(since int64) (messages [][]byte, newest int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since == f.number {
		return nil, f.number, nil
	}
	changes, known := f.changes(since)
	size := 0
	for _, change := range changes {
		size += len(change)
	}
	if known && size <= smallChanges {
		return changes, f.number, nil
	}
	if f.whole == nil {
		if f.whole, err = f.encode(f.full()); err != nil {
			return nil, 0, err
		}
	}
	if known && size <= len(f.whole) {
		return changes, f.number, nil
	}
	return [][]byte{f.whole}, f.number, nil
}

// changes returns the changes since an edition, if they are still known. Who knows
// nothing, which is edition 0, has no use for them.
func (f *feed) changes(since int64) (changes [][]byte, known bool) {
	if since <= 0 || since > f.number || len(f.recent) == 0 || since+1 < f.recent[0].number {
		return nil, false
	}
	for _, e := range f.recent[since+1-f.recent[0].number:] {
		changes = append(changes, e.change)
	}
	return changes, true
}

// message returns the whole as it is now.
func (f *feed) message() wire.Services {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full()
}

// alive returns a sign of life for who has read up to an edition.
func (f *feed) alive(number int64) wire.Services {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wire.Services{Revision: f.revision, Cursor: f.cursor(number)}
}

func (f *feed) full() wire.Services {
	return wire.Services{Revision: f.revision, Cursor: f.cursor(f.number), Full: true, Services: f.known.Services, Nodes: f.known.Nodes}
}

func (f *feed) encode(m wire.Services) ([]byte, error) {
	m.Revision, m.Cursor = f.revision, f.cursor(f.number)
	var line bytes.Buffer
	err := json.NewEncoder(&line).Encode(m)
	return line.Bytes(), err
}

// cursor names an edition.
func (f *feed) cursor(number int64) string { return fmt.Sprintf("%s.%d", f.id, number) }

// position returns the edition that a cursor names, 0 if it is none of this feed.
func (f *feed) position(cursor string) int64 {
	text, own := strings.CutPrefix(cursor, f.id+".")
	number, err := strconv.ParseInt(text, 10, 64)
	if !own || err != nil || number < 0 {
		return 0
	}
	return number
}
