package arch_test

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A check looks at files and returns what breaks its rule, a line each. The same
// checks run on the repository, where they find nothing, and on pieces of bad
// code, where they must.
type check = func(files []file) (findings []string)

func importsGoDownwards(files []file) (findings []string) {
	for _, f := range files {
		if f.test || !strings.HasPrefix(f.path, "internal/") {
			continue
		}
		from := floorOf(f.pkg)
		if from < 0 {
			findings = append(findings, f.path+": package "+f.pkg+" stands on no floor; add it to floors in rules_test.go")
			continue
		}
		for path, spec := range f.imports() {
			to, ours := strings.CutPrefix(path, "argosy/internal/")
			if ours && to != f.pkg && floorOf(to) >= from {
				findings = append(findings, f.at(spec)+": "+f.pkg+" (floor "+floors[from].name+") imports "+to+
					" (floor "+floors[max(floorOf(to), 0)].name+"): imports go downwards only")
			}
		}
	}
	return findings
}

func floorOf(pkg string) int {
	for i, floor := range floors {
		if slices.Contains(floor.packages, pkg) {
			return i
		}
	}
	return -1
}

func librariesHaveADoor(files []file) (findings []string) {
	for _, f := range files {
		for path, spec := range f.imports() {
			first, _, _ := strings.Cut(path, "/")
			if !strings.Contains(first, ".") || hasPrefix(everywhere, path) || f.test && hasPrefix(testLibraries, path) {
				continue
			}
			if why := refusal(path, f.pkg); why != "" {
				findings = append(findings, f.at(spec)+": "+why)
			}
		}
	}
	return findings
}

func refusal(path, pkg string) string {
	door, ok := doorOf(path)
	switch {
	case !ok:
		return path + " has no door: name the package that may use it, and why, in rules_test.go"
	case !slices.Contains(door.packages, pkg):
		return path + " is for " + strings.Join(door.packages, ", ") + " only: " + door.reason
	}
	return ""
}

func doorOf(path string) (door, bool) {
	for _, d := range doors {
		if strings.HasPrefix(path, d.library) {
			return d, true
		}
	}
	return door{}, false
}

// doorsAreUsed finds doors that lead nowhere, and second doors without a reason.
func doorsAreUsed(files []file) (findings []string) {
	used := map[string]bool{}
	for _, f := range files {
		for path := range f.imports() {
			if d, ok := doorOf(path); ok {
				used[d.library+" "+f.pkg] = true
			}
		}
	}
	for _, d := range doors {
		for _, pkg := range d.packages {
			if !used[d.library+" "+pkg] {
				findings = append(findings, d.library+" has a door in "+pkg+", which does not use it: take it out of rules_test.go")
			}
		}
		if len(d.packages) != 1 && d.second == "" {
			findings = append(findings, d.library+" has more than one door, and no reason for the second in rules_test.go")
		}
	}
	return findings
}

func pureTouchesNothing(files []file) (findings []string) {
	for _, f := range files {
		if f.test || !slices.Contains(purePackages, f.pkg) {
			continue
		}
		for path, spec := range f.imports() {
			if why, banned := pureBans[path]; banned {
				findings = append(findings, f.at(spec)+": pure package "+f.pkg+" imports "+path+": "+why)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if _, isGo := n.(*ast.GoStmt); isGo {
				findings = append(findings, f.at(n)+": pure package "+f.pkg+" starts a goroutine")
			}
			if call := f.selector(n); call != "" {
				if why, banned := pureBans[call]; banned {
					findings = append(findings, f.at(n)+": pure package "+f.pkg+" calls "+call+": "+why)
				}
			}
			return true
		})
	}
	return findings
}

func nobodyMakesBannedCalls(files []file) (findings []string) {
	for _, f := range files {
		for path, spec := range f.imports() {
			if spec.Name != nil && spec.Name.Name == "." {
				findings = append(findings, f.at(spec)+": "+path+" is imported without a name: a reader cannot see whose a call is")
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call := f.selector(n)
			for _, ban := range bannedCalls {
				if call == ban.call && !slices.Contains(ban.allowed, f.pkg) {
					findings = append(findings, f.at(n)+": "+call+": "+ban.reason)
				}
			}
			return true
		})
	}
	return findings
}

