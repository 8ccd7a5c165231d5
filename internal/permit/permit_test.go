package permit_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/permit"
)

// process is a permit process under test, with clocks that stand still until
// they are set.
type process struct {
	t      *testing.T
	cfg    permit.Config
	fed    chan struct{}
	ended  chan error
	cancel context.CancelFunc

	mu  sync.Mutex
	now permit.Reading
}

func clocks(d time.Duration) permit.Reading { return permit.Reading{Boot: d, Raw: d, Real: d} }

// start runs a process and returns when it has told systemd that it is ready.
func start(t *testing.T, prepare func(permit.Config)) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{
		t: t, fed: make(chan struct{}, 1), ended: make(chan error, 1), now: clocks(time.Hour),
		cfg: permit.Config{Socket: filepath.Join(dir, "s"), Marker: filepath.Join(dir, "held"), Watchdog: 200 * time.Millisecond},
	}
	if prepare != nil {
		prepare(p.cfg)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(t.Context())
	ready := make(chan struct{})
	deps := permit.Deps{
		Log: slog.New(slog.DiscardHandler), Clock: p.clock,
		Harden: func() []string { return []string{"not in a test"} },
		Notify: func(state string) error {
			switch state {
			case "READY=1":
				if p.marked() {
					t.Error("ready while the marker of the process before still stands")
				}
				close(ready)
			case "WATCHDOG=1":
				select {
				case p.fed <- struct{}{}:
				default:
				}
			}
			return nil
		},
	}
	go func() { p.ended <- permit.Run(ctx, p.cfg, deps) }()
	t.Cleanup(p.cancel)
	p.await(ready, "READY=1")
	return p
}

func (p *process) clock() (permit.Reading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, nil
}

func (p *process) set(now permit.Reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
}

func (p *process) marked() bool {
	_, err := os.Stat(p.cfg.Marker)
	return err == nil
}

func (p *process) extend(sent time.Duration) error {
	return permit.Extend(p.t.Context(), p.cfg.Socket, clocks(sent), 10*time.Second)
}

func (p *process) await(c <-chan struct{}, what string) {
	p.t.Helper()
	limit, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	select {
	case <-c:
	case err := <-p.ended:
		p.t.Fatalf("ended while waiting for %s: %v", what, err)
	case <-limit.Done():
		p.t.Fatalf("no %s", what)
	}
}

// end waits until the process is done and returns why.
func (p *process) end() error {
	p.t.Helper()
	limit, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	select {
	case err := <-p.ended:
		return err
	case <-limit.Done():
		p.t.Fatal("the process goes on")
		return nil
	}
}

func TestAProcessFromItsStartToTheEndOfItsPermit(t *testing.T) {
	p := start(t, nil)
	p.await(p.fed, "WATCHDOG=1 without a permit")
	if p.marked() {
		t.Error("a marker without a permit")
	}
	if err := p.extend(time.Hour); err != nil {
		t.Fatal(err)
	}
	if !p.marked() {
		t.Error("no marker although Extend returned")
	}
	p.set(clocks(time.Hour + 9*time.Second))
	if err := p.extend(time.Hour + 8*time.Second); err != nil {
		t.Fatal(err)
	}
	p.set(clocks(time.Hour + 17*time.Second)) // past the first permit, within the second
	<-p.fed                                   // maybe of before
	p.await(p.fed, "WATCHDOG=1 after the extension")

	p.set(clocks(time.Hour + 18*time.Second))
	err := p.end()
	if cluster.KindOf(err) != cluster.Unavailable || !strings.Contains(err.Error(), "permit expired: the last renewal was sent 10s ago") {
		t.Errorf("ended with %v", err)
	}
	if p.marked() {
		t.Error("the marker outlived the process")
	}
	if err := p.extend(time.Hour + 17*time.Second); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("extending when there is no process: %v, want Unavailable", err)
	}
}

func TestAProcessThatIsStoppedSaysSoAndCleansUp(t *testing.T) {
	p := start(t, nil)
	if err := p.extend(time.Hour); err != nil {
		t.Fatal(err)
	}
	p.cancel()
	if err := p.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want the context's error", err)
	}
	for _, path := range []string{p.cfg.Marker, p.cfg.Socket} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was left behind", filepath.Base(path))
		}
	}
}

