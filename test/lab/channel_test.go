package lab_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/internal/cli/contexts"
	"argosy/internal/lab/labtest"
	"argosy/internal/pki"
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
		{"what is piped in comes out right", sshPipes},
		{"a unit's name leads to its node", sshToAUnit},
		{"at a terminal the command has one too", sshAtATerminal},
		{"an operator needs no node to sit at", sshFromOutside},
		{"who may not, and where there is nothing, is told so", sshRefused},
		{"the socket is for root and the group argosy", socketGroup},
		{"what runs ends with its client, its connection and the daemon", sshEnds},
		{"a node without power is said to be away", sshToADeadNode},
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

func sshPipes(w *labtest.World) {
	text := make([]byte, 1<<20)
	_, _ = rand.Read(text)
	sum := sha256.Sum256(text)
	for _, node := range []string{"node-1", "node-2", "node-4"} {
		hash := exec.CommandContext(w.T.Context(), labtest.Binary(w.T), "--socket", w.N(1).Socket(), "ssh", node, "sha256sum")
		hash.Stdin = bytes.NewReader(text)
		if out, err := hash.Output(); err != nil || !strings.HasPrefix(string(out), hex.EncodeToString(sum[:])) {
			w.T.Errorf("%s: %q, %v", node, out, err)
		}
		same := exec.CommandContext(w.T.Context(), labtest.Binary(w.T), "--socket", w.N(1).Socket(), "ssh", node, "cat")
		same.Stdin = bytes.NewReader(text)
		if out, err := same.Output(); err != nil || !bytes.Equal(out, text) {
			w.T.Errorf("%s: %d bytes came back, %v", node, len(out), err)
		}
	}
}

func sshToAUnit(w *labtest.World) {
	w.OK(1, "start", w.File("target.service", labtest.Marked("argosy-target", "")))
	on := w.WaitActive(1, "target.service", 20*time.Second)
	for _, args := range [][]string{{"target.service"}, {"target"}, {"--unit", "target"}, {"-m", w.N(on).Name()}, {string(w.N(on).MachineID()[:8])}} {
		out := w.OK(2, append(append([]string{"ssh"}, args...), "hostname")...)
		if strings.TrimSpace(out) != w.N(on).Name() {
			w.T.Errorf("ssh %v went to %q, the unit runs on node-%d", args, out, on)
		}
	}
	w.OK(1, "destroy", "target.service")
	w.Refused(1, "there is no node and no unit", "ssh", "target", "true")
}

// sshAtATerminal types into a terminal that script(1) makes.
func sshAtATerminal(w *labtest.World) {
	line := "stty rows 33 cols 111; " + labtest.Binary(w.T) + " --socket " + w.N(1).Socket() + " ssh node-4"
	shell := exec.CommandContext(w.T.Context(), "script", "-qefc", line, "/dev/null")
	shell.Stdin = strings.NewReader("tty; stty size; exit 5\n")
	out, _ := shell.CombinedOutput()
	if code := shell.ProcessState.ExitCode(); code != 5 || !strings.Contains(string(out), "/dev/pts/") || !strings.Contains(string(out), "33 111") {
		w.T.Errorf("exit code %d:\n%s", code, out)
	}
	if r := w.Run(1, "ssh", "-t", "node-4", "tty"); r.Code != 0 || !strings.Contains(r.Out, "/dev/pts/") {
		w.T.Errorf("-t: %+v", r)
	}
	if r := w.Run(1, "ssh", "node-4", "tty"); r.Code != 1 {
		w.T.Errorf("a terminal that nobody asked for: %+v", r)
	}
}

// sshFromOutside goes through a context, from the place of a worker in the network.
func sshFromOutside(w *labtest.World) {
	ca, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(w.N(1).Socket())), "disk", "authority.pem"))
	if err != nil {
		w.T.Fatal(err)
	}
	own, err := pki.ParseAuthority(ca)
	if err != nil {
		w.T.Fatal(err)
	}
	home := w.T.TempDir()
	_, csr, err := pki.LoadOrNewKey(home) // leaves node.key
	if err != nil {
		w.T.Fatal(err)
	}
	cert, err := own.SignOperator(csr, "alice", time.Hour, time.Now())
	if err != nil {
		w.T.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"current": "far", "contexts": []contexts.Context{{
		Name: "far", Addresses: []string{"10.77.0.1:7500", "10.77.0.2:7500"},
		CA: filepath.Join(home, "ca.pem"), Certificate: filepath.Join(home, "cert.pem"), Key: filepath.Join(home, "node.key"),
	}}})
	if err != nil {
		w.T.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "argosy"), 0o700); err != nil {
		w.T.Fatal(err)
	}
	for name, text := range map[string][]byte{"ca.pem": own.CertPEM(), "cert.pem": cert, "argosy/contexts.json": list} {
		if err := os.WriteFile(filepath.Join(home, name), text, 0o600); err != nil {
			w.T.Fatal(err)
		}
	}
	for _, node := range []string{"node-1", "node-3", "node-4"} {
		far := exec.CommandContext(w.T.Context(), "ip", "netns", "exec", w.N(4).Namespace(), labtest.Binary(w.T), "--context", "far", "ssh", node, "hostname; exit 7")
		far.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home)
		out, err := far.CombinedOutput()
		if code := far.ProcessState.ExitCode(); code != 7 || string(out) != node+"\n" {
			w.T.Errorf("%s: exit code %d, %q, %v", node, code, out, err)
		}
	}
	if r := w.In(4, "journalctl", "-u", "argosy.service", "-o", "cat", "--no-pager"); !strings.Contains(r.Out, "alice through node-") {
		w.T.Error("node-4 did not log who came")
	}
}

