package lab_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"argosy/internal/lab/labtest"
)

// What reaches a node through the cluster: three servers and, the fourth, a
// worker.
func TestTheChannel(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "channel", Nodes: 4})
	for _, sub := range []struct {
		name string
		test func(*labtest.World)
	}{
		{"a unit lives through fleet's API on the socket", throughFleetsAPI},
		{"a command runs on any node, and its outcome comes back", ssh},
	} {
		t.Run(sub.name, func(t *testing.T) { sub.test(w.Sub(t)) })
	}
}

// fleetAPI makes a call of fleet's API on the socket of the i-th node, as an old
// tool would, and reads the answer into out.
func fleetAPI(w *labtest.World, i int, method, path, body string, out any) int {
	w.T.Helper()
	old := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.N(i).Socket())
	}}}
	defer old.CloseIdleConnections()
	r, err := http.NewRequestWithContext(w.T.Context(), method, "http://domain-sock/fleet/v1/"+path, strings.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := old.Do(r)
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		w.T.Errorf("%s %s: %s %q: %v", method, path, answer.Status, text, err)
	}
	return answer.StatusCode
}

func throughFleetsAPI(w *labtest.World) {
	const unit = `{"desiredState":"launched","options":[{"section":"Service","name":"ExecStart","value":"/bin/sleep infinity"}]}`
	if status := fleetAPI(w, 1, "PUT", "units/old.service", unit, nil); status != http.StatusCreated {
		w.T.Fatalf("put: %d", status)
	}
	var states struct {
		States []struct{ MachineID, SystemdActiveState string }
	}
	w.Wait(20*time.Second, "the old tool sees it active", func() string {
		fleetAPI(w, 2, "GET", "state?unitName=old.service", "", &states)
		if len(states.States) == 1 && states.States[0].SystemdActiveState == "active" {
			return ""
		}
		return "no active state"
	})
	var shown struct{ CurrentState, MachineID string }
	if fleetAPI(w, 3, "GET", "units/old.service", "", &shown); shown.CurrentState != "launched" || shown.MachineID != states.States[0].MachineID {
		w.T.Errorf("it is shown as %+v", shown)
	}
	label := `[{"op":"add","path":"/` + shown.MachineID + `/metadata/old","value":"yes"}]`
	if status := fleetAPI(w, 1, "PATCH", "machines", label, nil); status != http.StatusNoContent {
		w.T.Errorf("patch: %d", status)
	}
	if list := w.OK(1, "list-machines", "-o", "json"); !strings.Contains(list, `"old": "yes"`) {
		w.T.Errorf("after the patch: %s", list)
	}
	w.Wait(20*time.Second, "a worker refuses it", func() string {
		var refused struct{ Error struct{ Code int } }
		if fleetAPI(w, 4, "GET", "units", "", &refused); refused.Error.Code != http.StatusForbidden {
			return "it does not"
		}
		return ""
	})
	if status := fleetAPI(w, 1, "DELETE", "units/old.service", "", nil); status != http.StatusNoContent {
		w.T.Errorf("delete: %d", status)
	}
	w.Wait(20*time.Second, "the old tool sees it gone", func() string {
		if fleetAPI(w, 2, "GET", "state?unitName=old.service", "", &states); len(states.States) > 0 {
			return "a node still has it"
		}
		return ""
	})
	nothingLeft(w, "old.service")
}

func ssh(w *labtest.World) {
	for i := 1; i <= 4; i++ { // itself, other servers, and a worker
		node := w.N(i).Name()
		if out := w.OK(1, "ssh", node, "--", "hostname"); strings.TrimSpace(out) != node {
			w.T.Errorf("the host name of %s is %q", node, out)
		}
	}
	r := w.Run(2, "ssh", "node-4", "echo out; echo err >&2; pwd; echo $HOME '$HOME'; exit 7")
	if r.Code != 7 || r.Out != "out\n/\n/root $HOME\n" || r.Err != "err\n" {
		w.T.Errorf("exit code %d, output %q, errors %q", r.Code, r.Out, r.Err)
	}
	if r := w.Run(2, "ssh", "node-4", "kill -TERM $$"); r.Code != 128+15 {
		w.T.Errorf("killed by SIGTERM: exit code %d %s", r.Code, r.Err)
	}
}
