package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// listed is what `go list -json` tells about a package.
type listed struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     *struct {
		Path, Version string
		Main          bool
		Replace       *struct{ Path, Version string }
	}
	GoFiles, SFiles, HFiles, EmbedFiles []string
}

// digestInputs returns the digest of what the agent is built from: the flags,
// the files of this module that take part, and the versions of the modules it
// depends on. The Go toolchain is left out, so that a new patch release of Go
// doesn't make the committed agent stale.
func digestInputs(root string) (string, error) {
	packages, err := listInputs(root)
	if err != nil {
		return "", err
	}
	lines := slices.Clone(buildFlags)
	for _, p := range packages {
		switch {
		case p.Standard:
		case p.Module == nil:
			return "", fmt.Errorf("package %s belongs to no module", p.ImportPath)
		case p.Module.Main:
			for _, name := range slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.EmbedFiles) {
				content, err := os.ReadFile(filepath.Join(p.Dir, name))
				if err != nil {
					return "", err
				}
				lines = append(lines, fmt.Sprintf("%s/%s %x", p.ImportPath, name, sha256.Sum256(content)))
			}
		default:
			line := fmt.Sprintf("%s of %s@%s", p.ImportPath, p.Module.Path, p.Module.Version)
			if r := p.Module.Replace; r != nil {
				line += fmt.Sprintf(" => %s@%s", r.Path, r.Version)
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	sum := sha256.New()
	for _, line := range lines {
		fmt.Fprintln(sum, line)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

// listInputs lists the agent's package and all that it imports.
func listInputs(root string) ([]listed, error) {
	list := exec.Command("go", "list", "-deps", "-tags=grpcnotrace",
		"-json=ImportPath,Dir,Standard,Module,GoFiles,SFiles,HFiles,EmbedFiles", agentPackage)
	list.Dir, list.Env = root, agentEnv()
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list what the agent is built from: %w", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}