func sshRefused(w *labtest.World) {
	w.Refused(1, "there is no node and no unit", "ssh", "node-9", "true")
	w.Refused(1, "use one", "ssh", "-m", "node-1", "-u", "target", "true")
	w.Refused(4, "run the command on a server", "ssh", "node-1", "true") // a worker's identity opens nothing
	asSomebody := []string{"setpriv", "--reuid", "65534", "--regid", "0", "--clear-groups", "env", "HOME=/tmp", "argosy", "ssh", "node-1", "true"}
	if r := w.In(1, asSomebody...); r.Code != 255 || !strings.Contains(r.Err, "only root") {
		w.T.Errorf("as a user in the socket's group: %+v", r)
	}
}

// socketGroup asks as a user in the group argosy, and as one who is not.
func socketGroup(w *labtest.World) {
	for _, command := range []string{"groupadd argosy", "useradd -G argosy member", "useradd stranger", "systemctl restart argosy.service"} {
		if r := w.In(1, strings.Fields(command)...); r.Code != 0 {
			w.T.Fatalf("%s: %+v", command, r)
		}
	}
	w.Soon(1, "list-units")
	as := func(user string) labtest.Result {
		return w.In(1, "runuser", "-u", user, "--", "env", "HOME=/tmp", "argosy", "list-units")
	}
	if r := as("member"); r.Code != 0 || !strings.HasPrefix(r.Out, "UNIT") {
		w.T.Errorf("a member of the group: %+v", r)
	}
	if r := as("stranger"); r.Code != 1 || !strings.Contains(r.Err, "is for root and the group argosy") || !strings.Contains(r.Err, "usermod -a -G argosy") {
		w.T.Errorf("a stranger: %+v", r)
	}
}

// sshEnds ends a channel in each way and waits until what ran there is gone.
func sshEnds(w *labtest.World) {
	for _, tt := range []struct {
		name, node string
		end        func(client *exec.Cmd)
	}{
		{"the client is killed, on another node", "node-4", func(client *exec.Cmd) { _ = client.Process.Kill() }},
		{"the client is killed, on the server itself", "node-1", func(client *exec.Cmd) { _ = client.Process.Kill() }},
		{"the node's daemon stops", "node-4", func(*exec.Cmd) { w.In(4, "systemctl", "restart", "argosy.service") }},
		{"the server's daemon is killed", "node-4", func(*exec.Cmd) { w.In(1, "systemctl", "kill", "--signal=KILL", "argosy.service") }},
	} {
		// It ignores hanging up, and has left the session of its shell.
		command := `echo once >>/run/argosy-ends; setsid bash -c "trap '' HUP TERM; exec -a argosy-ends sleep infinity" & wait`
		client := exec.CommandContext(w.T.Context(), labtest.Binary(w.T), "--socket", w.N(1).Socket(), "ssh", tt.node, command)
		if _, err := client.StdinPipe(); err != nil {
			w.T.Fatal(err)
		}
		if err := client.Start(); err != nil {
			w.T.Fatal(err)
		}
		w.WaitCount("argosy-ends", 1, 20*time.Second)
		tt.end(client)
		w.WaitCount("argosy-ends", 0, 30*time.Second)
		if err := client.Wait(); err == nil {
			w.T.Errorf("%s: the client says that all is well", tt.name)
		}
		w.Soon(1, "ssh", tt.node, "true")
		if r := w.Run(1, "ssh", tt.node, "cat /run/argosy-ends; rm /run/argosy-ends"); r.Out != "once\n" {
			w.T.Errorf("%s: it ran %q", tt.name, r.Out)
		}
	}
}

func sshToADeadNode(w *labtest.World) {
	if err := w.N(4).PowerOff(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	r := w.Run(1, "ssh", "node-4", "true")
	if r.Code != 255 || !strings.Contains(r.Err, "node-4") || r.Lasted > 20*time.Second {
		w.T.Errorf("exit code %d after %s: %s", r.Code, r.Lasted, r.Err)
	}
	w.T.Logf("after %s: %s", r.Lasted, r.Err)
	if err := w.N(4).PowerOn(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	w.Soon(1, "ssh", "node-4", "true")
}
