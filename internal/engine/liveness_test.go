package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
)

// watcher drives a liveness through simulated seconds. Node a renews every
// two seconds as long as it is alive, and the mirror shows it at once unless
// the store is away.
type watcher struct {
	live  liveness
	start time.Time
	state *cluster.State
	fresh time.Time // when the mirror last advanced
	alive bool
	away  bool
	dead  []cluster.NodeID
}

func newWatcher() *watcher {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := &watcher{live: newLiveness(), start: start, fresh: start, alive: true}
	w.renew(0)
	w.live.observe(w.state, cluster.DefaultTimings(), start, 0)
	return w
}

func (w *watcher) renew(seq int64) {
	node := func(id cluster.NodeID, seq int64) cluster.NodeState {
		return cluster.NodeState{Node: cluster.Node{ID: id}, Session: cluster.Session{Node: id, Incarnation: "i", Seq: seq}}
	}
	a := seq
	if !w.alive {
		a = w.state.Nodes[0].Session.Seq
	}
	w.state = &cluster.State{Nodes: []cluster.NodeState{node("a", a), node("b", seq), {Node: cluster.Node{ID: "c"}}}}
}

// run lets seconds pass, from one to another, and returns what health a had
// when it changed, by second.
func (w *watcher) run(from, to int) map[int]cluster.Health {
	changes := map[int]cluster.Health{}
	was := w.live.health("a")
	for s := from; s <= to; s++ {
		now := w.start.Add(time.Duration(s) * time.Second)
		if !w.away {
			w.fresh = now
			w.renew(int64(s / 2)) // b renews as well
		}
		w.live.observe(w.state, cluster.DefaultTimings(), now, now.Sub(w.fresh))
		if h := w.live.health("a"); h != was {
			changes[s], was = h, h
		}
		if len(w.live.dying(now, w.start)) > 0 && len(w.dead) == 0 {
			w.dead = append(w.dead, "a")
			changes[s] = "dying"
		}
	}
	return changes
}

func TestLiveness(t *testing.T) {
	for _, test := range []struct {
		name string
		play func(w *watcher) map[int]cluster.Health
		want map[int]cluster.Health
	}{{
		name: "a node that renews is ready",
		play: func(w *watcher) map[int]cluster.Health { return w.run(1, 120) },
		want: map[int]cluster.Health{},
	}, {
		name: "a silent node is lost after T_lost, and its session is to be declared dead after T_dead",
		play: func(w *watcher) map[int]cluster.Health {
			w.run(1, 10) // the last renewal is seen at 10
			w.alive = false
			return w.run(11, 60)
		},
		want: map[int]cluster.Health{18: cluster.Lost, 35: "dying"},
	}, {
		name: "a lost node that is heard again is ready at once",
		play: func(w *watcher) map[int]cluster.Health {
			w.run(1, 10)
			w.alive = false
			w.run(11, 20)
			w.alive = true
			return w.run(21, 30)
		},
		want: map[int]cluster.Health{21: cluster.Ready},
	}, {
		name: "an outage of the store is no silence of the nodes",
		play: func(w *watcher) map[int]cluster.Health {
			w.run(1, 10)
			w.away = true
			changes := w.run(11, 70)
			w.away = false
			for s, h := range w.run(71, 140) {
				changes[s] = h
			}
			return changes
		},
		want: map[int]cluster.Health{},
	}, {
		name: "who is not heard after an outage is given T_lost from its end",
		play: func(w *watcher) map[int]cluster.Health {
			w.run(1, 10)
			w.away, w.alive = true, false
			w.run(11, 70)
			w.away = false
			return w.run(71, 90)
		},
		want: map[int]cluster.Health{79: cluster.Lost},
	}, {
		name: "a short gap delays the judgement by no more than its own length",
		play: func(w *watcher) map[int]cluster.Health {
			w.run(1, 10)
			w.away, w.alive = true, false
			w.run(11, 13)
			w.away = false
			return w.run(14, 30) // the gap lasted 4 s and ended at 14
		},
		want: map[int]cluster.Health{18: cluster.Lost},
	}, {
		name: "the judgement stands still while the mirror does",
		play: func(w *watcher) map[int]cluster.Health {
			w.run(1, 10)
			w.alive = false
			w.run(11, 14)
			w.away = true
			return w.run(15, 80)
		},
		want: map[int]cluster.Health{},
	}} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.play(newWatcher())); diff != "" {
				t.Errorf("health of a, by second (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHealthOfNodesThatNeverSpoke(t *testing.T) {
	w := newWatcher()
	if h := w.live.health("c"); h != "" {
		t.Errorf("a node without a session is %q at first", h)
	}
	w.run(1, 10)
	if h := w.live.health("c"); h != cluster.Lost {
		t.Errorf("a node without a session is %q after T_lost", h)
	}
	if h := w.live.health("unknown"); h != "" {
		t.Errorf("an unknown node is %q", h)
	}
}

func TestADeclaredDeathIsBelieved(t *testing.T) {
	w := newWatcher()
	w.state.Nodes[0].Session.Dead = true
	w.live.observe(w.state, cluster.DefaultTimings(), w.start.Add(time.Second), 0)
	if h := w.live.health("a"); h != cluster.Dead {
		t.Errorf("a is %q", h)
	}
}

// A new leader must not act on what it saw before it led.
func TestANewLeaderCountsTheTimeToDeathAfresh(t *testing.T) {
	w := newWatcher()
	w.alive = false
	w.run(1, 24)
	at := func(s int) time.Time { return w.start.Add(time.Duration(s) * time.Second) }
	w.run(25, 40)
	if got := w.live.dying(at(40), at(20)); len(got) != 0 {
		t.Errorf("dying 20 s after the election: %v", got)
	}
	w.run(41, 45)
	if got := w.live.dying(at(45), at(20)); len(got) != 1 || got[0].Node != "a" {
		t.Errorf("dying 25 s after the election: %v", got)
	}
}
