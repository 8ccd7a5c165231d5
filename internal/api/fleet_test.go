package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

// fleetCall makes a call of fleet's API and returns status and body.
func fleetCall(t testing.TB, h http.Handler, call, body string) (int, string) {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// fleetError reads the error of an answer, and fails unless it is of fleet's form.
func fleetError(t testing.TB, status int, body string) string {
	t.Helper()
	var e struct {
		Error *struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error == nil || e.Error.Code != status || e.Error.Message == "" {
		t.Fatalf("%d is not answered in fleet's form: %s", status, body)
	}
	return e.Error.Message
}

const fleetHello = `{"section":"Service","name":"ExecStart","value":"/bin/sleep infinity"}`

// What each call of fleet's API answers, on a cluster that has a.service placed
// and running on node-2.
func TestWhatFleetsAPIAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, call, body string
		status           int
		says             string // of the body, or of the error's message
	}{
		{"a unit is shown with its options, its states and its machine", "GET /fleet/v1/units/a.service", "", 200,
			`{"name":"a.service","options":[` + fleetHello + `],"desiredState":"launched","currentState":"launched","machineID":"` + string(there) + `"}`},
		{"the units are listed", "GET /fleet/v1/units", "", 200, `{"units":[{"name":"a.service",`},
		{"the older name of the API works too", "GET /v1-alpha/units", "", 200, `{"units":[{"name":"a.service",`},
		{"a unit that there is not is not found", "GET /fleet/v1/units/b.service", "", 404, "there is no unit b.service"},
		{"a name that is none is refused", "GET /fleet/v1/units/..%2Fetc%2Fpasswd", "", 400, "passwd"},
		{"a name with control characters is refused", "PUT /fleet/v1/units/a%0Ab.service", `{"desiredState":"loaded"}`, 400, "a"},
		{"a name that is too long is refused", "GET /fleet/v1/units/" + strings.Repeat("a", 5000) + ".service", "", 400, "name"},

		{"a new unit is created", "PUT /fleet/v1/units/b.service", `{"desiredState":"loaded","options":[` + fleetHello + `]}`, 201, ""},
		{"a new unit without a state is created", "PUT /fleet/v1/units/b.service", `{"options":[` + fleetHello + `]}`, 201, ""},
		{"a new unit without options is a conflict", "PUT /fleet/v1/units/b.service", `{"desiredState":"loaded"}`, 409, "no options"},
		{"a new unit with an empty list of options too", "PUT /fleet/v1/units/b.service", `{"desiredState":"loaded","options":[]}`, 409, "no options"},
		{"a known unit changes its state", "PUT /fleet/v1/units/a.service", `{"desiredState":"inactive"}`, 204, ""},
		{"a known unit with the same options changes only its state", "PUT /fleet/v1/units/a.service", `{"desiredState":"loaded","options":[` + fleetHello + `]}`, 204, ""},
		{"a known unit with other options is replaced", "PUT /fleet/v1/units/a.service", `{"options":[` + fleetHello + `,{"section":"Service","name":"User","value":"u"}]}`, 201, ""},
		{"a known unit without state or options is a conflict", "PUT /fleet/v1/units/a.service", `{}`, 409, "desiredState"},
		{"a known unit with the same options and no state too", "PUT /fleet/v1/units/a.service", `{"options":[` + fleetHello + `]}`, 409, "desiredState"},
		{"a name in the body that is another is refused", "PUT /fleet/v1/units/a.service", `{"name":"b.service","desiredState":"loaded"}`, 400, "b.service"},
		{"the same name in the body is fine", "PUT /fleet/v1/units/a.service", `{"name":"a.service","desiredState":"loaded"}`, 204, ""},
		{"a state that there is not is refused", "PUT /fleet/v1/units/a.service", `{"desiredState":"running"}`, 400, "running"},
		{"a template cannot be activated", "PUT /fleet/v1/units/t@.service", `{"desiredState":"launched","options":[` + fleetHello + `]}`, 400, "template"},
		{"a combination that fleet refused is refused", "PUT /fleet/v1/units/b.service",
			`{"options":[` + fleetHello + `,{"section":"X-Fleet","name":"Global","value":"true"},{"section":"X-Fleet","name":"MachineOf","value":"a.service"}]}`, 400, "Global"},
		{"an option that is two lines is refused", "PUT /fleet/v1/units/b.service",
			`{"options":[{"section":"Service","name":"ExecStart","value":"/bin/true\nUser=root"}]}`, 400, "option 1"},
		{"an option that opens a section is refused", "PUT /fleet/v1/units/b.service",
			`{"options":[{"section":"Service]\n[X-Fleet","name":"Global","value":"true"}]}`, 400, "option 1"},
		{"an option without a name is refused", "PUT /fleet/v1/units/b.service", `{"options":[{"section":"Service","name":"","value":"x"}]}`, 400, "option 1"},
		{"an option that swallows the next is refused", "PUT /fleet/v1/units/b.service",
			`{"options":[{"section":"Service","name":"A","value":"x\\"},` + fleetHello + `]}`, 400, "option 1"},
		{"a value that goes on with a backslash is joined, as systemd does", "PUT /fleet/v1/units/b.service",
			`{"options":[{"section":"Service","name":"ExecStart","value":"/bin/sleep \\\n infinity"}]}`, 201, ""},
		{"a unit that is too large is refused", "PUT /fleet/v1/units/b.service",
			`{"options":[{"section":"Service","name":"A","value":"` + strings.Repeat("x", 300<<10) + `"}]}`, 400, "option 1"},
		{"a body that is too large is refused", "PUT /fleet/v1/units/b.service", `{"name":"` + strings.Repeat("x", 9<<20), 413, "too large"},
		{"a body that is no JSON is refused", "PUT /fleet/v1/units/b.service", `options`, 400, "body"},
		{"a body of the wrong type is refused", "PUT /fleet/v1/units/b.service", `{"options":"x"}`, 400, "body"},
		{"a body with something behind it is refused", "PUT /fleet/v1/units/a.service", `{"desiredState":"loaded"}{}`, 400, "more than one"},
		{"an empty body is refused", "PUT /fleet/v1/units/a.service", ``, 400, "body"},

		{"a unit is destroyed", "DELETE /fleet/v1/units/a.service", "", 204, ""},
		{"a unit that there is not cannot be destroyed", "DELETE /fleet/v1/units/b.service", "", 404, "b.service"},

		{"what nodes say is listed", "GET /fleet/v1/state", "", 200,
			`{"states":[{"name":"a.service","hash":"h1","machineID":"` + string(there) + `","systemdLoadState":"loaded","systemdActiveState":"active","systemdSubState":"running"}]}`},
		{"of one machine", "GET /fleet/v1/state?machineID=" + string(there), "", 200, `{"states":[{"name":"a.service"`},
		{"of a machine that runs nothing", "GET /fleet/v1/state?machineID=" + string(here), "", 200, `{"states":[]}`},
		{"of one unit", "GET /fleet/v1/state?unitName=a.service", "", 200, `{"states":[{"name":"a.service"`},
		{"of a unit that there is not", "GET /fleet/v1/state?unitName=b.service", "", 200, `{"states":[]}`},
		{"of one unit on one machine", "GET /fleet/v1/state?unitName=a.service&machineID=" + string(here), "", 200, `{"states":[]}`},
		{"one state of a unit", "GET /fleet/v1/state/a.service", "", 200, `{"name":"a.service","hash":"h1"`},
		{"of a unit that nobody has", "GET /fleet/v1/state/b.service", "", 404, "b.service"},

		{"the machines are listed with their metadata", "GET /fleet/v1/machines", "", 200,
			`{"machines":[{"id":"` + string(here) + `","primaryIP":"10.0.0.1","metadata":{}},{"id":"` + string(there) + `","primaryIP":"10.0.0.2","metadata":{"disk":"ssd"}}]}`},
		{"the API describes itself", "GET /fleet/v1/discovery", "", 200, `"kind":"discovery#restDescription"`},

		{"a page token that is none is refused", "GET /fleet/v1/units?nextPageToken=!!", "", 400, "nextPageToken"},
		{"a page token of another listing is refused", "GET /fleet/v1/state?nextPageToken=dW5pdHMgYSA", "", 400, "nextPageToken"},
		{"a page token of a unit that is gone goes on behind it", "GET /fleet/v1/units?nextPageToken=dW5pdHMgMCA", "", 200, `{"units":[{"name":"a.service"`},
		{"a page token of the last row has nothing behind it", "GET /fleet/v1/units?nextPageToken=dW5pdHMgYS5zZXJ2aWNlIA", "", 200, `{"units":[]}`},

		{"a path that there is not", "GET /fleet/v1/nothing", "", 404, "/fleet/v1/nothing"},
		{"a method that there is not", "POST /fleet/v1/units", "", 405, "use GET"},
		{"a method that a unit does not have", "PATCH /fleet/v1/units/a.service", "", 405, "use DELETE, GET, PUT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := fleetCall(t, fleetBench(t).server.Local(), tt.call, tt.body)
			if status != tt.status {
				t.Fatalf("%d, want %d: %s", status, tt.status, body)
			}
			if status >= 300 {
				body = fleetError(t, status, body)
			}
			if !strings.Contains(body, tt.says) || tt.says == "" && body != "" {
				t.Errorf("it says %s", body)
			}
		})
	}
}

