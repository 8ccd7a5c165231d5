package cli

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"argosy/internal/cli/contexts"
)

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
