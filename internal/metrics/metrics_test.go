package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

// scrape returns the page.
func scrape(t *testing.T, r *Registry, now Snapshot) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Serve(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil), now)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return w.Body.String()
}

// everything is a snapshot in which nothing is left out.
func everything() Snapshot {
	return Snapshot{
		Leading: time.Unix(1000, 0), Term: 3, Revision: 42, Age: 500 * time.Millisecond, Size: 1 << 20, Quorum: true,
		Nodes: map[string]int{"ready": 2, "lost": 1}, Units: map[string]int{"active": 5, "unknown": 1},
		Records: map[string]int{"placement": 6}, Names: &Names{Age: 31, Counts: map[string]int64{"queries": 9, "refused": 2}},
	}
}

func lines(t *testing.T, page string, want ...string) {
	t.Helper()
	have := strings.Split(page, "\n")
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("%q is missing in\n%s", line, page)
		}
	}
}

func TestWhatHasNotHappenedIsZero(t *testing.T) {
	page := scrape(t, New(), Snapshot{})
	lines(t, page,
		"fleet_engine_leader_start_time 0", "argosy_leader 0", "argosy_quorum 0",
		`fleet_engine_task_count_total{type="attemptscheduleunit"} 0`, `fleet_engine_task_failure_count_total{type="unscheduleunit"} 0`,
		"fleet_engine_reconcile_count_total 0", "fleet_engine_reconcile_duration_second_count 0",
		`fleet_engine_reconcile_failure_count_total{type="run"} 0`, `fleet_registry_operation_count_total{type="set"} 0`)
	for _, unknown := range []string{"argosy_nodes", "argosy_units", "argosy_store_size_bytes", "argosy_store_revision", "argosy_names"} {
		if strings.Contains(page, unknown) {
			t.Errorf("%s is told, and not known", unknown)
		}
	}
}

func TestWhatIsCounted(t *testing.T) {
	r := New()
	e := r.Engine()
	e.Tasks(TaskSchedule, 3, true)
	e.Tasks(TaskUnschedule, 1, false)
	e.Round(30 * time.Millisecond)
	e.RoundFailed(FailureRun)
	lines(t, scrape(t, r, everything()),
		`fleet_engine_task_count_total{type="attemptscheduleunit"} 3`, `fleet_engine_task_failure_count_total{type="attemptscheduleunit"} 0`,
		`fleet_engine_task_count_total{type="unscheduleunit"} 1`, `fleet_engine_task_failure_count_total{type="unscheduleunit"} 1`,
		"fleet_engine_reconcile_count_total 1", `fleet_engine_reconcile_duration_second_bucket{le="0.025"} 0`,
		`fleet_engine_reconcile_duration_second_bucket{le="0.05"} 1`, `fleet_engine_reconcile_failure_count_total{type="run"} 1`,
		"fleet_engine_leader_start_time 1000", "argosy_leader 1", "argosy_term 3", "argosy_quorum 1",
		"argosy_store_revision 42", "argosy_store_age_seconds 0.5", "argosy_store_size_bytes 1.048576e+06",
		`argosy_nodes{health="ready"} 2`, `argosy_nodes{health="lost"} 1`, `argosy_units{state="active"} 5`, `argosy_units{state="unknown"} 1`, `argosy_store_records{kind="placement"} 6`,
		"argosy_names_age_seconds 31", `argosy_names_total{what="queries"} 9`, `argosy_names_total{what="refused"} 2`)
}

func TestNobodyCountsWithoutARegistry(t *testing.T) {
	var e *Engine
	e.Tasks(TaskSchedule, 1, true)
	e.Round(time.Second)
	e.RoundFailed(FailureRun)
}

func TestOperationsOnTheStoreAreCounted(t *testing.T) {
	r := New()
	broken := false
	s := r.Store(memstore.New().ClientWith(func(context.Context, string) memstore.Outcome {
		if broken {
			return memstore.Refuse
		}
		return memstore.Pass
	}))
	put := store.Txn{Then: []store.Op{store.Put("/k", []byte("v"))}}
	_, _, err1 := s.Commit(t.Context(), put)
	put.If = []store.Cond{store.Absent("/k")}
	_, ok, err2 := s.Commit(t.Context(), put) // refused: an answer too
	_, rev, err3 := s.List(t.Context(), "/")
	if err := errors.Join(err1, err2, err3, s.Compact(t.Context(), rev)); err != nil || ok {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.Watch(ctx, "/", rev)
	cancel()
	_, _, _ = s.List(ctx, "/") // given up by its caller
	broken = true
	if _, _, err := s.Commit(t.Context(), store.Txn{Then: put.Then}); err == nil {
		t.Fatal("nothing was broken")
	}
	lines(t, scrape(t, r, Snapshot{}),
		`fleet_registry_operation_count_total{type="set"} 2`, `fleet_registry_operation_failed_count_total{type="set"} 1`,
		`fleet_registry_operation_count_total{type="get_all"} 1`, `fleet_registry_operation_failed_count_total{type="get_all"} 0`,
		`fleet_registry_operation_count_total{type="watch"} 1`, `fleet_registry_operation_count_total{type="compact"} 1`,
		`fleet_registry_operation_duration_second_count{ops="set"} 2`)
}

// The page of the reference is what the program says of itself. ARGOSY_UPDATE=1
// go test ./internal/metrics writes it.
func TestTheReferenceOfTheMetricsIsCurrent(t *testing.T) {
	const path = "../../docs/reference/metrics.md"
	r := New()
	s := r.Store(memstore.New().Client())
	_, _, _ = s.List(t.Context(), "/")
	want := reference(scrape(t, r, everything()))
	if os.Getenv("ARGOSY_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want {
		t.Errorf("%s is out of date (%v): make docs", path, err)
	}
}

// reference writes the page of the reference from a page of Prometheus.
func reference(page string) string {
	var b strings.Builder
	b.WriteString(`# Metrics

Every server answers ` + "`GET /metrics`" + ` in the form that Prometheus reads, on its unix socket and, to nodes and operators of
the cluster, on its port 7500 (mutual TLS): whoever may see ` + "`argosy status`" + ` may see its numbers.

    curl --unix-socket /run/argosy/argosy.sock http://argosy/metrics

The names that begin with ` + "`fleet_`" + ` are fleet's, with its labels and units. Counters count what this server did since its
daemon was started; the rest is what it sees at that moment. Placing is the work of the leader, so take sums over all
servers for the counters of the engine, and one server, or the highest value, for the nodes and units. The usual
` + "`go_…`" + ` and ` + "`process_…`" + ` of the daemon are there too.

This page is generated (` + "`make docs`" + `).

| metric | type | labels | meaning |
|---|---|---|---|
`)
	help := regexp.MustCompile(`(?m)^# HELP ((?:fleet|argosy)_\S+) (.*)$`)
	for _, m := range help.FindAllStringSubmatch(page, -1) {
		kind := regexp.MustCompile(`(?m)^# TYPE ` + m[1] + ` (\S+)$`).FindStringSubmatch(page)[1]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m[1], kind, labelsOf(page, m[1]), m[2])
	}
	return b.String()
}

// labelsOf returns the labels of a metric; what the bucket of a histogram is
// labelled with is none.
func labelsOf(page, name string) string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:_count)?\{(\w+)=`).FindAllStringSubmatch(page, -1) {
		names = append(names, "`"+m[1]+"`")
	}
	return strings.Join(slices.Compact(names), ", ")
}
