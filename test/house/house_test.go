// Package house enforces the rules of the house: who may import whom, that
// everything has a comment, how long files get, and what is not wanted at all.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/boxlite-go/boxlite"

// file is a Go file of the tree, of whichever system.
type file struct {
	*ast.File
	path  string // from the tree's root, with slashes
	lines int
	set   *token.FileSet
}

// dir is the file's folder, "." for the root.
func (f file) dir() string { return path.Dir(f.path) }

func (f file) isTest() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isGenerated() bool { return ast.IsGenerated(f.File) }

// at names a place in the file.
func (f file) at(node ast.Node) string {
	p := f.set.Position(node.Pos())
	p.Filename = f.path
	return p.String()
}

// imports returns the folders of our own that the file imports.
func (f file) imports() []string {
	var dirs []string
	for _, spec := range f.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		if name == module {
			dirs = append(dirs, ".")
		} else if dir, ours := strings.CutPrefix(name, module+"/"); ours {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// root is the tree's root folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// walk calls visit for every file that people write, with its path from the
// tree's root.
func walk(t *testing.T, visit func(path string, content []byte)) {
	t.Helper()
	top := root(t)
	skipped := []string{".git", "bin", "dist", "testdata", "LICENSES"}
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(skipped, entry.Name()) {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, path)
		visit(filepath.ToSlash(relative), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles parses every Go file of the tree.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	set := token.NewFileSet()
	walk(t, func(path string, content []byte) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		parsed, err := parser.ParseFile(set, path, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{parsed, path, strings.Count(string(content), "\n"), set})
	})
	return files
}
