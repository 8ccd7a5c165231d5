package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

func status(node cluster.NodeID, unit cluster.UnitName, active string) cluster.Status {
	return cluster.Status{Node: node, Unit: unit, Active: active}
}

// seen prints the statuses in the store.
func (f *fleet) seen() []string {
	f.t.Helper()
	var out []string
	for _, s := range f.state().Statuses {
		out = append(out, fmt.Sprintf("%s %s %s", s.Node, s.Unit, s.Active))
	}
	return out
}

// moor runs a test with three servers, two nodes and the units a, b and c.
func moor(t *testing.T, play func(f *fleet, update func(server int, u wire.StatusUpdate) error)) {
	t.Helper()
	harbor(t, 3, 2, func(f *fleet) {
		for _, name := range []cluster.UnitName{"a.service", "b.service", "c.service"} {
			f.submit(name, "")
		}
		f.pass(10 * time.Millisecond)
		play(f, func(server int, u wire.StatusUpdate) error {
			return f.servers[server].statuses.Update(f.t.Context(), "n00", u)
		})
	})
}

func TestStatusesAreWrittenReplacedAndRemoved(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		for _, step := range []struct {
			name   string
			update wire.StatusUpdate
			want   []string
		}{{
			name:   "what is put is there",
			update: wire.StatusUpdate{Put: []cluster.Status{status("n00", "a.service", "active"), status("n00", "b.service", "failed")}},
			want:   []string{"n00 a.service active", "n00 b.service failed"},
		}, {
			name:   "what is put again is replaced, at once",
			update: wire.StatusUpdate{Put: []cluster.Status{status("n00", "b.service", "active")}},
			want:   []string{"n00 a.service active", "n00 b.service active"},
		}, {
			name:   "what is gone is gone",
			update: wire.StatusUpdate{Gone: []cluster.UnitName{"a.service", "never.service"}},
			want:   []string{"n00 b.service active"},
		}, {
			name:   "a full update leaves nothing else",
			update: wire.StatusUpdate{Full: true, Put: []cluster.Status{status("n00", "c.service", "active")}},
			want:   []string{"n00 c.service active"},
		}, {
			name:   "of two words on one unit the last counts",
			update: wire.StatusUpdate{Put: []cluster.Status{status("n00", "c.service", "failed"), status("n00", "c.service", "inactive")}},
			want:   []string{"n00 c.service inactive"},
		}, {
			name:   "a unit that is gone and back is there",
			update: wire.StatusUpdate{Gone: []cluster.UnitName{"c.service"}, Put: []cluster.Status{status("n00", "c.service", "active")}},
			want:   []string{"n00 c.service active"},
		}} {
			if err := update(0, step.update); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if diff := cmp.Diff(step.want, f.seen()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
		}
	})
}

// fleet dropped what every machine said of a global unit when one of them stopped it.
func TestAGlobalUnitStoppingOnOneNodeKeepsTheOtherNodesStatuses(t *testing.T) {
	moor(t, func(f *fleet, _ func(int, wire.StatusUpdate) error) {
		f.submit("every.service", "[X-Fleet]\nGlobal=true\n")
		f.pass(100 * time.Millisecond)
		say := func(node cluster.NodeID, u wire.StatusUpdate) {
			t.Helper()
			for i := range u.Put {
				u.Put[i].Node = node
			}
			if err := f.servers[0].statuses.Update(f.t.Context(), node, u); err != nil {
				t.Fatal(err)
			}
		}
		active := wire.StatusUpdate{Put: []cluster.Status{status("", "every.service", "active")}}
		for _, step := range []struct {
			name   string
			update wire.StatusUpdate // of n00
			want   []string
		}{
			{"both run it", active, []string{"n00 every.service active", "n01 every.service active"}},
			{"it fails on one", wire.StatusUpdate{Put: []cluster.Status{status("", "every.service", "failed")}}, []string{"n00 every.service failed", "n01 every.service active"}},
			{"one lets it go", wire.StatusUpdate{Gone: []cluster.UnitName{"every.service"}}, []string{"n01 every.service active"}},
			{"one says that it has nothing", wire.StatusUpdate{Full: true}, []string{"n01 every.service active"}},
		} {
			say("n01", active)
			say("n00", step.update)
			if diff := cmp.Diff(step.want, f.seen()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
		}
	})
}

func TestWhatIsSaidTwiceIsWrittenOnce(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		put := []cluster.Status{status("n00", "a.service", "active")}
		if err := update(0, wire.StatusUpdate{Put: put}); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Second)
		before := f.state().Statuses[0].Revision
		for _, full := range []bool{false, true} {
			if err := update(1, wire.StatusUpdate{Full: full, Put: put}); err != nil {
				t.Fatal(err)
			}
		}
		if after := f.state().Statuses[0].Revision; after != before {
			t.Errorf("written again at %d", after)
		}
	})
}

func TestANodeWritesOnlyItsOwnStatuses(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		err := update(0, wire.StatusUpdate{Put: []cluster.Status{status("n01", "a.service", "active")}})
		if cluster.KindOf(err) != cluster.Denied {
			t.Errorf("not denied: %v", err)
		}
		if len(f.seen()) != 0 {
			t.Errorf("written: %v", f.seen())
		}
	})
}

