package unitfile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestHealth(t *testing.T) {
	asked := func(p unitfile.Probe, changes ...func(*unitfile.Health)) unitfile.Health {
		h := unitfile.Health{Probe: p, Interval: 5 * time.Second, Timeout: 2 * time.Second, Grace: time.Minute, Retries: 3}
		for _, change := range changes {
			change(&h)
		}
		return h
	}
	for _, tt := range []struct {
		name string
		unit cluster.UnitName
		text string
		want unitfile.Health
	}{
		{"nothing is said: systemd's word counts", "a.service", "Publish=web 80", unitfile.Health{}},
		{"so it does if that is said", "a.service", "Health=systemd", unitfile.Health{}},
		{"a path of HTTP", "a.service", "Health=http://:8080/healthz?full=1", asked(unitfile.Probe{Kind: "http", Port: 8080, Path: "/healthz?full=1"})},
		{"without a path it is the root", "a.service", "Health=https://:8443", asked(unitfile.Probe{Kind: "https", Port: 8443, Path: "/"})},
		{"a port of TCP", "a.service", "Health=tcp://:5432", asked(unitfile.Probe{Kind: "tcp", Port: 5432})},
		{"a host", "a.service", "Health=tcp://[::1]:5432", asked(unitfile.Probe{Kind: "tcp", Host: "::1", Port: 5432})},
		{"the host itself", "a.service", "Health=tcp://localhost:5432", asked(unitfile.Probe{Kind: "tcp", Host: "127.0.0.1", Port: 5432})},
		{"gRPC", "a.service", "Health=grpc://:9000", asked(unitfile.Probe{Kind: "grpc", Port: 9000})},
		{"gRPC, one service of several", "a.service", "Health=grpc://:9000/shop.Cart", asked(unitfile.Probe{Kind: "grpc", Port: 9000, Path: "shop.Cart"})},
		{"what is published, by its name", "a.service", "Publish=web auto\nPublish=admin 81\nHealth=http://web/ok", asked(unitfile.Probe{Kind: "http", Service: "web", Path: "/ok"})},
		{"the only one that is published", "a.service", "Publish=web auto\nPublish=dns 53/udp\nHealth=grpc", asked(unitfile.Probe{Kind: "grpc", Service: "web"})},
		{"a command", "a.service", `Health=exec:/usr/bin/check --say "two words" %n`, asked(unitfile.Probe{Kind: "exec", Command: []string{"/usr/bin/check", "--say", "two words", "a.service"}})},
		{
			"all else", "a.service", "Health=tcp://:1\nHealthInterval=500ms\nHealthTimeout=30s\nHealthRetries=1\nHealthGrace=0\nHealthOnFailure=restart",
			asked(unitfile.Probe{Kind: "tcp", Port: 1}, func(h *unitfile.Health) {
				h.Interval, h.Timeout, h.Retries, h.Grace, h.Restart = 500*time.Millisecond, 30*time.Second, 1, 0, true
			}),
		},
		{"an instance has a port of its own", "web@2.service", "Health=tcp://:800%i", asked(unitfile.Probe{Kind: "tcp", Port: 8002})},
		{"a template is judged without its instance", "web@.service", "Publish=web-%i 8080\nHealth=tcp\nHealth=http://web-1/\nHealth=tcp://:800%i\nHealthRetries=2", unitfile.Health{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := mustParse(t, "[X-Argosy]\n"+tt.text)
			got, findings := unitfile.PublishedBy(tt.unit, file)
			if diff := cmp.Diff(tt.want, got.Health); diff != "" || len(findings) > 0 {
				t.Errorf("(-want +got):\n%s%v", diff, findings)
			}
			if err := unitfile.Refusal(tt.unit, unitfile.Check(tt.unit, "[Service]\nExecStart=/bin/true\n[X-Argosy]\n"+tt.text)); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestAQuestionThatCannotBeAskedIsRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"Health=ping", "line 4: error: Health=ping is not known (write for instance http://:8080/healthz, tcp://:5432,"},
		{"Health=ftp://:21", "Health=ftp://:21 is not known"},
		{"Health=tcp", "Health=tcp says no port, and the unit publishes 0 services over TCP, not one (write tcp://:PORT or tcp://SERVICE)"},
		{"Publish=a 1\nPublish=b 2\nHealth=http", "line 6: error: Health=http says no port, and the unit publishes 2 services over TCP"},
		{"Publish=dns 53/udp\nHealth=tcp://dns", `no port, and "dns" is no service that the unit publishes over TCP`},
		{"Health=tcp://:0", `"0" is no port`},
		{"Health=tcp://:65536", `"65536" is no port`},
		{"Health=tcp://:80/path", "there is no such path to ask for"},
		{"Health=grpc://:80/a?b", "there is no such path to ask for"},
		{"Health=http://db.example.com:80/", "the host is an IP address, or localhost (leave the host out to ask where others reach the unit)"},
		{"Health=http://user@:80/", "what comes after :// is no host and port"},
		{"Health=http://:80/#here", "what comes after :// is no host and port"},
		{"Health=http://:x/", "what comes after :// is no host and port"},
		{"Health=exec:", "a command begins with the path of its program (write for instance exec:/usr/bin/check)"},
		{"Health=exec:check", "a command begins with the path of its program"},
		{"Health=exec:/bin/sh -c 'x", "quote ' is not closed"},
		{"HealthInterval=1s", "line 4: error: HealthInterval= is for units that are asked for their health, and Health= is not given"},
		{"Health=systemd\nHealthOnFailure=restart", "line 5: error: HealthOnFailure= is for units that are asked for their health"},
		{"Health=tcp://:1\nHealthInterval=10ms", "HealthInterval=10ms: from 100ms to 1h0m0s"},
		{"Health=tcp://:1\nHealthTimeout=infinity", "HealthTimeout=infinity: from 10ms to 1m0s"},
		{"Health=tcp://:1\nHealthRetries=0", "HealthRetries=0: write a whole number from 1 to 100"},
		{"Health=tcp://:1\nHealthOnFailure=reboot", "HealthOnFailure=reboot is not known (write restart or none)"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			findings := unitfile.Check("web.service", "[Service]\nExecStart=/bin/true\n[X-Argosy]\n"+tt.text+"\n")
			var all []string
			for _, f := range findings {
				all = append(all, f.String())
			}
			if text := strings.Join(all, "\n"); !strings.Contains(text, tt.want) || unitfile.Refusal("web.service", findings) == nil {
				t.Errorf("findings %q, want %q", text, tt.want)
			}
		})
	}
	if findings := unitfile.Check("a.socket", "[Socket]\nListenStream=80\n[X-Argosy]\nHealth=tcp://:80\n"); unitfile.Refusal("a.socket", findings) == nil {
		t.Errorf("a socket is asked: %v", findings)
	}
}
