package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
func (f file) imports() map[string]ast.Node {
	paths := map[string]ast.Node{}
	for _, spec := range f.ast.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		paths[path] = spec
	}
	return paths
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
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "tools" || d.Name() == "tmpdeps") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pkg := strings.TrimPrefix(filepath.Dir(rel), "internal/")
		test := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(rel, "test/") || pkg == "sim" || strings.HasSuffix(pkg, "test")
		files = append(files, file{rel, pkg, test, parsed, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found: the rules would pass on nothing", len(files))
	}
	return files
}

func floorOf(pkg string) int {
	for i, floor := range floors {
		if slices.Contains(floor.packages, pkg) {
			return i
		}
	}
	return -1
}

func TestImportsGoDownwardsOnly(t *testing.T) {
	for _, f := range load(t) {
		if f.test || !strings.HasPrefix(f.path, "internal/") {
			continue
		}
		from := floorOf(f.pkg)
		if from < 0 {
			t.Errorf("%s: package %s stands on no floor; add it to floors in rules_test.go", f.path, f.pkg)
			continue
		}
		for path, spec := range f.imports() {
			to, ours := strings.CutPrefix(path, "argosy/internal/")
			if !ours || to == f.pkg {
				continue
			}
			if floorOf(to) >= from {
				t.Errorf("%s: %s (floor %s) imports %s (floor %s): imports go downwards only",
					f.at(spec), f.pkg, floors[from].name, to, floors[max(floorOf(to), 0)].name)
			}
		}
	}
}

func TestEveryLibraryHasOneDoor(t *testing.T) {
	for _, f := range load(t) {
		for path, spec := range f.imports() {
			first, _, _ := strings.Cut(path, "/")
			if !strings.Contains(first, ".") || hasPrefix(everywhere, path) || f.test && hasPrefix(testLibraries, path) {
				continue
			}
			if why := refusal(path, f.pkg); why != "" {
				t.Errorf("%s: %s", f.at(spec), why)
			}
		}
	}
}

func refusal(path, pkg string) string {
	for _, door := range doors {
		if !strings.HasPrefix(path, door.library) {
			continue
		}
		if slices.Contains(door.packages, pkg) {
			return ""
		}
		return path + " is for " + strings.Join(door.packages, ", ") + " only: " + door.reason
	}
	return path + " has no door: name the packages that may use it, and why, in rules_test.go"
}

func TestPurePackagesTouchNothing(t *testing.T) {
	for _, f := range load(t) {
		if f.test || !slices.Contains(purePackages, f.pkg) {
			continue
		}
		for path, spec := range f.imports() {
			if why, banned := pureBans[path]; banned {
				t.Errorf("%s: pure package %s imports %s: %s", f.at(spec), f.pkg, path, why)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if _, isGo := n.(*ast.GoStmt); isGo {
				t.Errorf("%s: pure package %s starts a goroutine", f.at(n), f.pkg)
			}
			if call := selector(n); call != "" {
				if why, banned := pureBans[call]; banned {
					t.Errorf("%s: pure package %s calls %s: %s", f.at(n), f.pkg, call, why)
				}
			}
			return true
		})
	}
}

func TestNobodyMakesBannedCalls(t *testing.T) {
	for _, f := range load(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call := selector(n)
			for _, ban := range bannedCalls {
				if call == ban.call && !slices.Contains(ban.allowed, f.pkg) {
					t.Errorf("%s: %s: %s", f.at(n), call, ban.reason)
				}
			}
			return true
		})
	}
}

// selector returns "pkg.Name" if the node is such an expression.
func selector(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Obj != nil { // a local variable, not a package
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range load(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment: a reader starts there", pkg)
		}
	}
}

func TestNoInitAndNoMutablePackageVariables(t *testing.T) {
	for _, f := range load(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s: init runs before anyone asked for it; call it from where it is needed", f.at(d))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					checkVar(t, f, d, spec.(*ast.ValueSpec))
				}
			}
		}
	}
}

// checkVar accepts what cannot change: error sentinels, embedded files, and
// checks that a type has the methods of an interface.
func checkVar(t *testing.T, f file, decl *ast.GenDecl, spec *ast.ValueSpec) {
	t.Helper()
	embedded := decl.Doc != nil && strings.Contains(decl.Doc.List[len(decl.Doc.List)-1].Text, "//go:embed")
	for i, name := range spec.Names {
		sentinel := false
		if i < len(spec.Values) {
			call, isCall := spec.Values[i].(*ast.CallExpr)
			sentinel = isCall && selector(call.Fun) == "errors.New"
		}
		if name.Name != "_" && !embedded && !sentinel {
			t.Errorf("%s: package variable %s: hand state in, return tables from functions", f.at(name), name.Name)
		}
	}
}

func TestErrorTextsSayWhatWasDone(t *testing.T) {
	for _, f := range load(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch selector(call.Fun) {
			case "fmt.Errorf", "errors.New", "cluster.Errorf":
			default:
				return true
			}
			for _, arg := range call.Args {
				lit, ok := arg.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				text, _ := strconv.Unquote(lit.Value)
				if hasPrefix(noise, strings.ToLower(text)) {
					t.Errorf("%s: error text %q: say what was done and what went wrong, without the noise", f.at(lit), text)
				}
				break
			}
			return true
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

func hasPrefix(prefixes []string, s string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
