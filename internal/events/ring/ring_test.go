package ring_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/events/ring"
)

// clock is the time of a test.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

// event is the nth, seen now.
func (c *clock) event(n int) cluster.Event {
	return cluster.Event{
		ID: fmt.Sprintf("%d.unit-active.web.service", n), Time: c.now, Revision: cluster.Revision(n),
		Kind: cluster.EventUnitActive, Unit: "web.service", Text: fmt.Sprint(n),
	}
}

func (c *clock) fill(r *ring.Ring, from, to int) {
	for n := from; n <= to; n++ {
		r.Append([]cluster.Event{c.event(n)}, cluster.Revision(n))
	}
}

func open(cfg ring.Config, deps ring.Deps, c *clock) *ring.Ring {
	deps.Log, deps.Now = slog.New(slog.DiscardHandler), c.Now
	r := ring.New(cfg, deps)
	r.Load()
	return r
}

// texts reads a ring to its end.
func texts(r *ring.Ring) []string {
	list := []string{}
	for position := int64(0); ; {
		b := r.Read(position)
		if len(b.Events) == 0 {
			return list
		}
		for _, e := range b.Events {
			list = append(list, e.Text)
		}
		position = b.Next
	}
}

func numbers(from, to int) []string {
	list := []string{}
	for n := from; n <= to; n++ {
		list = append(list, fmt.Sprint(n))
	}
	return list
}

// segments are the files of a ring, the oldest first.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func TestEventsSurviveARestartAndGoOn(t *testing.T) {
	c, cfg := newClock(), ring.Config{Dir: filepath.Join(t.TempDir(), "events")}
	r := open(cfg, ring.Deps{}, c)
	c.fill(r, 1, 3)
	r.Close()
	r = open(cfg, ring.Deps{}, c)
	c.fill(r, 4, 5)
	if diff := cmp.Diff(numbers(1, 5), texts(r)); diff != "" {
		t.Error(diff)
	}
	if n := len(segments(t, cfg.Dir)); n != 1 {
		t.Errorf("%d segments for five events: a restart begins none", n)
	}
	if b := r.Read(0); b.Revision != 5 || r.Problem() != "" {
		t.Errorf("revision %d, problem %q", b.Revision, r.Problem())
	}
}

func TestAnEventThatIsKnownIsNotToldAgain(t *testing.T) {
	c, cfg := newClock(), ring.Config{Dir: t.TempDir()}
	r := open(cfg, ring.Deps{}, c)
	c.fill(r, 1, 2)
	c.fill(r, 1, 3)
	r.Close()
	r = open(cfg, ring.Deps{}, c)
	c.fill(r, 2, 4)
	if diff := cmp.Diff(numbers(1, 4), texts(r)); diff != "" {
		t.Error(diff)
	}
}

