package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The pages that say which test shows what name tests that there are.
func TestPagesNameTestsThatThereAre(t *testing.T) {
	root := filepath.Join("..", "..")
	var all strings.Builder
	for _, pattern := range []string{"internal/*/*_test.go", "internal/*/*/*_test.go", "test/*/*_test.go", "cmd/*/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 && !strings.HasPrefix(pattern, "cmd") {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	named := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)(?:/([^`]+))?`")
	for _, page := range []string{"docs/CAPABILITIES.md", "docs/GUARANTEES.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names no test", page)
		}
		for _, m := range found {
			if !strings.Contains(all.String(), "func "+m[1]+"(") {
				t.Errorf("%s names %s, which there is not", page, m[1])
			}
			script := filepath.Join(root, "test", "scripts", m[2]+".txtar")
			if _, err := os.Stat(script); err != nil && !strings.Contains(all.String(), `"`+m[2]+`"`) && m[2] != "" {
				t.Errorf("%s names %s/%s, which there is not", page, m[1], m[2])
			}
		}
	}
}
