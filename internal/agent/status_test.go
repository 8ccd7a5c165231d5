package agent

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"argosy/internal/cluster"
)

// The last lines of a failure may come just when the unit is started again, or
// is taken away.
func TestLateLinesBringNoFailureBack(t *testing.T) {
	since := time.Now()
	failed := cluster.Status{Unit: "web.service", Active: "failed", Since: since}
	for name, over := range map[string]func(p *publisher){
		"it runs": func(p *publisher) {
			p.set(cluster.Status{Unit: "web.service", Active: "active", Since: since.Add(time.Second)})
		},
		"it is gone": func(p *publisher) { p.gone("web.service") },
	} {
		t.Run(name, func(t *testing.T) {
			p := New(Config{}, Deps{}).statuses
			for range 5_000 {
				p.set(failed)
				var all sync.WaitGroup
				for i := range 16 { // so many that some are caught on their way
					all.Go(func() { p.addLog(failed, []string{strconv.Itoa(i)}) })
				}
				all.Go(func() { over(p) })
				all.Wait()
				if s := p.now["web.service"]; s.Active == "failed" {
					t.Fatalf("%+v", s)
				}
			}
		})
	}
}

func TestTheLinesOfOneStartAreNotThoseOfTheNext(t *testing.T) {
	p := New(Config{}, Deps{}).statuses
	first := cluster.Status{Unit: "web.service", Active: "inactive", Job: "assert", Since: time.Now(), UID: "u1", Epoch: 1}
	again, moved, changed, another := first, first, first, first
	again.Restarts, moved.Epoch, changed.Hash, another.UID = 1, 2, "h2", "u2"
	for _, next := range []cluster.Status{again, moved, changed, another} {
		p.set(first)
		p.addLog(first, []string{"first"})
		p.set(next)
		p.addLog(first, []string{"first"})
		if log := p.now["web.service"].Log; log != nil {
			t.Errorf("%+v has the lines of the start before: %q", next, log)
		}
		p.set(first)
	}
}