func TestANodeAnnouncesOnlyWhatAUnitsFileCouldPublish(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		s := status("n00", "a.service", "active")
		s.Offers = []cluster.Offer{{Service: "\x1b[31mdb", Port: 5432, Protocol: "tcp", Healthy: true}}
		if err := update(0, wire.StatusUpdate{Put: []cluster.Status{s}}); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("%v", err)
		}
		if n := len(f.state().Statuses); n != 0 {
			t.Errorf("%d statuses were written", n)
		}
	})
}

func TestARemovedNodeWritesNothing(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		f.commit(store.Delete(store.NodeKey("n00")))
		f.pass(100 * time.Millisecond)
		err := update(0, wire.StatusUpdate{Put: []cluster.Status{status("n00", "a.service", "active")}})
		if cluster.KindOf(err) != cluster.NotFound {
			t.Errorf("not refused: %v", err)
		}
	})
}

// While a destroyed unit is being stopped its status changes; once it is gone
// a late status must not bring the record back.
func TestADestroyedUnitIsNotBroughtBack(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		say := func(active string) {
			t.Helper()
			if err := update(0, wire.StatusUpdate{Put: []cluster.Status{status("n00", "a.service", active)}}); err != nil {
				t.Fatal(err)
			}
		}
		say("active")
		f.commit(store.Delete(store.UnitKey("a.service")))
		f.pass(100 * time.Millisecond)
		say("deactivating")
		if diff := cmp.Diff([]string{"n00 a.service deactivating"}, f.seen()); diff != "" {
			t.Errorf("while it stops (-want +got):\n%s", diff)
		}
		if err := update(0, wire.StatusUpdate{Gone: []cluster.UnitName{"a.service"}}); err != nil {
			t.Fatal(err)
		}
		say("inactive")
		if diff := cmp.Diff([]string(nil), f.seen()); diff != "" {
			t.Errorf("after it is gone (-want +got):\n%s", diff)
		}
		if err := update(0, wire.StatusUpdate{Full: true, Put: []cluster.Status{status("n00", "a.service", "inactive")}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string(nil), f.seen()); diff != "" {
			t.Errorf("after a full update (-want +got):\n%s", diff)
		}
	})
}

// A node has changed servers; what it told the first one is still under way
// and must not overwrite what it told the second.
func TestAnOlderStatusThroughAnotherServerIsRefused(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		release := f.servers[0].hold(store.PrefixStatuses)
		late := make(chan error, 1)
		go func() {
			late <- update(0, wire.StatusUpdate{Put: []cluster.Status{status("n00", "a.service", "activating")}})
		}()
		f.pass(time.Second)
		if err := update(1, wire.StatusUpdate{Full: true, Put: []cluster.Status{status("n00", "a.service", "active")}}); err != nil {
			t.Fatal(err)
		}
		release()
		if err := <-late; cluster.KindOf(err) != cluster.Conflict {
			t.Errorf("not refused: %v", err)
		}
		if diff := cmp.Diff([]string{"n00 a.service active"}, f.seen()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// The refused node must not spoil what others sent in the same transaction.
func TestARefusedUpdateDoesNotSpoilOthers(t *testing.T) {
	moor(t, func(f *fleet, update func(int, wire.StatusUpdate) error) {
		if err := update(0, wire.StatusUpdate{}); err != nil { // the next ones are gathered
			t.Fatal(err)
		}
		release := f.servers[0].hold(store.PrefixStatuses)
		late, other := make(chan error, 1), make(chan error, 1)
		go func() {
			late <- update(0, wire.StatusUpdate{Put: []cluster.Status{status("n00", "a.service", "activating")}})
		}()
		go func() {
			other <- f.servers[0].statuses.Update(f.t.Context(), "n01", wire.StatusUpdate{Put: []cluster.Status{status("n01", "b.service", "active")}})
		}()
		f.pass(time.Second)
		if err := update(1, wire.StatusUpdate{Put: []cluster.Status{status("n00", "a.service", "active")}}); err != nil {
			t.Fatal(err)
		}
		release()
		if err := <-late; cluster.KindOf(err) != cluster.Conflict {
			t.Errorf("the late one: %v", err)
		}
		if err := <-other; err != nil {
			t.Errorf("the other: %v", err)
		}
		if diff := cmp.Diff([]string{"n00 a.service active", "n01 b.service active"}, f.seen()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

func TestAThousandStatusesTakeFewTransactions(t *testing.T) {
	harbor(t, 1, 1, func(f *fleet) {
		var u wire.StatusUpdate
		for i := range 1000 {
			name := cluster.UnitName(fmt.Sprintf("web@%d.service", i))
			f.submit(name, "")
			u.Put = append(u.Put, status("n00", name, "active"))
		}
		f.pass(time.Second)
		before := f.store.Revision()
		if err := f.servers[0].statuses.Update(f.t.Context(), "n00", u); err != nil {
			t.Fatal(err)
		}
		if writes := f.store.Revision() - before; writes > 9 {
			t.Errorf("%d transactions", writes)
		}
		if got := len(f.state().Statuses); got != 1000 {
			t.Errorf("%d statuses", got)
		}
	})
}
