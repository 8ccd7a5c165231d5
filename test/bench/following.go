package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/sim"
)

const followingText = `A hundred nodes that each follow all services, in one process as for "A thousand nodes": one server, its API over
mutual TLS, a real etcd on a real disk. 10,000 units on them publish 1,000 services, and 100 times a second a parameter of
one of them changes. The lag is from when the change is asked for until a follower has read it; CPU is that of the whole
process, etcd, the server, all nodes and all followers together.`

const (
	followers     = 100
	followedUnits = 10_000
	followedEach  = 10 // endpoints of a service
	followedRate  = 100
	followedFor   = 20 * time.Second
)

// teller is what a follower of services asks.
type teller interface {
	FollowServices(ctx context.Context, q client.ServicesQuery, each func(wire.Services) error) error
	PatchParameters(ctx context.Context, name cluster.UnitName, patch wire.ParametersPatch) (wire.DesiredAnswer, error)
}

func measureFollowing(ctx context.Context, _ options, t *table) error {
	return world(ctx, followers, func(s *sim.Sim) error {
		api, ok := s.API().(teller)
		if !ok {
			return fmt.Errorf("%T does not tell of services", s.API())
		}
		if err := publishAll(ctx, s); err != nil {
			return err
		}
		f := &following{api: api, asked: make([]atomic.Int64, followedRate*int(followedFor.Seconds())+1)}
		return f.measure(ctx, t)
	})
}

// publishAll has all units run.
func publishAll(ctx context.Context, s *sim.Sim) error {
	const batch = 500
	for first := 0; first < followedUnits; first += batch {
		var req wire.SubmitRequest
		for i := first; i < first+batch; i++ {
			text := fmt.Sprintf("%s[X-Argosy]\nPublish=s%d %d\n", unitText, i/followedEach, 1024+i)
			req.Units = append(req.Units, wire.SubmitUnit{Name: followedUnit(i), Text: text, Desired: cluster.Launched})
		}
		if _, err := s.API().Submit(ctx, req); err != nil {
			return err
		}
	}
	return until(ctx, func() (bool, error) {
		all, err := s.API().Services(ctx)
		healthy := 0
		for _, service := range all.Services {
			for _, e := range service.Endpoints {
				if e.Healthy {
					healthy++
				}
			}
		}
		return healthy == followedUnits, err
	})
}

func followedUnit(i int) cluster.UnitName { return cluster.UnitName(fmt.Sprintf("unit-%d.service", i)) }

// following is one measurement.
type following struct {
	api   teller
	asked []atomic.Int64 // when change n was asked for
	ready atomic.Int64   // followers that have read the whole

	mu    sync.Mutex
	lags  []time.Duration
	whole int // bytes of the first message
	bytes int // of those after it
}

func (f *following) measure(ctx context.Context, t *table) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var readers errgroup.Group
	for i := range followers {
		readers.Go(func() error { return f.follow(ctx, i == 0) })
	}
	if err := until(ctx, func() (bool, error) { return f.ready.Load() == followers, nil }); err != nil {
		return err
	}
	before := processCPU()
	begin := time.Now()
	changes, err := f.change(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := until(ctx, func() (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.lags) >= changes*followers, nil
	}); err != nil {
		return err
	}
	used := processCPU() - before
	stop()
	_ = readers.Wait() // they were told to end
	t.row("all services, told whole", fmt.Sprintf("%.0f kB", float64(f.whole)/1000), fmt.Sprintf("%d services, %d endpoints", followedUnits/followedEach, followedUnits))
	t.row("changes", rate(changes, took), "each is a write of its own to the store")
	t.row("from the change until a follower knows", spread(f.lags, millis), fmt.Sprintf("%d times", len(f.lags)))
	t.row("read by each follower", fmt.Sprintf("%.1f kB for each change", float64(f.bytes)/float64(changes)/1000), "a service is told whole")
	t.row("CPU meanwhile", fmt.Sprintf("%.0f %%", used.Seconds()/took.Seconds()*100), "of one core")
	return nil
}

// change changes a parameter again and again, and returns how often it did.
func (f *following) change(ctx context.Context) (int, error) {
	pace := loop.Pace{Every: time.Second / followedRate}
	n := 0
	for end := time.Now().Add(followedFor); time.Now().Before(end) && n+1 < len(f.asked); {
		if err := pace.Wait(ctx); err != nil {
			return n, err
		}
		n++
		text := strconv.Itoa(n)
		f.asked[n].Store(time.Now().UnixNano())
		// Each to another service, so that none overtakes another.
		if _, err := f.api.PatchParameters(ctx, followedUnit(n*followedEach%followedUnits), wire.ParametersPatch{Parameters: map[string]*string{"n": &text}}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// follow reads all services, and what changes. One of those who do measures how much
// that is.
func (f *following) follow(ctx context.Context, weigh bool) error {
	return f.api.FollowServices(ctx, client.ServicesQuery{}, func(m wire.Services) error {
		now := time.Now().UnixNano()
		if m.Alive() {
			return nil
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		size := 0
		if weigh {
			line, err := json.Marshal(m) // as it was sent
			if err != nil {
				return err
			}
			size = len(line)
		}
		if m.Full {
			f.whole += size
			f.ready.Add(1)
			return nil
		}
		f.bytes += size
		for _, s := range m.Services {
			if n, err := strconv.Atoi(s.Endpoints[0].Parameters["n"]); err == nil {
				f.lags = append(f.lags, time.Duration(now-f.asked[n].Load()))
			}
		}
		return nil
	})
}
