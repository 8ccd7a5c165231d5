package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// file is one parsed Go file of the repository.
type file struct {
	path string // relative to the root of the repository
	pkg  string // folder below internal/, or "cmd/argosy"
	test bool
	ast  *ast.File
	fset *token.FileSet
}

func (f file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// imports returns the import paths of a file.
func (f file) imports() map[string]*ast.ImportSpec {
	paths := map[string]*ast.ImportSpec{}
	for _, spec := range f.ast.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		paths[path] = spec
	}
	return paths
}

// parse parses one file of the repository; with a nil text it is read.
func parse(rel string, text any) (file, error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, filepath.Join("../..", rel), text, parser.ParseComments)
	pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(rel)), "internal/")
	test := strings.HasSuffix(rel, "_test.go") || strings.HasPrefix(rel, "test/") || pkg == "sim" || strings.HasSuffix(pkg, "test")
	return file{rel, pkg, test, parsed, fset}, err
}

// load parses every Go file of the repository.
func load(t *testing.T) []file {
	t.Helper()
	const root = "../.."
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || path == filepath.Join(root, "tools")) {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := parse(rel, nil)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found: the rules would pass on nothing", len(files))
	}
	return files
}

// rules are the checks by what they demand.
func rules() map[string]check {
	return map[string]check{
		"imports go downwards only":                     importsGoDownwards,
		"every library has a door":                      librariesHaveADoor,
		"every door is used, and a second has a reason": doorsAreUsed,
		"pure packages touch nothing":                   pureTouchesNothing,
		"nobody makes banned calls":                     nobodyMakesBannedCalls,
		"tests wait in bubbles":                         testsWaitInBubbles,
		"nobody spins":                                  nobodySpins,
		"every package says what it is for":             packagesAreExplained,
		"no init and no mutable package variables":      nothingIsGlobal,
		"error texts say what was done":                 errorTextsSaySomething,
	}
}

func TestTheRulesOfTheHouse(t *testing.T) {
	files := load(t)
	for name, find := range rules() {
		t.Run(name, func(t *testing.T) {
			for _, finding := range find(files) {
				t.Error(finding)
			}
		})
	}
}

func TestNoFileNamesAPathOfTheMachineItWasWrittenOn(t *testing.T) {
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// The folder that holds the repository is no hint: it may be /tmp, which
	// files name for other reasons.
	if filepath.Dir(here) == "/" {
		t.Skipf("%s lies at the top of the file system, where any path may have that name", here)
	}
	for _, f := range load(t) {
		text, err := os.ReadFile(filepath.Join("../..", f.path))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), here+"/") {
			t.Errorf("%s names a path of this machine", f.path)
		}
	}
}
