// Package permit is the process "argosy permit": it holds a node's permit to
// run exclusive units, and lets systemd end those units when the permit runs
// out, even when everything else of Argosy hangs.
//
// # How it stops units
//
// The process runs as a service with WatchdogSec=W and WatchdogSignal=SIGKILL;
// exclusive units are BindsTo= and After= it. After each renewal of the node's
// session that committed, the agent tells the process when it had sent that
// renewal, and for how long it is valid (Extend). While the deadline has not
// passed the process feeds the watchdog. When it has passed, the process exits
// with an error, and systemd stops what is bound to it. When the process hangs,
// nothing feeds the watchdog, and systemd kills it, with the same effect. So the
// last exclusive unit is gone at the latest Valid + W + S after the renewal was
// sent, S being the unit's TimeoutStopSec=; cluster.Timings.Check compares that
// with the leader's patience.
//
// The watchdog is fed in one place, inside the branch that has just found the
// deadline not passed, never from a ticker of its own: a model checker found
// that a process that is resumed only long enough to feed, but not to check,
// breaks the promise otherwise. What remains are two pauses of the one process,
// the first between the check and the feed (some instructions on locked
// memory), the second before the check that follows the feed.
//
// # Which clock
//
// Go's time is CLOCK_MONOTONIC, which stands still during suspend and is slewed.
// Age counts by the fastest of three clocks instead. A wrong clock can so end a
// permit too early, never too late.
//
// # Without a permit
//
// Right after its start the process holds no permit: no exclusive unit runs, so
// there is nothing to protect. It then feeds the watchdog and does nothing else,
// on a node that never gets an exclusive unit for as long as it is up. It must
// not exit, or systemd would start it again for ever; and it must not be
// inactive either, because the agent needs it to hand over the first permit.
//
// It follows that "the service is active" does not say "the node has a permit".
// That is said by a file, the marker: made when the first permit is granted,
// before Extend returns; removed when the permit ends, and before a new process
// reports itself ready. An exclusive unit therefore carries, beside BindsTo=
// and After=, AssertPathExists= with the marker's path, so that nothing
// (Restart=, a timer, a socket) starts it again under a process that was
// restarted and has no permit.
//
// A permit that has ended does not come back: the process is on its way out.
// Its successor takes the next one.
//
// # The service
//
//	[Unit]
//	StartLimitIntervalSec=0
//	[Service]
//	Type=notify
//	ExecStart=/usr/bin/argosy permit
//	WatchdogSec=5s
//	WatchdogSignal=SIGKILL
//	Restart=always
//	OOMScoreAdjust=-1000
//	CPUSchedulingPolicy=rr
//	LimitMEMLOCK=infinity
//
// The package uses nothing of etcd, of the network, or of the store, so that no
// fault of theirs can stop it or keep it busy; internal/arch holds it to that.
package permit