// fleetBench is a bench with a.service running on node-2, which has a label.
func fleetBench(t *testing.T) *bench {
	b := newBench(t)
	b.put(append(placed("a.service", hello),
		store.PutStatus(cluster.Status{Node: there, Unit: "a.service", UID: "u-a.service", Hash: "h1", Load: "loaded", Active: "active", Sub: "running"}),
		// What is said of an earlier unit of the same name is not shown.
		store.PutStatus(cluster.Status{Node: here, Unit: "a.service", UID: "earlier", Load: "loaded", Active: "failed"}),
		store.PutNode(cluster.Node{ID: there, Name: "node-2", Key: "key-2", Labels: map[string]string{"disk": "ssd"}}))...)
	return b
}

func TestWhatIsPutThroughFleetsAPIIsStored(t *testing.T) {
	b := fleetBench(t)
	h := b.server.Local()
	options := `[{"section":"Unit","name":"Description","value":"b"},{"section":"Service","name":"ExecStartPre","value":"/bin/true"},
		{"section":"Service","name":"ExecStartPre","value":"/bin/false"},{"section":"Unit","name":"After","value":"x.service"},{"section":"Service","name":"ExecStart","value":"/bin/sleep \\\n 9"}]`
	if status, body := fleetCall(t, h, "PUT /fleet/v1/units/b.service", `{"desiredState":"loaded","options":`+options+`}`); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	want := "[Unit]\nDescription=b\n\n[Service]\nExecStartPre=/bin/true\nExecStartPre=/bin/false\n\n[Unit]\nAfter=x.service\n\n[Service]\nExecStart=/bin/sleep   9\n"
	if u := b.units()["b.service"]; u.Text != want || u.Desired != cluster.Loaded {
		t.Errorf("%s:\n%s", u.Desired, cmp.Diff(want, u.Text))
	}
	// Replaced options leave the state alone; a state leaves the text alone.
	if status, body := fleetCall(t, h, "PUT /fleet/v1/units/b.service", `{"options":[`+fleetHello+`]}`); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if u := b.units()["b.service"]; u.Text != hello || u.Desired != cluster.Loaded {
		t.Errorf("replaced: %s\n%s", u.Desired, u.Text)
	}
	if status, body := fleetCall(t, h, "PUT /fleet/v1/units/b.service", `{"desiredState":"launched"}`); status != 204 {
		t.Fatalf("%d %s", status, body)
	}
	if u := b.units()["b.service"]; u.Text != hello || u.Desired != cluster.Launched {
		t.Errorf("changed: %s\n%s", u.Desired, u.Text)
	}
	if status, body := fleetCall(t, h, "DELETE /fleet/v1/units/b.service", ""); status != 204 || body != "" {
		t.Fatalf("%d %q", status, body)
	}
	if _, there := b.units()["b.service"]; there {
		t.Error("it is still there")
	}
}

