package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/internal/cli/contexts"
	"argosy/internal/unitfile"
)

// update, if set in the environment, writes the reference instead of comparing
// it: ARGOSY_UPDATE=1 go test ./internal/cli.
const update = "ARGOSY_UPDATE"

func TestTheReferenceIsWhatTheHelpSays(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "cli.md")
	got := run(t, &fake{}, "argosy help --markdown").out
	if os.Getenv(update) != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/reference/cli.md is old; %s=1 go test ./internal/cli writes it anew\n%s", update, diff)
	}
}

func TestTheReferenceOfUnitKeysIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "unit-keys.md")
	got := unitKeysPage()
	if os.Getenv(update) != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/reference/unit-keys.md is old; %s=1 go test ./internal/cli writes it anew\n%s", update, diff)
	}
}

// unitKeysPage is the help on unit keys as a page.
func unitKeysPage() string {
	var text strings.Builder
	text.WriteString(`# Keys of unit files

What the cluster reads of a unit file; systemd ignores these sections and reads all others. ` + "`argosy help unit-keys`" + ` says
the same. Specifiers ` + "`%n %N %p %P %i %I %j %J %%`" + ` are expanded. Each key is checked when the unit is submitted: what cannot
be read, or cannot be obeyed together, is refused with file, line, reason and hint; an unknown key of [X-Argosy] is an
error, one of [X-Fleet] a warning, as it was.

This page is generated (` + "`make docs`" + `).
`)
	section := ""
	for _, key := range unitfile.Keys() {
		if key.Section != section {
			section = key.Section
			text.WriteString("\n## [" + section + "]\n\n| key | for instance | meaning |\n|---|---|---|\n")
		}
		meaning := key.Meaning
		if len(key.Legacy) > 0 {
			meaning += " Older spellings: `" + strings.Join(key.Legacy, "=`, `") + "=`."
		}
		text.WriteString("| `" + key.Name + "=` | `" + strings.ReplaceAll(key.Form, "|", "\\|") + "` | " + meaning + " |\n")
	}
	return text.String()
}

// everyVerb returns all commands that do something, by their paths.
func everyVerb(t *testing.T) map[string]*cobra.Command {
	t.Helper()
	all := map[string]*cobra.Command{}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Runnable() && !cmd.HasSubCommands() {
			all[cmd.CommandPath()] = cmd
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(newRoot(&app{env: Env{Getenv: func(string) string { return "" }}, name: "argosy"}))
	return all
}

func TestEveryVerbIsExplained(t *testing.T) {
	for path, cmd := range everyVerb(t) {
		if cmd.Hidden {
			continue
		}
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks a sentence, a text or an example", path)
		}
		if strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the sentence in listings has no full stop", path)
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if len([]rune(line)) > 82 {
				t.Errorf("%s: a line of the help is too long for a terminal: %q", path, line)
			}
		}
	}
}

// Every example is parsed as the command line would, flags and number of
// arguments included; only the work itself is left out.
func TestEveryExampleIsACommandLine(t *testing.T) {
	for path, cmd := range everyVerb(t) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, " # ") // a shell's comment
			line, _, _ = strings.Cut(strings.TrimSpace(line), " > ")
			line = strings.TrimSuffix(strings.TrimPrefix(line, "source <("), ")")
			line, _, _ = strings.Cut(line, " < ")
			words, err := unitfile.SplitWords(line, unitfile.Retain)
			if err != nil {
				t.Fatal(err)
			}
			if err := parses(path, words); err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
			}
		}
	}
}

// errParsed ends a parse before the work begins.
var errParsed = errors.New("parsed")

func parses(path string, words []string) error {
	a := &app{env: Env{Getenv: func(string) string { return "" }}, name: "argosy"}
	if len(words) == 0 || words[0] != "argosy" {
		return errors.New("an example begins with argosy")
	}
	root := newRoot(a)
	line, err := expandVerbs(root, words[1:])
	if err != nil {
		return err
	}
	root.SetArgs(line)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.CommandPath() != path {
			return errors.New("it is an example of " + cmd.CommandPath())
		}
		return errParsed
	}
	if err := root.Execute(); !errors.Is(err, errParsed) {
		return err
	}
	return nil
}

func TestNoFlagOfAVerbHidesAGlobalOne(t *testing.T) {
	root := newRoot(&app{env: Env{Getenv: func(string) string { return "" }}, name: "argosy"})
	for path, cmd := range everyVerb(t) {
		cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
			if root.PersistentFlags().Lookup(flag.Name) != nil {
				t.Errorf("%s hides --%s", path, flag.Name)
			}
		})
	}
}

func TestTheHelpHasEveryUnitKey(t *testing.T) {
	text := run(t, &fake{}, "argosy help unit-keys").out
	for _, key := range unitfile.Keys() {
		if !strings.Contains(text, key.Name+"=") {
			t.Errorf("%s is missing", key.Name)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := run(t, &fake{}, "argosy completion "+shell); got.code != 0 || !strings.Contains(got.out, "__complete") {
			t.Errorf("%s: exit %d, %d bytes", shell, got.code, len(got.out))
		}
	}
	cases := map[string]struct {
		args []string
		want []string
	}{
		"verbs":           {[]string{"sta"}, []string{"start", "status"}},
		"names of units":  {[]string{"stop", "h"}, []string{"hello.service"}},
		"units and nodes": {[]string{"events", ""}, []string{"hello.service", "node-1", "node-2", "node-3"}},
		"where to go":     {[]string{"ssh", ""}, []string{"hello.service", "node-1", "node-2", "node-3"}},
		"names of nodes":  {[]string{"journal", "--node", ""}, []string{"node-1", "node-2", "node-3"}},
		"forms of output": {[]string{"list-units", "-o", "w"}, []string{"wide"}},
		"columns":         {[]string{"token", "ls", "--fields", ""}, []string{"id", "uses", "expires", "state", "created", "usedby"}},
		"contexts":        {[]string{"--context", ""}, []string{"local", "prod"}},
		"a context to go": {[]string{"context", "use", ""}, []string{"local", "prod"}},
		"keys":            {[]string{"kv", "get", "/a"}, []string{"/app/motd", "/app/raw"}},
		"shells":          {[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"HOME": t.TempDir()}
			path, err := contexts.Path(func(name string) string { return env[name] })
			if err != nil {
				t.Fatal(err)
			}
			if err := contexts.Save(path, contexts.File{Contexts: []contexts.Context{{Name: "prod", Socket: "/prod.sock"}}}); err != nil {
				t.Fatal(err)
			}
			got := session{env: env}.run(t, someCluster(), append([]string{"argosy", "__completeNoDesc"}, c.args...)...)
			for _, word := range c.want {
				if !strings.Contains("\n"+got.out, "\n"+word+"\n") {
					t.Errorf("%s is not proposed in\n%s", word, got.out)
				}
			}
		})
	}
}
