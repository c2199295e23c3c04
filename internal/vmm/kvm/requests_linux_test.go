package kvm

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
)

// The VMM's filter allows those of KVM's requests that the VMM has a name for, and no
// others.
func TestFilterAllowsOurRequestsOnly(t *testing.T) {
	if _, err := os.Stat("requests_linux_test.go"); err != nil {
		t.Skip("the sources are elsewhere:", err)
	}
	allowed := jail.KVMRequests()
	files, err := filepath.Glob("api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var named []uint64
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Request" {
				return true
			}
			number, err := strconv.ParseUint(spec.Values[0].(*ast.BasicLit).Value, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			named = append(named, number)
			if !slices.Contains(allowed, number) {
				t.Errorf("%s, %#x, is not in internal/jail/seccomp_kvm_linux.go", spec.Names[0], number)
			}
			return true
		})
	}
	for _, number := range allowed {
		if !slices.Contains(named, number) {
			t.Errorf("%#x is allowed, and not in package api", number)
		}
	}
	if len(named) == 0 {
		t.Error("no request was found")
	}
}
