package lab_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"argosy/internal/lab/labtest"
)

// app answers over HTTP at the port that it is told, with 500 while a file is there,
// and notes what its node knows of it when it is told to stop.
const app = `[Service]
ExecStart=/usr/bin/perl -MIO::Socket::INET -e ' \
    my $$server = IO::Socket::INET->new(LocalPort => $$ENV{PORT_APP}, Listen => 64, ReuseAddr => 1) or die "port: $$!"; \
    while (my $$client = $$server->accept) { \
        while (<$$client>) { last if /^\\r?$$/ } \
        print $$client "HTTP/1.0 ", (-e "/run/argosy-sick" ? 500 : 200), " so\\r\\nContent-Length: 5\\r\\n\\r\\nhello"; \
        close $$client; \
    }'
ExecStop=/bin/sh -c 'argosy services app --no-legend --fields health,problem > /run/argosy-at-stop'
[X-Argosy]
Require=name=node-4
Publish=app auto/tcp version=1
Health=http://app/healthz
HealthInterval=300ms
HealthRetries=2
`

// Of a unit on a worker: its port is chosen there, its health is asked for, parameters
// change while it runs, and before it is told to stop everybody knows.
func TestHealthPortsAndParameters(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "health", Nodes: 4})
	const worker = 4
	w.OK(1, "start", w.File("app.service", app))
	everywhere := func(what, want string) {
		t.Helper()
		for i := 1; i <= worker; i++ {
			w.Wait(10*time.Second, what, func() string {
				r := w.Run(i, "services", "--no-legend", "--fields", "health,parameters,problem")
				if got := strings.Join(strings.Fields(r.Out), " "); r.Code != 0 || got != want {
					return fmt.Sprintf("node-%d: exit code %d, %q%s, want %q", i, r.Code, got, r.Err, want)
				}
				return ""
			})
		}
	}
	pid := func() string { return w.OK(1, "list-units", "--no-legend", "--fields", "pid") }
	everywhere("an answer that is good", "healthy version=1 -")
	port := strings.TrimSpace(w.OK(1, "services", "app", "--no-legend", "--fields", "port"))
	get := fmt.Sprintf("exec 3<>/dev/tcp/10.77.0.4/%s && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3", port)
	address := strings.TrimSpace(w.OK(1, "services", "app", "--no-legend", "--fields", "address"))
	if r := w.In(2, "bash", "-c", strings.ReplaceAll(get, "10.77.0.4", address)); !strings.HasSuffix(r.Out, "hello") {
		t.Errorf("port %s answers %q%s", port, r.Out, r.Err)
	}

	before := pid()
	w.In(worker, "touch", "/run/argosy-sick")
	everywhere("an answer that is not", "unhealthy version=1 it is not healthy: HTTP 500")
	if row := w.OK(1, "list-units", "--no-legend", "--fields", "active,problem"); !strings.Contains(row, "active") || !strings.Contains(row, "it is not healthy: HTTP 500") {
		t.Errorf("it is listed as %q", row)
	}
	if r := w.In(worker, "systemctl", "restart", "argosy.service"); r.Code != 0 {
		t.Fatal(r.Err)
	}
	w.In(worker, "rm", "/run/argosy-sick")
	everywhere("a good one again", "healthy version=1 -")
	w.OK(2, "parameters", "app", "weight=7", "version=2")
	everywhere("other parameters", "healthy version=2,weight=7 -")
	if after := pid(); after != before {
		t.Errorf("process %s, before %s", after, before)
	}
	if got := strings.TrimSpace(w.OK(1, "services", "app", "--no-legend", "--fields", "port")); got != port {
		t.Errorf("after the restart of its daemon it has port %s, before %s", got, port)
	}

	w.OK(1, "restart", "app.service")
	if r := w.In(worker, "cat", "/run/argosy-at-stop"); !strings.Contains(r.Out, "unhealthy") || !strings.Contains(r.Out, "it is about to stop: a restart was asked for") {
		t.Errorf("when it was told to stop, its node knew %q", r.Out)
	}
	everywhere("it is back", "healthy version=2,weight=7 -")
	w.OK(1, "destroy", "app")
	everywhere("it is gone", "")
	if r := w.In(worker, "sh", "-c", "ls /run/argosy/environment /run/systemd/system | grep app.service"); r.Out != "" {
		t.Errorf("left: %q", r.Out)
	}
}
