package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"argosy/internal/cli/contexts"
)

func TestAHangupIsNoEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan bool, 1)
	done := make(chan error, 1)
	signal.Ignore(syscall.SIGHUP) // one that comes too early must not end the test
	defer signal.Reset(syscall.SIGHUP)
	go func() {
		done <- onHangup(ctx, func() {
			select {
			case heard <- true:
			default:
			}
		})
	}()
	for range 2 {
		await(t, heard, func() {
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		})
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// await sends again and again until it was heard.
func await(t *testing.T, heard <-chan bool, send func()) {
	t.Helper()
	for range 1000 {
		send()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		select {
		case <-heard:
			cancel()
			return
		case <-ctx.Done():
			cancel()
		}
	}
	t.Fatal("the signal was not heard")
}

func TestWhenTheDaemonIsInstalled(t *testing.T) {
	cases := map[string]struct {
		line string
		want bool
	}{
		"init installs this machine's daemon":     {"argosy init", true},
		"join installs this machine's daemon":     {"argosy join TOKEN", true},
		"a daemon that was named is not ours":     {"argosy --socket /somewhere init", false},
		"a bad argument installs nothing":         {"argosy init --address here", false},
		"leave has no use for a daemon it starts": {"argosy leave --yes", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			installed := false
			Run(t.Context(), strings.Fields(c.line), Env{
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
				Getenv: func(string) string { return "" }, IsTerminal: func(any) bool { return false }, Now: testNow,
				Dial:    func(context.Context, contexts.Context) (Backend, error) { return &fake{}, nil },
				Install: func(context.Context, *slog.Logger) error { installed = true; return nil },
			})
			if installed != c.want {
				t.Errorf("installed is %t\n%s", installed, out.String())
			}
		})
	}
}
