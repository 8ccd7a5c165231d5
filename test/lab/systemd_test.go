package lab_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"argosy/internal/lab/labtest"
)

// The driver of systemd passes the same suite as its fake, on a real systemd: the
// suite is built here and run on a node, whose daemon is in no cluster and so
// leaves units alone.
func TestTheDriverConformsOnARealSystemd(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "systemd", Nodes: 1, NoForm: true})
	for _, tt := range []struct{ pkg, test string }{
		{"argosy/internal/systemd/bus", "TestBusConforms"},
		{"argosy/internal/systemd/bus", "TestALostJobIsNoticed"},
		{"argosy/internal/agent", "TestOnARealSystemd"},
	} {
		t.Run(tt.test, func(t *testing.T) {
			// The node's disk is a folder of the host: the program goes there.
			disk := filepath.Join(filepath.Dir(filepath.Dir(w.N(1).Socket())), "disk")
			program := filepath.Join(disk, tt.test)
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, tt.pkg)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			var out bytes.Buffer
			code, err := w.N(1).Exec(t.Context(), nil, &out, &out, "env", "ARGOSY_LAB_NODE=1",
				"/var/lib/argosy/"+tt.test, "-test.run=^"+tt.test+"$", "-test.v", "-test.timeout=4m")
			if err != nil || code != 0 || !strings.Contains(out.String(), "--- PASS: "+tt.test) {
				t.Errorf("exit code %d, %v:\n%s", code, err, &out)
			}
		})
	}
}
