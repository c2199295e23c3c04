package container

import (
	"os/exec"
	"testing"
)

func BenchmarkSpawn(b *testing.B) {
	c := newContainer(b, Config{})
	for b.Loop() {
		child, err := c.Spawn(Process{Args: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		child.Wait()
		child.Stdout.Close()
		child.Stderr.Close()
	}
}

func BenchmarkForkExec(b *testing.B) {
	root := newRoot(b)
	for b.Loop() {
		if err := exec.Command(root + "/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
