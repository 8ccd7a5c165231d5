package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/metrics"
	"argosy/internal/pki"
	"argosy/internal/store"
)

func TestThePageThatPrometheusReads(t *testing.T) {
	b := fleetBench(t)
	b.put(append(placed("b.service", hello),
		store.PutStatus(cluster.Status{Node: here, Unit: "b.service", UID: "u-b.service", Load: "loaded", Active: "failed", Result: "exit-code"}),
		store.PutUnit(cluster.Unit{Name: "c.service", UID: "u-c", Desired: cluster.Launched}),
		store.PutPlacement(cluster.Placement{Unit: "c.service", UID: "u-c", Reason: "0 of 2 nodes: 2 lack gpu=yes"}))...)
	b.server.Metrics = metrics.New()
	read := func() string {
		status, page := fleetCall(t, b.server.Local(), "GET "+wire.PathMetrics, "")
		if status != 200 {
			t.Fatalf("%d %s", status, page)
		}
		return page
	}
	want := func(page string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(page, "\n"+line+"\n") {
				t.Errorf("%q is missing in\n%s", line, page)
			}
		}
	}
	want(read(), "argosy_leader 0", "argosy_quorum 1", `argosy_nodes{health="ready"} 2`, `argosy_nodes{health="lost"} 0`,
		`argosy_units{state="active"} 1`, `argosy_units{state="failed"} 1`, `argosy_units{state="pending"} 1`, `argosy_units{state="unknown"} 0`,
		`argosy_store_records{kind="unit"} 3`, `argosy_store_records{kind="placement"} 3`, `argosy_store_records{kind="status"} 3`)

	b.server.Leading = func() time.Time { return time.Unix(1234, 0) }
	b.server.Health = func(id cluster.NodeID) cluster.Health {
		if id == there {
			return cluster.Lost
		}
		return cluster.Ready
	}
	want(read(), "argosy_leader 1", "fleet_engine_leader_start_time 1234", `argosy_nodes{health="lost"} 1`,
		`argosy_units{state="active"} 0`, `argosy_units{state="unknown"} 1`)
}

// Its numbers are those of the page that every member may read.
func TestWhoMayReadTheMetrics(t *testing.T) {
	b := fleetBench(t)
	b.server.Metrics = metrics.New()
	for _, tt := range []struct {
		name   string
		caller pki.Caller
		status int
	}{
		{"root on a server", pki.Caller{Kind: pki.Local}, 200},
		{"an operator", pki.Caller{Kind: pki.Operator, Name: "anna"}, 200},
		{"a node, as it may read the page", pki.Caller{Kind: pki.Node, Node: there}, 200},
		{"a node that was removed", pki.Caller{Kind: pki.Node, Node: "33333333333333333333333333333333"}, 403},
		{"nobody without an identity", pki.Caller{Kind: pki.Anonymous}, 403},
	} {
		for _, path := range []string{wire.PathMetrics, wire.PathStatus} {
			r := httptest.NewRequestWithContext(withCaller(t.Context(), tt.caller), http.MethodGet, path, nil)
			w := httptest.NewRecorder()
			b.server.routes().ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("%s, %s: %d %s", tt.name, path, w.Code, w.Body)
			}
		}
	}
	if status, _ := fleetCall(t, b.server.Handler(), "GET "+wire.PathMetrics, ""); status != 403 {
		t.Errorf("without a certificate the network port answers %d", status)
	}
}
