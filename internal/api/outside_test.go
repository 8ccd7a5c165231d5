package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"argosy/internal/api"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

func TestANodeWhoseDaemonIsStartingIsNotInNoCluster(t *testing.T) {
	reset := false
	h := api.NewStarting("n1", cluster.Cluster{ID: "c1"}, func(context.Context) error { reset = true; return nil })
	for _, tt := range []struct {
		name, call string
		code       int
		says       string
	}{
		{"its page says that it is in a cluster, and why nothing else is there", "GET " + wire.PathStatus, http.StatusOK, `"formed":true`},
		{"what needs the store is to be asked again", "GET " + wire.PathUnits, http.StatusServiceUnavailable, "try again in a moment"},
		{"it forms no second cluster", "POST " + wire.PathInit, http.StatusConflict, "this node is in cluster c1 already"},
		{"it can be reset: the others may never come back", "POST " + wire.PathReset, http.StatusNoContent, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.call, " ")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{}")))
			got := w.Body.String()
			if w.Code != tt.code || !strings.Contains(got, tt.says) || strings.Contains(got, "no cluster") {
				t.Errorf("%d %s", w.Code, got)
			}
		})
	}
	if !reset {
		t.Error("nothing was reset")
	}
}
