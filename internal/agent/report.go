package agent

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// reporter tells the cluster what the node is, once and whenever it changes.
type reporter struct {
	a    *Agent
	loop *loop.Loop

	mu       sync.Mutex
	problems []string
	labels   map[string]string
	begun    bool // a session was opened, so the node is known
	due      bool
}

func newReporter(a *Agent) *reporter {
	r := &reporter{a: a, labels: a.cfg.Labels}
	r.loop = loop.New("report", a.log, r.step)
	return r
}

// set replaces the node's problems.
func (r *reporter) set(problems []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.problems, problems) {
		return
	}
	r.problems = slices.Clone(problems)
	r.due = r.due || r.begun
	r.loop.Wake()
}

// setLabels replaces the node's labels.
func (r *reporter) setLabels(labels map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if maps.Equal(r.labels, labels) {
		return
	}
	r.labels = maps.Clone(labels)
	r.due = r.due || r.begun
	r.loop.Wake()
}

// resend has the report sent once more, and the first time.
func (r *reporter) resend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun, r.due = true, true
	r.loop.Wake()
}

// step sends what is due. The first report waits for a session: before it the
// node may not be known.
func (r *reporter) step(ctx context.Context) (time.Duration, error) {
	r.mu.Lock()
	due := r.due
	r.due = false
	report := r.compose()
	r.mu.Unlock()
	if !due {
		return loop.Never, nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := r.a.deps.Uplink.Report(call, report)
	if err != nil {
		r.mu.Lock()
		r.due = true
		r.mu.Unlock()
	}
	return loop.Never, err
}

func (r *reporter) compose() cluster.Report {
	cfg := r.a.cfg
	report := cluster.Report{
		Node: cfg.Node, Address: cfg.Address, Labels: r.labels, Version: cfg.Version,
		Arch: runtime.GOARCH, CPUs: cfg.CPUs, Memory: cfg.Memory, Problems: r.problems,
	}
	if report.CPUs == 0 {
		report.CPUs = runtime.NumCPU()
	}
	var info unix.Sysinfo_t
	if report.Memory == 0 && unix.Sysinfo(&info) == nil {
		report.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	return report
}
