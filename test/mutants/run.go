package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// runner runs mutants.
type runner struct {
	root, temp string
	// command runs a command in the root and returns its output, both streams.
	command func(ctx context.Context, root string, env []string, args ...string) ([]byte, error)
	green   map[target]error // what the tests say of the true code
	verbose io.Writer        // nil: quiet
}

// run breaks one promise and returns the test that noticed, or "" if none did.
// An error says that the mutant shows nothing: it does not fit the code, does
// not compile, or its test is not green without it.
func (r *runner) run(ctx context.Context, m mutant) (caughtBy string, err error) {
	if _, known := r.green[m.test]; !known {
		r.green[m.test] = r.isGreen(ctx, m)
	}
	if err := r.green[m.test]; err != nil {
		return "", err
	}
	overlay, err := r.overlay(m)
	if err != nil {
		return "", err
	}
	got, err := r.test(ctx, m, overlay)
	if err != nil || !got.failed {
		return "", err
	}
	return got.by, nil
}

// isGreen runs a mutant's test on the true code, where it must pass.
func (r *runner) isGreen(ctx context.Context, m mutant) error {
	got, err := r.test(ctx, m, "")
	switch {
	case err != nil:
		return err
	case got.failed:
		return fmt.Errorf("%s is red without any mutant: %s", m.test, got.by)
	case got.passed == 0:
		return fmt.Errorf("%s runs no test", m.test)
	}
	return nil
}

// overlay writes the file with the promise broken, and the file that tells the
// go command to read it in the place of the true one.
func (r *runner) overlay(m mutant) (string, error) {
	path := filepath.Join(r.root, m.file)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	broken, err := m.apply(string(text))
	if err != nil {
		return "", err
	}
	if r.verbose != nil {
		fmt.Fprintf(r.verbose, "\n%s: %s\n%s\nin the place of\n%s", m.at, m.file, m.new, m.old)
	}
	replacement := filepath.Join(r.temp, filepath.Base(m.file))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: replacement}})
	if err != nil {
		return "", err
	}
	description := filepath.Join(r.temp, "overlay.json")
	return description, errors.Join(os.WriteFile(replacement, []byte(broken), 0o600), os.WriteFile(description, overlay, 0o600))
}

// test runs a mutant's test. The code of lab nodes is the program that they
// run, so there that is what gets the overlay; the test itself gets it only
// where it drives the lab with the very code that is broken.
func (r *runner) test(ctx context.Context, m mutant, overlay string) (outcome, error) {
	var with, env []string
	timeout := "1m"
	if overlay != "" {
		with = []string{"-overlay=" + overlay}
	}
	if m.lab {
		binary := filepath.Join(r.temp, "argosy")
		env = []string{"CGO_ENABLED=0", "ARGOSY_BINARY=" + binary}
		build := append([]string{"go", "build", "-trimpath"}, with...)
		if out, err := r.command(ctx, r.root, env, append(build, "-o", binary, "./cmd/argosy")...); err != nil {
			return outcome{}, fmt.Errorf("does not compile:\n%s", out)
		}
		timeout = "15m"
		if !strings.HasPrefix(m.file, "internal/lab/") {
			with = nil
		}
	}
	args := append([]string{"go", "test", "-json", "-vet=off", "-count=1", "-timeout=" + timeout}, with...)
	out, err := r.command(ctx, r.root, env, append(args, "-run="+m.test.pattern, m.test.pkg)...)
	if r.verbose != nil {
		_, _ = r.verbose.Write(texts(out))
	}
	return judge(out, err)
}

// outcome is how a run of tests ended.
type outcome struct {
	failed bool
	by     string // the first failed test that has no failed subtest, if any
	passed int    // tests and subtests
}

// event is a line of "go test -json" (go doc test2json).
type event struct {
	Action, Test, Output, FailedBuild string
}

// judge reads the output of "go test -json" and how it ended. Tests that were
// not built are an error: they have not noticed anything.
func judge(out []byte, ended error) (outcome, error) {
	var o outcome
	var failed []string
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue // what the go command says itself
		}
		switch {
		case e.Action == "build-fail" || e.FailedBuild != "":
			return outcome{}, fmt.Errorf("does not compile:\n%s", texts(out))
		case e.Test != "" && e.Action == "pass":
			o.passed++
		case e.Test != "" && e.Action == "fail":
			failed = append(failed, e.Test)
		case e.Action == "fail":
			o.failed = true
		}
	}
	if ended != nil && !o.failed {
		return outcome{}, fmt.Errorf("go test: %w:\n%s", ended, out)
	}
	o.by = "the whole test program (panic, or out of time)"
	if len(failed) > 0 {
		o.by = failed[0] // subtests end before their parents
	}
	return o, nil
}

// texts returns what people would have seen of the output of "go test -json".
func texts(out []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			b.Write(line)
			continue
		}
		b.WriteString(e.Output)
	}
	return b.Bytes()
}

// goCommand runs a command in a folder and returns what it printed.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	// Interrupted, not killed: it must end its own children, and a lab its nodes.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.CombinedOutput()
}