// Power may go in the middle of a line, and disks rot.
func TestDamagedLinesCostThemselvesOnly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(text string) string
		want   []string
	}{
		{"a torn last line", func(text string) string { return text[:len(text)-20] }, []string{"1", "2", "4"}},
		{"a line of rubbish", func(text string) string { return "\x00\xff{\n" + text }, []string{"1", "2", "3", "4"}},
		{"JSON that is no event", func(text string) string { return "{}\n7\n[]\n" + text }, []string{"1", "2", "3", "4"}},
		{"empty lines", func(text string) string { return "\n\n" + text + "\n" }, []string{"1", "2", "3", "4"}},
		{"an empty file", func(string) string { return "" }, []string{"4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, cfg := newClock(), ring.Config{Dir: t.TempDir()}
			r := open(cfg, ring.Deps{}, c)
			c.fill(r, 1, 3)
			r.Close()
			path := segments(t, cfg.Dir)[0]
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.damage(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			r = open(cfg, ring.Deps{}, c)
			c.fill(r, 4, 4)
			r.Close()
			again := open(cfg, ring.Deps{}, c) // what is written after the damage is read back too
			for _, r := range []*ring.Ring{r, again} {
				if diff := cmp.Diff(tt.want, texts(r)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestARingIsBoundedBySize(t *testing.T) {
	c, cfg := newClock(), ring.Config{Dir: t.TempDir(), Size: 8 << 10, Segments: 4}
	r := open(cfg, ring.Deps{}, c)
	c.fill(r, 1, 500)
	size := 0
	for _, path := range segments(t, cfg.Dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += int(info.Size())
	}
	if size > cfg.Size || size < cfg.Size/2 {
		t.Errorf("%d bytes on disk; the bound is %d", size, cfg.Size)
	}
	got := texts(r)
	if last := numbers(501-len(got), 500); !cmp.Equal(last, got) || len(got) < 20 || len(got) > 100 {
		t.Errorf("%d events are kept, %s to %s", len(got), got[0], got[len(got)-1])
	}
	r.Close()
	if again := texts(open(cfg, ring.Deps{}, c)); !cmp.Equal(got, again) {
		t.Errorf("after a restart: %d of %d", len(again), len(got))
	}
}

func TestARingIsBoundedByAge(t *testing.T) {
	c, cfg := newClock(), ring.Config{Dir: t.TempDir(), Size: 8 << 10, Segments: 16}
	r := open(cfg, ring.Deps{}, c)
	c.fill(r, 1, 10)
	c.now = c.now.Add(23 * time.Hour)
	c.fill(r, 11, 20)
	if diff := cmp.Diff(numbers(1, 20), texts(r)); diff != "" {
		t.Error(diff)
	}
	c.now = c.now.Add(2 * time.Hour)
	if diff := cmp.Diff(numbers(11, 20), texts(r)); diff != "" {
		t.Errorf("a day later, what is too old is not read any more:\n%s", diff)
	}
	before := len(segments(t, cfg.Dir))
	c.fill(r, 21, 21)
	if after := len(segments(t, cfg.Dir)); after >= before {
		t.Errorf("%d segments on disk before, %d after", before, after)
	}
	if diff := cmp.Diff(numbers(11, 21), texts(r)); diff != "" {
		t.Error(diff)
	}
}

// disk writes to files as long as there is room.
type disk struct{ room int }

var errFull = errors.New("no space left on device")

func (d *disk) open(path string) (io.WriteCloser, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &limited{f, d}, nil
}

type limited struct {
	*os.File
	disk *disk
}

func (l *limited) Write(text []byte) (int, error) {
	n := min(len(text), l.disk.room)
	l.disk.room -= n
	if _, err := l.File.Write(text[:n]); err != nil {
		return 0, err
	}
	if n < len(text) {
		return n, errFull
	}
	return n, nil
}

func TestAFullDiskLosesWhatARestartLosesAndNothingElse(t *testing.T) {
	c, cfg, d := newClock(), ring.Config{Dir: t.TempDir()}, &disk{room: 1000}
	r := open(cfg, ring.Deps{Append: d.open}, c)
	c.fill(r, 1, 20)
	if problem := r.Problem(); !strings.Contains(problem, "not kept on disk") || !strings.Contains(problem, "no space left") {
		t.Errorf("problem %q", problem)
	}
	if diff := cmp.Diff(numbers(1, 20), texts(r)); diff != "" {
		t.Errorf("readers get all the same:\n%s", diff)
	}
	d.room = 1 << 20
	c.fill(r, 21, 22)
	if r.Problem() != "" {
		t.Errorf("there is room again, and it says %q", r.Problem())
	}
	r.Close()
	got := texts(open(cfg, ring.Deps{}, c))
	if len(got) < 5 || len(got) > 12 || !cmp.Equal(got[len(got)-2:], numbers(21, 22)) {
		t.Errorf("after a restart: %v", got)
	}
}

func TestAFolderThatCannotBeMadeIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	r := open(ring.Config{Dir: filepath.Join(file, "events")}, ring.Deps{}, c)
	c.fill(r, 1, 2)
	if r.Problem() == "" || len(texts(r)) != 2 {
		t.Errorf("problem %q, events %v", r.Problem(), texts(r))
	}
}

func TestAReaderIsWokenByWhatComes(t *testing.T) {
	c := newClock()
	r := open(ring.Config{}, ring.Deps{}, c)
	c.fill(r, 1, 1)
	b := r.Read(r.Read(0).Next)
	r.Append(nil, 9)
	select {
	case <-b.More:
		t.Error("nothing came")
	default:
	}
	c.fill(r, 10, 10)
	<-b.More
	if b = r.Read(b.Next); len(b.Events) != 1 || b.Events[0].Text != "10" || b.Closed {
		t.Errorf("%+v", b)
	}
	b = r.Read(b.Next)
	r.Close()
	<-b.More
	if b = r.Read(b.Next); !b.Closed {
		t.Errorf("%+v", b)
	}
}