func TestMetadataIsPatchedThroughFleetsAPI(t *testing.T) {
	op := func(op, node, key, value string) string {
		return fmt.Sprintf(`{"op":%q,"path":"/%s/metadata/%s","value":%s}`, op, node, key, value)
	}
	keep := "map[disk:ssd]" // what node-2 has at first
	for _, tt := range []struct {
		name, body string
		status     int
		want       string // the labels of node-2 afterwards
	}{
		{"a label is added", op("add", string(there), "zone", `"a"`), 204, "map[disk:ssd zone:a]"},
		{"as fleet's code wanted it, too", op("add", string(there), "zone", `{"value":"a"}`), 204, "map[disk:ssd zone:a]"},
		{"a label is replaced", op("replace", string(there), "disk", `"hdd"`), 204, "map[disk:hdd]"},
		{"a label is removed", `{"op":"remove","path":"/` + string(there) + `/metadata/disk"}`, 204, "map[]"},
		{"a label that there is not is removed all the same", `{"op":"remove","path":"/` + string(there) + `/metadata/x"}`, 204, keep},
		{"operations are done in their order", op("add", string(there), "zone", `"a"`) + "," + op("add", string(there), "zone", `"b"`), 204, "map[disk:ssd zone:b]"},
		{"a key may hold an escaped slash", op("add", string(there), "topology~1zone", `"a"`), 204, "map[disk:ssd topology/zone:a]"},
		{"of two nodes both change", op("add", string(here), "zone", `"a"`) + "," + op("add", string(there), "zone", `"b"`), 204, "map[disk:ssd zone:b]"},
		{"if one operation is wrong nothing is done", op("add", string(there), "zone", `"a"`) + "," + op("move", string(there), "x", `"y"`), 400, keep},
		{"if one node is unknown nothing is done", op("add", string(there), "zone", `"a"`) + "," + op("add", strings.Repeat("3", 32), "x", `"y"`), 404, keep},
		{"a value is needed", `{"op":"add","path":"/` + string(there) + `/metadata/zone"}`, 400, keep},
		{"an empty value is none", op("add", string(there), "zone", `""`), 400, keep},
		{"a number is no value", op("add", string(there), "zone", `1`), 400, keep},
		{"null is no value", op("replace", string(there), "zone", `null`), 400, keep},
		{"a value that is too long is refused", op("add", string(there), "zone", `"`+strings.Repeat("x", 300)+`"`), 400, keep},
		{"a key with a blank is refused", op("add", string(there), "a b", `"x"`), 400, keep},
		{"another path is refused", `{"op":"add","path":"/` + string(there) + `/name","value":"x"}`, 400, keep},
		{"a deeper path is refused", op("add", string(there), "a/b", `"x"`), 400, keep},
		{"a path without a machine is refused", `{"op":"add","path":"/metadata/zone","value":"x"}`, 400, keep},
		{"a machine that is no ID is refused", op("add", "..", "zone", `"x"`), 400, keep},
		{"no operation is refused", "", 400, keep},
		{"too many operations are refused", strings.TrimSuffix(strings.Repeat(op("add", string(there), "zone", `"a"`)+",", 7000), ","), 400, keep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := fleetBench(t)
			status, body := fleetCall(t, b.server.Local(), "PATCH /fleet/v1/machines", "["+tt.body+"]")
			if status != tt.status {
				t.Fatalf("%d, want %d: %s", status, tt.status, body)
			}
			if status >= 300 {
				fleetError(t, status, body)
			}
			n, _ := findNode(b.server.Mirror.State(), there)
			if got := fmt.Sprint(n.Node.Labels); got != tt.want {
				t.Errorf("the labels are %s, want %s", got, tt.want)
			}
		})
	}
}

