package api

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"

	"argosy/internal/api/wire"
	"argosy/internal/mirror"
	"argosy/internal/store/memstore"
)

func TestTheAPIDescribesItself(t *testing.T) {
	db := memstore.New().Client()
	s := NewServer(Deps{Store: db, Mirror: mirror.New(db, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler)})
	w := httptest.NewRecorder()
	s.Local().ServeHTTP(w, httptest.NewRequest("GET", wire.PathOpenAPI, nil))
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatalf("%d %v: %.300s", w.Code, err, w.Body)
	}
	if doc.OpenAPI[:3] != "3.1" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	for path, method := range map[string]string{
		wire.PathStatus: "get", wire.PathUnits: "post", wire.PathUnit: "get", wire.PathDesired: "post", wire.PathDestroy: "post",
		wire.PathRestart: "post", wire.PathJournal: "get", wire.PathWatch: "get", wire.PathEvents: "get", wire.PathNodes: "get", wire.PathNode: "patch",
		wire.PathTokens: "post", wire.PathToken: "delete", wire.PathAdmit: "post", wire.PathRenew: "post", wire.PathReport: "put",
		wire.PathStatuses: "post", wire.PathSlice: "get", wire.PathCert: "post", wire.PathServer: "post", wire.PathNodeLog: "get",
		wire.PathLeave: "post", wire.PathReset: "post", wire.PathExplain: "get", wire.PathScale: "post",
	} {
		if _, ok := doc.Paths[path][method]; !ok {
			t.Errorf("%s %s is not described", method, path)
		}
	}
}
