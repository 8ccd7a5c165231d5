package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/lab/labtest"
)

// root is the top of the repository, where the guides' commands are run.
const root = "../.."

// typedIn returns the lines of a page's code blocks that call argosy, without
// prompts and comments.
func typedIn(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^    (?:[a-z]*[#$] )?(argosy .*?)(?: *#.*)?$`)
	var list []string
	for _, match := range line.FindAllStringSubmatch(string(text), -1) {
		list = append(list, strings.TrimSpace(match[1]))
	}
	if len(list) == 0 {
		t.Fatalf("%s has no commands", page)
	}
	return list
}

// placeholder matches what a reader is to replace.
var placeholder = regexp.MustCompile(`<[^ ]+>|…`)

// follows matches commands that go on until they are interrupted.
var follows = regexp.MustCompile(` -[fw]\b| kv watch `)

// typed types a line into a shell that calls the i-th node. A command that
// follows something must show something, and is then interrupted.
func typed(w *labtest.World, i int, line string) (string, error) {
	ctx, cancel := context.WithTimeout(w.T.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", line)
	shell.Dir = root
	shell.Env = append(os.Environ(), "ARGOSY_SOCKET="+w.N(i).Socket(), "PATH="+filepath.Dir(labtest.Binary(w.T))+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	shell.Stderr = &out
	if !follows.MatchString(line) {
		shell.Stdout = &out
		err := shell.Run()
		return out.String(), err
	}
	pipe, err := shell.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := shell.Start(); err != nil {
		return "", err
	}
	first := make([]byte, 200)
	n, err := pipe.Read(first)
	cancel()
	_ = shell.Wait() // killed
	if err != nil {
		return out.String(), fmt.Errorf("showed nothing: %w", err)
	}
	return string(first[:n]), nil
}

// Whatever the guides tell a newcomer to type does what they say it does.
func TestTheCommandsOfTheGuidesWork(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "guide", Nodes: 3})
	lines := typedIn(t, "docs/guide/units.md")
	lines = slices.Concat(lines, typedIn(t, "docs/guide/discovery.md"), typedIn(t, "docs/guide/configuration.md"), typedIn(t, "README.md"))
	for _, line := range lines {
		if placeholder.MatchString(line) || strings.HasPrefix(line, "argosy lab ") || line == "argosy init" {
			continue // see the test below, and those of the lab
		}
		if out, err := typed(w, 1, line); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// The guide to forming a cluster, followed from its first line on.
func TestTheGuideToFormingAClusterWorks(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "guideform", Nodes: 2, NoForm: true})
	node, token := 1, ""
	for _, line := range typedIn(t, "docs/guide/cluster.md") {
		if word := "argosy1.…"; strings.Contains(line, word) {
			node, line = 2, strings.Replace(line, word, token, 1)
		}
		out, err := typed(w, node, line)
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		if strings.HasPrefix(line, "argosy token create") {
			token = regexp.MustCompile(`argosy1\S+`).FindString(out)
		}
	}
	if a, b := w.Status(1), w.Status(2); !b.Formed || a.Cluster.ID != b.Cluster.ID {
		t.Errorf("after the guide's commands, node-2 is %+v", b)
	}
}