// testsWaitInBubbles finds tests that let real time pass. A test file that works
// in bubbles says so by its imports, or that of a helper by those of its package.
func testsWaitInBubbles(files []file) (findings []string) {
	bubbles := map[string]bool{}
	for _, f := range files {
		if _, ok := f.imports()["testing/synctest"]; ok {
			bubbles[f.pkg] = true
		}
	}
	used := map[string]bool{}
	for _, f := range files {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if f.selector(n) != "argosy/internal/loop.Sleep" {
				return true
			}
			_, file := realWaits[f.path]
			_, folder := realWaits[f.pkg]
			switch {
			case file:
				used[f.path] = true
			case folder:
				used[f.pkg] = true
			case !bubbles[f.pkg]:
				findings = append(findings, f.at(n)+": a test waits in real time: put it into a synctest bubble, or say in realWaits what it waits for")
			}
			return true
		})
	}
	for path := range realWaits {
		if !used[path] && slices.ContainsFunc(files, func(f file) bool { return f.path == path || f.pkg == path }) {
			findings = append(findings, path+": waits for nothing any more; take it out of realWaits")
		}
	}
	return findings
}

// nobodySpins finds loops that do nothing but look again, as fast as they can.
func nobodySpins(files []file) (findings []string) {
	for _, f := range files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			loop, ok := n.(*ast.ForStmt)
			if ok && len(loop.Body.List) == 0 && loop.Post == nil {
				findings = append(findings, f.at(n)+": an empty loop takes a whole core for itself; wait between two looks")
			}
			return true
		})
	}
	return findings
}

func packagesAreExplained(files []file) (findings []string) {
	documented := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.path, "_test.go") {
			documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil
		}
	}
	for pkg, ok := range documented {
		if !ok {
			findings = append(findings, "package "+pkg+" has no package comment: a reader starts there")
		}
	}
	return findings
}

func nothingIsGlobal(files []file) (findings []string) {
	for _, f := range files {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					findings = append(findings, f.at(d)+": init runs before anyone asked for it; call it from where it is needed")
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					findings = append(findings, variables(f, d, spec.(*ast.ValueSpec))...)
				}
			}
		}
	}
	return findings
}

// variables accepts what cannot change: error sentinels, embedded files, and
// checks that a type has the methods of an interface.
func variables(f file, decl *ast.GenDecl, spec *ast.ValueSpec) (findings []string) {
	embedded := decl.Doc != nil && strings.Contains(decl.Doc.List[len(decl.Doc.List)-1].Text, "//go:embed")
	for i, name := range spec.Names {
		sentinel := false
		if i < len(spec.Values) {
			call, isCall := spec.Values[i].(*ast.CallExpr)
			sentinel = isCall && f.selector(call.Fun) == "errors.New"
		}
		if name.Name != "_" && !embedded && !sentinel {
			findings = append(findings, f.at(name)+": package variable "+name.Name+": hand state in, return tables from functions")
		}
	}
	return findings
}

func errorTextsSaySomething(files []file) (findings []string) {
	for _, f := range files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains([]string{"fmt.Errorf", "errors.New", "argosy/internal/cluster.Errorf"}, f.selector(call.Fun)) {
				return true
			}
			for _, arg := range call.Args {
				lit, ok := arg.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				if text, _ := strconv.Unquote(lit.Value); hasPrefix(noise, strings.ToLower(text)) {
					findings = append(findings, f.at(lit)+": error text "+strconv.Quote(text)+": say what was done and what went wrong, without the noise")
				}
				break
			}
			return true
		})
	}
	return findings
}

// selector returns "import/path.Name" if the node is the name of something in
// another package, whatever that package is called in this file.
func (f file) selector(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Obj != nil { // a local variable, not a package
		return ""
	}
	if path, ok := f.named()[x.Name]; ok {
		return path + "." + sel.Sel.Name
	}
	return ""
}

// named returns the import paths of a file by the names that it calls them.
func (f file) named() map[string]string {
	names := map[string]string{}
	for path, spec := range f.imports() {
		name := lastWord(path)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	return names
}

// lastWord is what a package is called by whoever gives it no other name.
func lastWord(importPath string) string {
	last := path.Base(importPath)
	if len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = path.Base(path.Dir(importPath)) // a major version
	}
	return last
}

func hasPrefix(prefixes []string, s string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
