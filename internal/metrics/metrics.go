// Package metrics counts what a server does, and puts it into the text form that
// Prometheus reads. It is the only door to Prometheus' library.
//
// What fleet counted has fleet's names, labels and units, so that what watches a
// cluster of fleet watches this one; the rest is named argosy_…. Counters are
// counted as things happen (Engine, Store); what is true of the cluster is handed
// in when somebody asks (Snapshot), so nothing here has to be kept current.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"argosy/internal/store"
)

// Registry holds the counters of one server. Make it with New; its methods may be
// called concurrently.
type Registry struct {
	counted *prometheus.Registry
	engine  Engine
	store   operations
}

// New makes a registry in which nothing was counted yet.
func New() *Registry {
	r := &Registry{counted: prometheus.NewRegistry(), engine: newEngine(), store: newOperations()}
	r.counted.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		r.engine.tasks, r.engine.taskFailures, r.engine.rounds, r.engine.roundTime, r.engine.roundFailures,
		r.store.done, r.store.failed, r.store.took,
	)
	return r
}

// Engine returns what counts the work of the engine.
func (r *Registry) Engine() *Engine { return &r.engine }

// Store returns a store that does what next does, and counts it.
func (r *Registry) Store(next store.Store) store.Store { return counting{next, r.store} }

// Serve answers a request with all that was counted, and with what is true now.
func (r *Registry) Serve(w http.ResponseWriter, req *http.Request, now Snapshot) {
	seen := prometheus.NewRegistry()
	seen.MustRegister(now)
	promhttp.HandlerFor(prometheus.Gatherers{r.counted, seen}, promhttp.HandlerOpts{}).ServeHTTP(w, req)
}

// Tasks of the engine, in fleet's words.
const (
	TaskSchedule   = "attemptscheduleunit" // a unit is placed, or placed elsewhere
	TaskUnschedule = "unscheduleunit"      // a unit loses its place
)

// Why a round of the engine came to nothing, in fleet's words.
const (
	FailureRun      = "run"      // the store did not take what was planned
	FailureSchedule = "schedule" // no plan was made, or the audit refused one
)

// Engine counts the work of a leader. A nil one counts nothing.
type Engine struct {
	tasks, taskFailures *prometheus.CounterVec
	rounds              prometheus.Counter
	roundTime           prometheus.Histogram
	roundFailures       *prometheus.CounterVec
}

// fleet is the first part of the names that fleet gave.
const fleet = "fleet"

func newEngine() Engine {
	of := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: fleet, Subsystem: "engine", Name: name, Help: help}
	}
	by := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(of(name, help)), []string{"type"})
	}
	e := Engine{
		tasks:        by("task_count_total", "Placements that this server, as the leader, decided on."),
		taskFailures: by("task_failure_count_total", "Those that were not written, because something had changed meanwhile or the store did not answer."),
		rounds:       prometheus.NewCounter(prometheus.CounterOpts(of("reconcile_count_total", "Rounds of leading that this server went through."))),
		roundTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: fleet, Subsystem: "engine", Name: "reconcile_duration_second",
			Help: "How long each round took, in seconds, its writes included.", Buckets: buckets(),
		}),
		roundFailures: by("reconcile_failure_count_total", "Rounds that came to nothing: run, the store did not take the plan; schedule, there was none."),
	}
	// What has not happened yet is 0, not absent: rates need a begin.
	for _, task := range []string{TaskSchedule, TaskUnschedule} {
		e.tasks.WithLabelValues(task)
		e.taskFailures.WithLabelValues(task)
	}
	for _, why := range []string{FailureRun, FailureSchedule} {
		e.roundFailures.WithLabelValues(why)
	}
	return e
}

// buckets are the upper ends of histograms, in seconds.
func buckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
}

// Tasks counts tasks of one kind that were decided on, and whether they were done.
func (e *Engine) Tasks(kind string, n int, done bool) {
	if e == nil || n == 0 {
		return
	}
	e.tasks.WithLabelValues(kind).Add(float64(n))
	if !done {
		e.taskFailures.WithLabelValues(kind).Add(float64(n))
	}
}

// Round counts a round that went well, and how long it took.
func (e *Engine) Round(took time.Duration) {
	if e != nil {
		e.rounds.Inc()
		e.roundTime.Observe(took.Seconds())
	}
}

// RoundFailed counts a round that came to nothing, or to less than was planned.
func (e *Engine) RoundFailed(why string) {
	if e != nil {
		e.roundFailures.WithLabelValues(why).Inc()
	}
}

// Operations on the store, in the words of fleet's registry; it had no watch and
// no compact.
const (
	opGetAll  = "get_all"
	opSet     = "set"
	opWatch   = "watch"
	opCompact = "compact"
)

// operations counts what is asked of the store.
type operations struct {
	done, failed *prometheus.CounterVec
	took         *prometheus.HistogramVec
}

func newOperations() operations {
	by := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: fleet, Subsystem: "registry", Name: name, Help: help}, []string{"type"})
	}
	o := operations{
		done:   by("operation_count_total", "Operations on the store that this server did."),
		failed: by("operation_failed_count_total", "Operations on the store that were not answered, or refused."),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: fleet, Subsystem: "registry", Name: "operation_duration_second",
			Help: "How long operations on the store took, in seconds.", Buckets: buckets(),
		}, []string{"ops"}),
	}
	for _, op := range []string{opGetAll, opSet, opWatch, opCompact} {
		o.done.WithLabelValues(op)
		o.failed.WithLabelValues(op)
	}
	return o
}

// note counts an operation that began at an instant. One that its caller gave up
// did not fail.
func (o operations) note(ctx context.Context, op string, began time.Time, err error) {
	switch {
	case err == nil:
		o.done.WithLabelValues(op).Inc()
		o.took.WithLabelValues(op).Observe(time.Since(began).Seconds())
	case !errors.Is(ctx.Err(), context.Canceled):
		o.failed.WithLabelValues(op).Inc()
	}
}