// Pages follow each other without a gap or a row twice, also when the row that a
// token names is destroyed, and others come, between two pages.
func TestPagesFollowEachOtherWhateverChangesBetweenThem(t *testing.T) {
	b := newBench(t)
	var ops []store.Op
	var want []string
	for i := range 250 {
		name := cluster.UnitName(fmt.Sprintf("u%03d.service", i))
		ops = append(ops, placed(name, hello)[0], store.PutStatus(cluster.Status{Node: there, Unit: name, UID: "u-" + cluster.UID(name)}))
		want = append(want, string(name))
	}
	for part := range slices.Chunk(ops, store.TxnOpsMax) {
		b.put(part...)
	}
	for _, list := range []string{"units", "state"} {
		var got []string
		token := ""
		for pages := 0; pages == 0 || token != ""; pages++ {
			_, body := fleetCall(t, b.server.Local(), "GET /fleet/v1/"+list+"?nextPageToken="+url.QueryEscape(token), "")
			var page struct {
				Units, States []struct{ Name string }
				NextPageToken string
			}
			if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Units)+len(page.States) > 100 {
				t.Fatalf("page %d: %v %.200s", pages, err, body)
			}
			for _, row := range append(page.Units, page.States...) {
				got = append(got, row.Name)
			}
			if token = page.NextPageToken; pages == 0 {
				// The row that the token names goes, and one comes before it.
				b.put(store.Delete(store.UnitKey("u099.service")), store.Delete(store.StatusKey(there, "u099.service")), placed("u000a.service", hello)[0],
					store.PutStatus(cluster.Status{Node: there, Unit: "u000a.service", UID: "u-u000a.service"}))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", list, diff)
		}
		b.put(store.Delete(store.UnitKey("u000a.service")), store.Delete(store.StatusKey(there, "u000a.service")), ops[2*99], ops[2*99+1])
	}
}

