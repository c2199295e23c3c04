package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestCommittedAgentIsThatOfTheTree(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := digestInputs(root)
	if err != nil {
		t.Fatal(err)
	}
	if !isUpToDate(root, inputs) {
		t.Errorf("%s was built from other sources than the tree's: run `make guest` and commit what it changes", agentFile)
	}
	boot, err := bootDigests(root)
	if err != nil {
		t.Fatal(err)
	}
	if !isFile(filepath.Join(root, bootFile), boot) {
		t.Errorf("%s does not name the kernel and agent of the tree: run `make guest` and commit what it changes", bootFile)
	}
}

// The agent's size is memory of every box, and time of every start.
func TestAgentIsSmall(t *testing.T) {
	const limit = 9_000_000
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile(filepath.Join(root, agentFile))
	if err != nil {
		t.Fatal(err)
	}
	var header zstd.Header
	if err := header.Decode(packed); err != nil {
		t.Fatal(err)
	}
	if header.FrameContentSize > limit {
		t.Errorf("the agent has %d bytes, more than %d", header.FrameContentSize, limit)
	}
}
