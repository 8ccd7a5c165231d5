// Package sim runs a whole cluster in one process and in simulated time: the
// real engine, agent, API and TLS of many nodes over a store, a network and a
// systemd in memory, inside a testing/synctest bubble.
//
// Scripts (test/scripts/*.txtar) and the random test say what happens to the
// cluster in the verbs of script.go. The verbs know only the interface World,
// so that they can be carried out on lab nodes as well.
//
// # What the simulation stands for
//
// A power cut stops the node's daemon, and everything that its systemd runs,
// between two instructions; its disk stays. A cut line holds messages back, as
// TCP does, and delivers them late. A pause is such a cut of all the node's
// lines, and of its server's way to the store: its own processes and clocks go
// on, so a pause never shows what happens to a process that was itself frozen.
// A server reaches the store while it can talk, both ways, with a majority of
// the servers. The order in which goroutines run is not decided by the seed:
// it repeats the verbs, not each interleaving.
package sim

import (
	"context"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// World is a cluster that things can be done to. Nodes have names ("node-1").
type World interface {
	// Nodes returns the names in order; servers come first.
	Nodes() []string
	// Leader returns the name of the leader's node, "" if there is none.
	Leader() string
	// API is what users and their tools call.
	API() API

	Power(node string, on bool) error
	// Cut stops what goes from one node to another; "*" means every other.
	Cut(from, to string) error
	// Heal undoes every cut, slow and lossy line.
	Heal() error
	Pause(node string, paused bool) error
	// Doom ends a server's node at one of its server's next commits, before or
	// after that is stored.
	Doom(node string, commits int64, after bool) error
	Slow(node string, by time.Duration) error
	Lose(node string, share float64) error
	// RestartDaemon restarts the node's daemon, and its server if it is one.
	RestartDaemon(node string) error

	// Touch makes an empty file on a node, or removes it: what a unit is asked for its
	// health by ("exec:/usr/bin/test ! -e PATH").
	Touch(node, path string, there bool) error
	// Processes returns the main process of each unit that runs on a node.
	Processes(node string) (map[cluster.UnitName]int, error)
	// Audit returns what is wrong, and forgets it. At rest, everything must
	// have come to its place.
	Audit(atRest bool) []string
	// Advance lets time pass.
	Advance(d time.Duration)
}

// API is the part of the client of the API that scripts use.
type API interface {
	Submit(ctx context.Context, req wire.SubmitRequest) (wire.SubmitAnswer, error)
	SetDesired(ctx context.Context, req wire.DesiredRequest) (wire.DesiredAnswer, error)
	Restart(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error)
	Destroy(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error)
	Scale(ctx context.Context, req wire.ScaleRequest) (wire.DesiredAnswer, error)
	PatchNode(ctx context.Context, id cluster.NodeID, patch wire.NodePatch) (wire.NodeView, error)
	Units(ctx context.Context) (wire.List[wire.UnitView], error)
	Nodes(ctx context.Context) (wire.List[wire.NodeView], error)
	Services(ctx context.Context) (wire.Services, error)
}
