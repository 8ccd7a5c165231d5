// Package ring keeps the events that a server saw, in memory and on its disk,
// bounded by age and by size.
//
// On disk a ring is a folder of segments, files of JSON lines that are only
// appended to; the oldest is removed as a whole. Nothing is synced: what a
// power cut takes is the last moment of a history, not a promise. Lines that do
// not decode are skipped, so a torn write costs one event. A disk that cannot
// be written costs what survives a restart, and nothing else: Problem says so,
// and readers still get everything that is in memory.
package ring

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"argosy/internal/cluster"
)

// Defaults of the bounds.
const (
	ageMax   = 24 * time.Hour
	sizeMax  = 8 << 20
	segments = 8
)

// Config says where a ring is and how large it may become. Zero fields mean the
// defaults: a day, 8 MiB, in 8 segments.
type Config struct {
	Dir      string // "" keeps nothing on disk
	Age      time.Duration
	Size     int // bytes of JSON
	Segments int
}

// Deps are what a ring works with.
type Deps struct {
	Log *slog.Logger
	// Append opens a segment to append to it, and makes it if need be; nil: a
	// file. Tests fill the disk with it.
	Append func(path string) (io.WriteCloser, error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Ring holds events. Its methods may be called concurrently.
type Ring struct {
	cfg  Config
	deps Deps

	mu       sync.Mutex
	segments []*segment // the oldest first
	ids      map[string]bool
	next     int64 // the number of the next event
	revision cluster.Revision
	more     chan struct{} // closed and replaced when there is more to read
	closed   bool
	problem  string
	// The file of the last segment, nil if it is not open. torn is set when
	// what was last written to it may have no end of line.
	file io.WriteCloser
	torn bool
}

// segment is a part of the ring that is dropped as a whole.
type segment struct {
	number int // of its file
	first  int64
	size   int
	events []cluster.Event
	last   time.Time // of its events; before there are any, when it was begun
}

// New makes an empty ring. Load fills it from the disk.
func New(cfg Config, deps Deps) *Ring {
	cfg.Age, cfg.Size, cfg.Segments = cmp.Or(cfg.Age, ageMax), cmp.Or(cfg.Size, sizeMax), cmp.Or(cfg.Segments, segments)
	if deps.Append == nil {
		deps.Append = func(path string) (io.WriteCloser, error) {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, err
			}
			return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		}
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Ring{cfg: cfg, deps: deps, ids: map[string]bool{}, more: make(chan struct{})}
}

// Load reads what is on the disk. It is called once, before Append. What cannot
// be read is left out, and said in the log.
func (r *Ring) Load() {
	if r.cfg.Dir == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	entries, err := os.ReadDir(r.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.fail(err)
		return
	}
	for _, entry := range entries {
		number, err := strconv.Atoi(strings.TrimSuffix(entry.Name(), suffix))
		if err != nil || !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		r.segments = append(r.segments, &segment{number: number})
	}
	slices.SortFunc(r.segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	for _, s := range r.segments {
		s.first = r.next
		r.load(s)
		r.next += int64(len(s.events))
	}
	r.trim()
}

// suffix ends the names of segments.
const suffix = ".jsonl"

func (r *Ring) path(s *segment) string {
	return filepath.Join(r.cfg.Dir, fmt.Sprintf("%08d%s", s.number, suffix))
}

// load reads one segment. The caller holds mu.
func (r *Ring) load(s *segment) {
	text, err := os.ReadFile(r.path(s))
	if err != nil {
		r.deps.Log.Warn("events were not read", "file", r.path(s), "err", err)
	}
	s.size = len(text)
	r.torn = len(text) > 0 && text[len(text)-1] != '\n'
	skipped := 0
	for line := range bytes.Lines(text) {
		var e cluster.Event
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case json.Unmarshal(line, &e) != nil || e.ID == "":
			skipped++
		default:
			r.hold(s, e)
		}
	}
	if skipped > 0 {
		r.deps.Log.Warn("damaged events were skipped", "file", r.path(s), "lines", skipped)
	}
}

// hold puts an event into a segment, unless the ring has it.
func (r *Ring) hold(s *segment, e cluster.Event) bool {
	if r.ids[e.ID] {
		return false
	}
	r.ids[e.ID] = true
	s.events = append(s.events, e)
	s.last = e.Time
	r.revision = max(r.revision, e.Revision)
	return true
}

// Append adds what was seen up to a revision. Events that the ring has already,
// by their IDs, are left out. It never fails: see Problem.
func (r *Ring) Append(events []cluster.Event, rev cluster.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines bytes.Buffer
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil || r.ids[e.ID] {
			continue // strings and times always encode
		}
		if s := r.last(); s == nil || s.size+len(line) >= r.cfg.Size/r.cfg.Segments {
			r.write(&lines)
			r.begin()
		}
		s := r.last()
		if r.hold(s, e) {
			s.size += len(line) + 1
			r.next++
			lines.Write(append(line, '\n'))
		}
	}
	grown := lines.Len() > 0
	r.write(&lines)
	r.trim()
	r.revision = max(r.revision, rev)
	if grown {
		r.wake()
	}
}

func (r *Ring) last() *segment {
	if len(r.segments) == 0 {
		return nil
	}
	return r.segments[len(r.segments)-1]
}

// begin begins a segment.
func (r *Ring) begin() {
	number := 1
	if s := r.last(); s != nil {
		number = s.number + 1
	}
	r.shut()
	r.torn = false
	r.segments = append(r.segments, &segment{number: number, first: r.next, last: r.deps.Now()})
}

// write appends lines to the file of the last segment.
func (r *Ring) write(lines *bytes.Buffer) {
	defer lines.Reset()
	if r.cfg.Dir == "" || lines.Len() == 0 {
		return
	}
	if err := r.writeFile(lines.Bytes()); err != nil {
		r.torn = true
		r.shut()
		r.fail(err)
		return
	}
	if r.problem != "" {
		r.deps.Log.Info("events are kept on disk again")
		r.problem = ""
	}
}

func (r *Ring) writeFile(lines []byte) (err error) {
	if r.file == nil {
		if r.file, err = r.deps.Append(r.path(r.last())); err != nil {
			r.file = nil
			return err
		}
	}
	if r.torn {
		lines = append([]byte{'\n'}, lines...) // the line before may lack its end
	}
	if _, err = r.file.Write(lines); err == nil {
		r.torn = false
	}
	return err
}

// shut closes the file.
func (r *Ring) shut() {
	if r.file != nil {
		_ = r.file.Close() // nothing was promised of what it holds
		r.file = nil
	}
}

// fail notes why events are not kept on disk, and says it once.
func (r *Ring) fail(err error) {
	if problem := "events are not kept on disk: " + err.Error(); problem != r.problem {
		r.problem = problem
		r.deps.Log.Warn("events are not kept on disk", "err", err)
	}
}

// trim drops the oldest segments until the ring is within its bounds. The last
// one stays: it is being written.
func (r *Ring) trim() {
	size := 0
	for _, s := range r.segments {
		size += s.size
	}
	for len(r.segments) > 1 {
		s := r.segments[0]
		if size <= r.cfg.Size && r.deps.Now().Sub(s.last) < r.cfg.Age {
			return
		}
		size -= s.size
		for _, e := range s.events {
			delete(r.ids, e.ID)
		}
		r.segments = r.segments[1:]
		if r.cfg.Dir == "" {
			continue
		}
		if err := os.Remove(r.path(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.fail(err)
		}
	}
}

func (r *Ring) wake() {
	close(r.more)
	r.more = make(chan struct{})
}

// Batch is what a reader gets at once.
type Batch struct {
	Events []cluster.Event // not to be changed; those too old to be kept are left out
	// Next is where to go on. There is more at once if there are events, and
	// otherwise when More is closed.
	Next int64
	More <-chan struct{}
	// Revision is up to where the server has seen the cluster.
	Revision cluster.Revision
	// Closed says that there will be no more.
	Closed bool
}

// Read returns events from a position on; 0 is the oldest that is kept.
func (r *Ring) Read(from int64) Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := Batch{Next: max(from, 0), More: r.more, Revision: r.revision, Closed: r.closed}
	oldest := r.deps.Now().Add(-r.cfg.Age)
	for _, s := range r.segments {
		if s.first+int64(len(s.events)) <= b.Next {
			continue
		}
		events := s.events[max(b.Next-s.first, 0):]
		b.Next = s.first + int64(len(s.events))
		for len(events) > 0 && events[0].Time.Before(oldest) {
			events = events[1:]
		}
		if len(events) > 0 {
			b.Events = events[:len(events):len(events)]
			break
		}
	}
	return b
}

// Problem says why events are not kept on disk; "" if they are.
func (r *Ring) Problem() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problem
}

// Close ends the ring: its readers are told that there will be no more.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.shut()
	r.wake()
}
