package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The outputs below are those of the go command, shortened.
const (
	passes   = `{"Action":"pass","Package":"x","Test":"TestTwo"}` + "\n" + `{"Action":"pass","Package":"x"}` + "\n"
	noTests  = `{"Action":"pass","Package":"x"}` + "\n"
	fails    = `{"Action":"pass","Test":"TestOne"}` + "\n" + `{"Action":"fail","Test":"TestTwo/it_is"}` + "\n" + `{"Action":"fail","Test":"TestTwo"}` + "\n" + `{"Action":"fail","Package":"x"}` + "\n"
	panics   = `{"Action":"output","Output":"panic: test timed out\n"}` + "\n" + `{"Action":"fail","Package":"x"}` + "\n"
	unbuilt  = `{"Action":"build-output","Output":"undefined: y\n"}` + "\n" + `{"Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"x","FailedBuild":"x"}` + "\n"
	unusable = "go: no such tool\n"
)

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name          string
		whole, broken string // what the tests say of the true and of the broken code
		by, reason    string
	}{
		{"a test that goes red catches the mutant, and the subtest is named", passes, fails, "TestTwo/it_is", ""},
		{"a test program that does not end well catches it too", passes, panics, "the whole test program (panic, or out of time)", ""},
		{"green tests let it survive", passes, passes, "", ""},
		{"what does not compile is no catch", passes, unbuilt, "", "does not compile:\nundefined: y"},
		{"a test that is red anyhow shows nothing", fails, fails, "", "red without any mutant"},
		{"a pattern that no test matches shows nothing", noTests, noTests, "", "runs no test"},
		{"a go command that does not work shows nothing", unusable, unusable, "", "no such tool"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "y.go"), []byte("a\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := &runner{root: root, temp: t.TempDir(), green: map[target]error{}}
			r.command = func(_ context.Context, _ string, _ []string, args ...string) ([]byte, error) {
				out := tt.whole
				if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-overlay=") }) {
					out = tt.broken
				}
				if out == passes || out == noTests {
					return []byte(out), nil
				}
				return []byte(out), errors.New("exit status 1")
			}
			by, err := r.run(t.Context(), mutant{file: "y.go", test: target{"./x", "TestTwo"}, old: "a\n", new: "b\n"})
			if by != tt.by || (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("caught by %q, error %v; want %q and %q", by, err, tt.by, tt.reason)
			}
		})
	}
}

func TestAMutantIsInTheOverlayAndTheTreeStaysAsItIs(t *testing.T) {
	root, temp := t.TempDir(), t.TempDir()
	path := filepath.Join(root, "y.go")
	if err := os.WriteFile(path, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &runner{root: root, temp: temp}
	overlay, err := r.overlay(mutant{file: "y.go", old: "a\n", new: "b\n"})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		path:                        "a\n",
		filepath.Join(temp, "y.go"): "b\n",
		overlay:                     `{"Replace":{"` + path + `":"` + filepath.Join(temp, "y.go") + `"}}`,
	} {
		if got, err := os.ReadFile(file); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", file, got, err, want)
		}
	}
}

func TestASurvivorMakesTheRunFail(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "y.go"), []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &runner{root: root, temp: t.TempDir(), green: map[target]error{}}
	r.command = func(context.Context, string, []string, ...string) ([]byte, error) { return []byte(passes), nil }
	var out bytes.Buffer
	err := table(t.Context(), &out, r, []mutant{{promise: "It holds.", file: "y.go", test: target{"./x", "T"}, old: "a\n"}})
	if err == nil || !strings.Contains(out.String(), "SURVIVED") {
		t.Errorf("error %v, output:\n%s", err, &out)
	}
}
