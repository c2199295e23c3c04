package jail

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Profile returns a profile for macOS's sandbox-exec: a process under it does what is
// listed, and nothing else. Paths must be absolute and free of symbolic links, as they
// are compared so. Descriptors that are passed on stay usable.
func Profile(program string, read, devices []string) (string, error) {
	lines := []string{
		"(version 1)",
		"(deny default)",
		// What the system's own libraries need to be loaded.
		`(import "bsd.sb")`,
		"(allow sysctl-read)",
		"(allow signal (target self))",
	}
	for _, rule := range []struct {
		operations, filter string
		paths              []string
	}{
		{"process-exec", "literal", []string{program}},
		{"file-read*", "subpath", append([]string{program}, read...)},
		{"file-read* file-write* file-ioctl", "literal", devices},
	} {
		paths := slices.Clone(rule.paths)
		slices.Sort(paths)
		for _, path := range slices.Compact(paths) {
			quoted, err := quote(path)
			if err != nil {
				return "", err
			}
			lines = append(lines, fmt.Sprintf("(allow %s (%s %s))", rule.operations, rule.filter, quoted))
		}
	}
	lines = append(lines, "(deny network*)", "(deny process-fork)")
	return strings.Join(lines, "\n") + "\n", nil
}

// quote writes a path as a string of the profile's language.
func quote(path string) (string, error) {
	if !filepath.IsAbs(path) || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%.200q can't be in a sandbox profile", path)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`, nil
}