func TestFleetsAPIIsOnUnixSocketsOfServersOnly(t *testing.T) {
	b := fleetBench(t)
	for _, tt := range []struct {
		name    string
		handler http.Handler
		status  int
		says    string
	}{
		{"a server's socket", b.server.Local(), 200, "a.service"},
		{"a worker's socket refuses it, and says where it is", NewWorker(WorkerDeps{Self: there}), 403, "run the command on a server"},
		{"the socket of a node without a cluster", NewUnformed(UnformedDeps{}), 503, "argosy init"},
		{"the socket of a node that starts", NewStarting(here, cluster.Cluster{}, nil), 503, "starting"},
	} {
		status, body := fleetCall(t, tt.handler, "GET /fleet/v1/units", "")
		if status >= 300 {
			body = fleetError(t, status, body)
		}
		if status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	for name, h := range map[string]http.Handler{"a server's": b.server.Handler(), "a worker's": NewWorkerRemote(WorkerDeps{Self: there})} {
		if status, body := fleetCall(t, h, "GET /fleet/v1/units", ""); status < 400 || strings.Contains(body, "a.service") {
			t.Errorf("%s network port answers %d %s", name, status, body)
		}
	}
}

// A text that cannot be read was stored by somebody else; all other units are
// listed all the same.
func TestATextThatCannotBeReadHidesNoOtherUnit(t *testing.T) {
	b := fleetBench(t)
	b.put(store.PutUnit(cluster.Unit{Name: "0-bad.service", UID: "u-0", Desired: cluster.Loaded, Text: "[Service\nnonsense"}))
	status, body := fleetCall(t, b.server.Local(), "GET /fleet/v1/units", "")
	if want := `{"units":[{"name":"0-bad.service","options":[],"desiredState":"loaded","currentState":"inactive"},{"name":"a.service",`; status != 200 || !strings.HasPrefix(body, want) {
		t.Errorf("%d %s", status, body)
	}
	status, body = fleetCall(t, b.server.Local(), "GET /fleet/v1/units/0-bad.service", "")
	if says := fleetError(t, status, body); status != 500 || !strings.Contains(says, "the stored text of 0-bad.service") {
		t.Errorf("%d %s", status, says)
	}
}

func TestAPutIsOfJSON(t *testing.T) {
	for media, want := range map[string]int{
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json; charset": 415,
		"application/json": 204, "Application/JSON; charset=utf-8": 204,
	} {
		b := fleetBench(t)
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/fleet/v1/units/a.service", strings.NewReader(`{"desiredState":"inactive"}`))
		if media != "" {
			r.Header.Set("Content-Type", media)
		}
		w := httptest.NewRecorder()
		b.server.Local().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d %s", media, w.Code, w.Body)
		}
		if w.Code == 415 && fleetError(t, 415, w.Body.String()) != "the Content-Type must be application/json" {
			t.Errorf("%q: %s", media, w.Body)
		}
		if changed := b.units()["a.service"].Desired == cluster.Inactive; changed != (want == 204) {
			t.Errorf("%q: changed is %t", media, changed)
		}
	}
}

func TestAGlobalUnitIsSaidToBeOneWhateverIsWanted(t *testing.T) {
	b := newBench(t)
	for _, desired := range []cluster.Desired{cluster.Inactive, cluster.Loaded, cluster.Launched} {
		text := hello + "[X-Fleet]\nGlobal=true\n"
		b.put(store.PutUnit(cluster.Unit{Name: "every.service", UID: "u", Text: text, Hash: cluster.HashText(text), Desired: desired}),
			store.PutUnit(cluster.Unit{Name: "one.service", UID: "v", Text: hello, Hash: cluster.HashText(hello), Desired: desired}))
		var list wire.List[wire.UnitView]
		if p := b.call("GET", wire.PathUnits, nil, &list); p != nil || len(list.Items) != 2 || !list.Items[0].Global || list.Items[1].Global {
			t.Errorf("%s: %+v %+v", desired, p, list.Items)
		}
	}
}

