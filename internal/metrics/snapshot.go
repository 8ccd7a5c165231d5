package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"argosy/internal/cluster"
)

// Snapshot is what a server sees of the cluster at the instant it is asked.
type Snapshot struct {
	// Leading is when this server became the leader; zero: it does not lead.
	Leading  time.Time
	Term     int64            // of the leadership that this server knows of
	Nodes    map[string]int   // by health
	Units    map[string]int   // by what was observed of them
	Records  map[string]int   // of the store, by kind
	Revision cluster.Revision // of the snapshot; 0: there is none yet
	Age      time.Duration    // since the last sign that it is current
	Size     int64            // of the store, in bytes; 0: not known
	Quorum   bool
	Names    *Names // nil: nothing is known of what answers names here
}

// Names is what the process that answers names on this node says of itself.
type Names struct {
	Age    float64          // of what it knows, in seconds; 0: it is fresh; -1: it knows nothing
	Counts map[string]int64 // by what was done
}

var _ prometheus.Collector = Snapshot{}

// Describe implements prometheus.Collector; what is collected says what it is.
func (Snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s Snapshot) Collect(out chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value)
	}
	by := func(name, help, label string, counts map[string]int) {
		desc := prometheus.NewDesc(name, help, []string{label}, nil)
		for value, n := range counts {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), value)
		}
	}
	start := 0.0
	if !s.Leading.IsZero() {
		start = float64(s.Leading.Unix())
	}
	gauge(fleet+"_engine_leader_start_time", "When this server became the leader, in seconds since 1970; 0 while it does not lead.", start)
	gauge("argosy_leader", "1 if this server is the leader.", flag(!s.Leading.IsZero()))
	gauge("argosy_quorum", "1 if this server's store has a quorum.", flag(s.Quorum))
	if s.Names != nil {
		gauge("argosy_names_age_seconds", "Age of the catalog that names on this node follow from; 0 while it is fresh, -1 if none was ever heard.", s.Names.Age)
		total := prometheus.NewDesc("argosy_names_total", "Questions for names on this node since its argosy-resolve.service was started: queries, and of these quick (on the short way), forwarded, cached (of others), refused, crowded (too much was going on); malformed messages.", []string{"what"}, nil)
		for what, n := range s.Names.Counts {
			out <- prometheus.MustNewConstMetric(total, prometheus.CounterValue, float64(n), what)
		}
	}
	if s.Size != 0 {
		gauge("argosy_store_size_bytes", "Size of this server's store on its disk.", float64(s.Size))
	}
	if s.Revision == 0 {
		return // nothing is known of the cluster yet
	}
	gauge("argosy_term", "Number of the leadership; grows with each change.", float64(s.Term))
	gauge("argosy_store_revision", "Revision of the store that this server has seen.", float64(s.Revision))
	gauge("argosy_store_age_seconds", "Time since the last sign that what this server has seen is current.", s.Age.Seconds())
	by("argosy_nodes", "Nodes by health, as this server times it.", "health", s.Nodes)
	by("argosy_store_records", "Records of the store that this server has seen.", "kind", s.Records)
	by("argosy_units", "Units by what their nodes' systemds were last seen to show.", "state", s.Units)
}

func flag(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
