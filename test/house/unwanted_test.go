package house

import (
	"bytes"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestFilesAreShort(t *testing.T) {
	const limit = 400
	for _, f := range goFiles(t) {
		if f.lines > limit && !f.isGenerated() {
			t.Errorf("%s has %d lines, more than %d: it holds more than one thing", f.path, f.lines, limit)
		}
	}
}

// A name must say what is inside.
func TestNamesSaySomething(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "misc", "lib", "manager", "stuff"}
	for _, f := range goFiles(t) {
		name, _, _ := strings.Cut(strings.TrimSuffix(path.Base(f.path), ".go"), "_")
		for _, name := range []string{f.Name.Name, name} {
			if slices.Contains(empty, name) {
				t.Errorf("%s: %q could be anything", f.path, name)
			}
		}
	}
}

// Users of a package write its name before each of its names.
func TestNamesDoNotStutter(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.isTest() || f.isGenerated() {
			continue
		}
		for _, name := range exported(f) {
			rest, stutters := strings.CutPrefix(strings.ToLower(name), f.Name.Name)
			next, _ := utf8.DecodeRuneInString(name[len(name)-len(rest):])
			if stutters && unicode.IsUpper(next) {
				t.Errorf("%s: %s.%s says the package's name twice", f.path, f.Name.Name, name)
			}
		}
	}
}

// exported returns the names that a file adds to its package.
func exported(f file) []string {
	var names []string
	add := func(name *ast.Ident) {
		if name.IsExported() {
			names = append(names, name.Name)
		}
	}
	for _, declaration := range f.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					add(s.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						add(name)
					}
				}
			}
		}
	}
	return names
}

// Importing BoxLite must do nothing, but for turning a process that was started
// as a shim, a jail or a machine into one.
func TestOnlyEntriesHaveInit(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, declaration := range f.Decls {
			d, ok := declaration.(*ast.FuncDecl)
			if ok && d.Recv == nil && d.Name.Name == "init" && f.dir() != "." && f.dir() != "internal/entry" && !f.isTest() && !f.isGenerated() {
				t.Errorf("%s: func init", f.at(d))
			}
		}
	}
}

// A test waits for what it expects, and for no length of time.
func TestTestsDoNotSleep(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.isTest() {
			continue
		}
		ast.Inspect(f.File, func(node ast.Node) bool {
			if s, ok := node.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.Sleep", f.at(s))
				}
			}
			return true
		})
	}
}

// A dependency is worth a line that says what for.
func TestDependenciesAreJustified(t *testing.T) {
	files := map[string]string{}
	walk(t, func(name string, content []byte) { files[name] = string(content) })
	version := regexp.MustCompile(`/v[0-9]+$`)
	required := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // without "// indirect"
	for _, match := range required.FindAllStringSubmatch(files["go.mod"], -1) {
		name := version.ReplaceAllString(strings.TrimPrefix(match[1], "github.com/"), "")
		if !strings.Contains(files["RATIONALE.md"], name) {
			t.Errorf("RATIONALE.md does not say what %s is for", match[1])
		}
	}
}

// Hints are printed after "hint: ", and may be joined to more.
func TestHintsAreNoSentences(t *testing.T) {
	names := []string{"QEMU", "BoxLite", "BOXLITE_"}
	check := func(f file, value ast.Expr) {
		ast.Inspect(value, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			first, _ := utf8.DecodeRuneInString(text)
			isName := slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(text, name) })
			if unicode.IsUpper(first) && !isName || strings.HasSuffix(text, ".") {
				t.Errorf("%s: the hint %q begins in upper case, or ends with a full stop", f.at(literal), text)
			}
			return true
		})
	}
	for _, f := range goFiles(t) {
		ast.Inspect(f.File, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Hint" {
					check(f, n.Value)
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if s, ok := to.(*ast.SelectorExpr); ok && s.Sel.Name == "Hint" {
						check(f, n.Rhs[min(i, len(n.Rhs)-1)])
					}
				}
			}
			return true
		})
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	kinds := []string{".go", ".md", ".proto", ".sh", ".S", ".s", ".yml", ".yaml", ""}
	walk(t, func(name string, content []byte) {
		if !slices.Contains(kinds, path.Ext(name)) || bytes.ContainsRune(content, 0) {
			return
		}
		for i, line := range strings.Split(string(content), "\n") {
			if mark := marks.FindString(line); mark != "" {
				t.Errorf("%s:%d: %s", name, i+1, mark)
			}
		}
	})
}