func TestWhatAKilledProcessLeftIsReplaced(t *testing.T) {
	p := start(t, func(cfg permit.Config) {
		if err := os.WriteFile(cfg.Marker, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: cfg.Socket})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	})
	if err := p.extend(time.Hour); err != nil {
		t.Error(err)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	p := start(t, nil)
	cfg := p.cfg
	cfg.Marker = "" // that of the first is not its own to remove
	limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := permit.Run(limit, cfg, permit.Deps{
		Log: slog.New(slog.DiscardHandler), Harden: func() []string { return nil },
		Notify: func(string) error { return nil },
	})
	if cluster.KindOf(err) != cluster.Exists {
		t.Errorf("second process: %v, want Exists", err)
	}
	if err := p.extend(time.Hour); err != nil {
		t.Errorf("the first was disturbed: %v", err)
	}
}

func TestWhatIsRefusedIsRefusedWithAReason(t *testing.T) {
	p := start(t, nil)
	for _, test := range []struct {
		name string
		sent time.Duration
		kind cluster.Kind
	}{
		{"a renewal that is over", time.Hour - 10*time.Second, cluster.Conflict},
		{"a renewal from the future", time.Hour + time.Second, cluster.Invalid},
	} {
		if err := p.extend(test.sent); cluster.KindOf(err) != test.kind {
			t.Errorf("%s: %v, want %v", test.name, err, test.kind)
		}
	}
	for _, test := range []struct{ name, sent, want string }{
		{"no JSON", "hello\n", "permit message"},
		{"an unknown field", `{"sent":{},"valid":1,"node":"x"}` + "\n", "unknown field"},
		{"an endless message", `{"valid":` + strings.Repeat("1", 5000), "permit message"},
	} {
		conn, err := net.Dial("unix", p.cfg.Socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(test.sent))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, test.want) || !strings.Contains(line, `"code":"invalid"`) {
			t.Errorf("%s: answer %q", test.name, line)
		}
		_ = conn.Close()
	}
	if p.marked() {
		t.Error("a refused message granted a permit")
	}
}

func TestOnlyTheOwnerMayConnect(t *testing.T) {
	p := start(t, nil)
	info, err := os.Stat(p.cfg.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode of the socket %o, want 600", mode)
	}
}

func TestAPeerThatHangsDoesNotKeepTheAgentOut(t *testing.T) {
	p := start(t, nil)
	hanging, err := net.Dial("unix", p.cfg.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	// The agent repeats its renewals anyway.
	err = p.extend(time.Hour)
	for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); {
		err = p.extend(time.Hour)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestAWatchdogTooShortIsRefused(t *testing.T) {
	err := permit.Run(t.Context(), permit.Config{Watchdog: time.Millisecond}, permit.Deps{})
	if cluster.KindOf(err) != cluster.Invalid {
		t.Errorf("watchdog of a millisecond: %v, want Invalid", err)
	}
}

func TestTheKernelsClocksOnlyGrow(t *testing.T) {
	first, err := permit.Now()
	if err != nil {
		t.Fatal(err)
	}
	second, err := permit.Now()
	if err != nil {
		t.Fatal(err)
	}
	if first.Boot <= 0 || first.Raw <= 0 || first.Real <= 0 || permit.Age(first, second) < 0 {
		t.Errorf("readings %+v, then %+v", first, second)
	}
}

// TestHardenDoesOrSays starts this test again as a process of its own, because
// what Harden does to a process cannot be undone.
func TestHardenDoesOrSays(t *testing.T) {
	if os.Getenv("PERMIT_TEST_HARDEN") != "" {
		problems := strings.Join(permit.Harden(), "; ")
		status, _ := os.ReadFile("/proc/self/status")
		os.Stdout.WriteString("problems: " + problems + "\n" + string(status))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHardenDoesOrSays$", "-test.v")
	cmd.Env = append(os.Environ(), "PERMIT_TEST_HARDEN=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said := strings.Contains(string(out), "lock memory: ")
	done := !strings.Contains(string(out), "VmLck:\t       0 kB")
	if said == done {
		t.Errorf("memory locked: %v, said that it is not: %v\n%s", done, said, out)
	}
}