func TestAMachineThatIsLostIsNotListedThroughFleetsAPI(t *testing.T) {
	b := fleetBench(t)
	b.server.Health = func(id cluster.NodeID) cluster.Health {
		if id == there {
			return cluster.Lost
		}
		return cluster.Ready
	}
	if _, body := fleetCall(t, b.server.Local(), "GET /fleet/v1/machines", ""); strings.Contains(body, string(there)) || !strings.Contains(body, string(here)) {
		t.Error(body)
	}
	// What it last said is gone with it.
	if _, body := fleetCall(t, b.server.Local(), "GET /fleet/v1/state", ""); strings.TrimSpace(body) != `{"states":[]}` {
		t.Error(body)
	}
	if status, body := fleetCall(t, b.server.Local(), "GET /fleet/v1/state/a.service", ""); status != 404 {
		t.Error(status, body)
	}
	if _, body := fleetCall(t, b.server.Local(), "GET /fleet/v1/units/a.service", ""); !strings.Contains(body, `"currentState":"inactive"`) {
		t.Error(body)
	}
}

func TestWithoutQuorumFleetsAPIRefusesWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.line.Cut()
		b.pass(30 * time.Second)
		status, body := fleetCall(t, b.server.Local(), "PUT /fleet/v1/units/b.service", `{"options":[`+fleetHello+`]}`)
		if status != 503 {
			t.Errorf("%d %s", status, body)
		}
		fleetError(t, status, body)
	})
}

// What is put is what is got: every option, in its order, however often a key or
// a section comes.
func TestOptionsComeBackAsTheyWerePut(t *testing.T) {
	b := newBench(t)
	h := b.server.Local()
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		type option struct{ Section, Name, Value string }
		options := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) option {
			return option{
				rapid.SampledFrom([]string{"Unit", "Service", "Install"}).Draw(r, "section"),
				rapid.StringMatching(`[A-Z][A-Za-z]{0,8}`).Draw(r, "name"),
				rapid.StringMatching(`([!-\[\]-~é]([ -\[\]-~é]{0,20}[!-\[\]-~é])?)?`).Draw(r, "value"),
			}
		}), 1, 12).Draw(r, "options")
		text, err := json.Marshal(map[string]any{"options": options})
		if err != nil {
			t.Fatal(err)
		}
		n++
		path := fmt.Sprintf("/fleet/v1/units/u%d.service", n)
		status, body := fleetCall(t, h, "PUT "+path, string(text))
		if status == 400 {
			return // no unit that may be stored, for example without ExecStart=
		}
		var got struct{ Options []option }
		_, shown := fleetCall(t, h, "GET "+path, "")
		if err := json.Unmarshal([]byte(shown), &got); err != nil || status != 201 {
			t.Fatalf("%d %s, then %s", status, body, shown)
		}
		if diff := cmp.Diff(options, got.Options); diff != "" {
			r.Fatal(diff)
		}
	})
}

// FuzzFleetBodies: whatever is sent, the answer is of fleet's form, and what is
// stored passed the check that every unit passes.
func FuzzFleetBodies(f *testing.F) {
	f.Add("PUT /fleet/v1/units/b.service", `{"desiredState":"loaded","options":[`+fleetHello+`]}`)
	f.Add("PATCH /fleet/v1/machines", `[{"op":"add","path":"/`+string(there)+`/metadata/zone","value":"a"}]`)
	f.Add("PATCH /v1-alpha/machines", `[{"op":"add","path":"////","value":{"value":"a"}}]`)
	f.Add("GET /fleet/v1/units?nextPageToken=AAAA", ``)
	f.Fuzz(func(t *testing.T, call, body string) {
		_, path, _ := strings.Cut(call, " ")
		if _, err := http.NewRequestWithContext(context.Background(), "GET", path, nil); err != nil || !strings.HasPrefix(path, "/fleet/v1/") || strings.ContainsAny(path, " \n") {
			return
		}
		b := newBench(t)
		status, text := fleetCall(t, b.server.Local(), call, body)
		if status >= 400 {
			fleetError(t, status, text)
		}
		for name, u := range b.units() {
			if err := checkSubmission([]wire.SubmitUnit{{Name: name, Text: u.Text}}); err != nil {
				t.Errorf("%s was stored: %v", name, err)
			}
		}
	})
}
