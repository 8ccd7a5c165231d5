package arch_test

import (
	"strings"
	"testing"
)

// Each rule is shown code that breaks it, and must say so; and code that only
// looks like it, about which it must be silent ("").
func TestEachRuleBites(t *testing.T) {
	const head = "// Package x is for this test.\npackage x\n"
	bites := map[string]bool{}
	for _, tt := range []struct{ rule, path, code, want string }{
		{"imports go downwards only", "internal/place/x.go", head + `import _ "argosy/internal/engine"`, "place (floor pure) imports engine (floor services)"},
		{"imports go downwards only", "internal/place/x.go", head + `import e "argosy/internal/place"`, ""},
		{"imports go downwards only", "internal/nowhere/x.go", head, "stands on no floor"},
		{"every library has a door", "internal/agent/x.go", head + `import d "github.com/godbus/dbus/v5"`, "for systemd/bus only"},
		{"every library has a door", "internal/agent/x.go", head + `import "example.org/x"`, "has no door"},
		{"every library has a door", "internal/agent/x.go", head + `import "github.com/google/go-cmp/cmp"`, "has no door"},
		{"every library has a door", "internal/agent/x_test.go", head + `import "github.com/google/go-cmp/cmp"`, ""},
		{"every door is used, and a second has a reason", "internal/agent/x.go", head, "github.com/godbus/dbus has a door in systemd/bus, which does not use it"},
		{"pure packages touch nothing", "internal/place/x.go", head + `import clock "time"` + "\nvar _ = clock.Now()", "calls time.Now"},
		{"pure packages touch nothing", "internal/place/x.go", head + `import "os"`, "imports os"},
		{"pure packages touch nothing", "internal/place/x.go", head + "func f() { go f() }", "starts a goroutine"},
		{"pure packages touch nothing", "internal/place/x_test.go", head + `import "os"`, ""},
		{"nobody makes banned calls", "internal/agent/x.go", head + `import "time"` + "\nfunc f() { time.Sleep(1) }", "time.Sleep: package loop"},
		{"nobody makes banned calls", "internal/agent/x_test.go", head + `import z "time"` + "\nfunc f() { z.Sleep(1) }", "time.Sleep: package loop"},
		{"nobody makes banned calls", "internal/agent/x.go", head + `import "time"` + "\nvar f = time.Sleep", "time.Sleep: package loop"},
		{"nobody makes banned calls", "internal/agent/x.go", head + `import . "time"` + "\nfunc f() { Sleep(1) }", "imported without a name"},
		{"nobody makes banned calls", "internal/agent/x.go", head + `import "math/rand/v2"` + "\nvar n = rand.IntN(3)", "math/rand/v2.IntN"},
		{"nobody makes banned calls", "internal/agent/x.go", head + "type z struct{}\nfunc (z) Sleep(int) {}\nfunc f(time z) { time.Sleep(1) }", ""},
		{"nobody makes banned calls", "internal/agent/x.go", head + `import time "example.org/pace"` + "\nfunc f() { time.Sleep(1) }", ""},
		{"tests wait in bubbles", "internal/nowhere/x_test.go", head + `import "argosy/internal/loop"` + "\nfunc f() { loop.Sleep(nil, 1) }", "a test waits in real time"},
		{"tests wait in bubbles", "internal/nowhere/x_test.go", head + `import ("argosy/internal/loop"; "testing/synctest")` + "\nfunc f() { synctest.Test(nil, nil); loop.Sleep(nil, 1) }", ""},
		{"tests wait in bubbles", "test/lab/world_test.go", head, "waits for nothing any more"},
		{"nobody spins", "internal/agent/x_test.go", head + "func f(done func() bool) { for !done() { } }", "an empty loop"},
		{"nobody spins", "internal/agent/x.go", head + "func f(s []int) (n int) { for n = 0; s[n] > 0; n++ { }; return n }", ""},
		{"every package says what it is for", "internal/agent/x.go", "package x", "has no package comment"},
		{"no init and no mutable package variables", "internal/agent/x.go", head + "func init() {}", "init runs before"},
		{"no init and no mutable package variables", "internal/agent/x.go", head + "var table = map[int]int{}", "package variable table"},
		{"no init and no mutable package variables", "internal/agent/x.go", head + "import e \"errors\"\nvar errX = e.New(\"x\")\nvar _ = 1", ""},
		{"error texts say what was done", "internal/agent/x.go", head + "import f \"fmt\"\nvar _ = f.Errorf(\"failed to read\")", "without the noise"},
		{"error texts say what was done", "internal/agent/x.go", head + "import c \"argosy/internal/cluster\"\nvar _ = c.Errorf(c.Invalid, \"Cannot read\")", "without the noise"},
		{"error texts say what was done", "internal/agent/x.go", head + "import \"errors\"\nvar _ = errors.New(\"read: denied\")", ""},
	} {
		f, err := parse(tt.path, tt.code)
		if err != nil {
			t.Fatal(err)
		}
		found := strings.Join(rules()[tt.rule]([]file{f}), "\n")
		if tt.want == "" && found != "" || !strings.Contains(found, tt.want) {
			t.Errorf("%s: %s\n%s\nfinds %q, want %q", tt.rule, tt.path, tt.code, found, tt.want)
		}
		bites[tt.rule] = bites[tt.rule] || tt.want != ""
	}
	for rule := range rules() {
		if !bites[rule] {
			t.Errorf("nothing shows that this rule bites: %s", rule)
		}
	}
}
