// Command generate builds the guest agent and packs it for embedding. Programs
// that import BoxLite are built with plain `go build`, so its result is
// committed:
//
//	guest_linux_amd64.zst   the agent, compressed with zstd
//	guest.sum               the digest of all that the agent is built from
//	boot.sum                the digests of the agent and the kernel as embedded
//
// With -if-stale it does nothing if guest.sum and boot.sum say that the agent
// and the kernel are those of the tree. It takes a fraction of a second then, so
// the Makefile does this before each build.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/zstd"
)

const (
	agentPackage = "./cmd/boxlite-guest"
	agentFile    = "internal/assets/guest_linux_amd64.zst"
	kernelFile   = "kernel/vmlinux-amd64.zst"
	inputsFile   = "internal/assets/guest.sum"
	bootFile     = "internal/assets/boot.sum"
)

// buildFlags make the agent small, and the same wherever it is built.
var buildFlags = []string{"-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-ldflags=-s -w"}

func main() {
	ifStale := flag.Bool("if-stale", false, "do nothing if the packed agent is up to date")
	flag.Parse()
	if err := run(*ifStale); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(ifStale bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	inputs, err := digestInputs(root)
	if err != nil {
		return err
	}
	if !ifStale || !isUpToDate(root, inputs) {
		if err := packAgent(root); err != nil {
			return err
		}
		if err := renameio.WriteFile(filepath.Join(root, inputsFile), []byte(inputs+"\n"), 0o644); err != nil {
			return err
		}
	}
	boot, err := bootDigests(root)
	if err != nil {
		return err
	}
	if isFile(filepath.Join(root, bootFile), boot) {
		return nil
	}
	return renameio.WriteFile(filepath.Join(root, bootFile), []byte(boot), 0o644)
}

// moduleRoot returns the folder of go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("the current folder is not in the source tree of BoxLite")
	}
	return filepath.Dir(file), nil
}

func isUpToDate(root, inputs string) bool {
	_, err := os.Stat(filepath.Join(root, agentFile))
	return err == nil && isFile(filepath.Join(root, inputsFile), inputs+"\n")
}

func isFile(path, content string) bool {
	got, err := os.ReadFile(path)
	return err == nil && string(got) == content
}

// packAgent builds the agent and writes it, compressed, to agentFile.
func packAgent(root string) error {
	dir, err := os.MkdirTemp("", "boxlite-guest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "boxlite-guest")

	build := exec.Command("go", append([]string{"build", "-o", binary}, append(buildFlags, agentPackage)...)...)
	build.Dir, build.Env = root, agentEnv()
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the agent: %w", err)
	}
	agent, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	// One goroutine, so that the same agent always gives the same bytes.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	packed := encoder.EncodeAll(agent, nil)
	if err := renameio.WriteFile(filepath.Join(root, agentFile), packed, 0o644); err != nil {
		return err
	}
	fmt.Printf("guest agent: %.2f MB, packed %.2f MB\n", float64(len(agent))/1e6, float64(len(packed))/1e6)
	return nil
}

// agentEnv is the environment in which the agent is built and listed.
func agentEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=")
}

// bootDigests returns what boot.sum must hold, in the format of sha256sum.
func bootDigests(root string) (string, error) {
	var sums strings.Builder
	for _, file := range []string{kernelFile, agentFile} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), file)
	}
	return sums.String(), nil
}
