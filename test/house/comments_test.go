package house

import (
	"go/ast"
	"strings"
	"testing"
)

func TestEveryPackageHasAComment(t *testing.T) {
	has := map[string]bool{}
	for _, f := range goFiles(t) {
		start := "Package " + f.Name.Name
		if f.Name.Name == "main" {
			start = "Command "
		}
		name := f.dir()
		if strings.HasSuffix(f.Name.Name, "_test") {
			continue // it belongs to the package that it tests
		}
		has[name] = has[name] || strings.HasPrefix(f.Doc.Text(), start)
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s: no file has a comment that starts with \"Package …\" or, for a program, \"Command …\"", dir)
		}
	}
}

func TestEveryExportedNameHasAComment(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.isTest() || f.isGenerated() || f.Name.Name == "main" {
			continue
		}
		for _, declaration := range f.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && receiverIsExported(d) && d.Doc == nil {
					t.Errorf("%s: %s has no comment", f.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				checkSpecs(t, f, d)
			}
		}
	}
}

// checkSpecs wants a comment for each exported type, constant and variable; one
// for the group will do if the group has nothing but constants or variables.
func checkSpecs(t *testing.T, f file, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
				t.Errorf("%s: %s has no comment", f.at(s), s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					t.Errorf("%s: %s has no comment", f.at(s), name.Name)
				}
			}
		}
	}
}

func receiverIsExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	name, ok := receiver.(*ast.Ident)
	return !ok || name.IsExported()
}
