package kvmlab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// writeInitrd writes the root from which the modules are loaded, as an archive of
// cpio's format "newc", uncompressed: the lab is slow at that.
func writeInitrd(path string, k kernel, busybox string) error {
	files, err := k.withDependencies()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	const folder, program, file = 0o040755, 0o100755, 0o100644
	addEntry(&b, "bin", folder, nil)
	addEntry(&b, "modules", folder, nil)
	addEntry(&b, "init", program, firstScript)
	shell, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	addEntry(&b, "bin/busybox", program, shell)
	for i, name := range files {
		module, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		addEntry(&b, fmt.Sprintf("modules/%02d-%s", i, filepath.Base(name)), file, module)
	}
	addEntry(&b, "TRAILER!!!", 0, nil)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// addEntry adds a file. Its name, and what is in it, are filled up to 4 bytes.
func addEntry(b *bytes.Buffer, name string, mode int, content []byte) {
	fill := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	b.WriteString("070701")
	fields := []int{
		0, mode, 0, 0, 1, 0, len(content),
		0, 0, 0, 0, len(name) + 1, 0,
	}
	for _, field := range fields {
		fmt.Fprintf(b, "%08x", field)
	}
	b.WriteString(name + "\x00")
	fill()
	b.Write(content)
	fill()
}
