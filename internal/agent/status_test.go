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
					all.Go(func() { p.addLog("web.service", since, []string{strconv.Itoa(i)}) })
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
