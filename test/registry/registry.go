// Package registry runs a real registry for tests: Debian's docker-registry, the
// CNCF's Distribution.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Start runs a registry on a free port of 127.0.0.1 that keeps its images in dir,
// and returns its host:port when it answers. More lines of its configuration file
// may be given. The caller calls stop, which returns when the registry has ended.
func Start(ctx context.Context, dir string, config ...string) (host string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	host = listener.Addr().String()
	listener.Close()
	file := filepath.Join(dir, "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, host)
	if err := os.WriteFile(file, []byte(content+strings.Join(config, "\n")), 0o600); err != nil {
		return "", nil, err
	}
	command := exec.Command("docker-registry", "serve", file)
	if err := command.Start(); err != nil {
		return "", nil, fmt.Errorf("start the registry (package docker-registry): %w", err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	stop = func() { _ = command.Process.Kill(); <-exited }
	if err := untilAnswer(ctx, host, exited); err != nil {
		stop()
		return "", nil, err
	}
	return host, stop, nil
}

// untilAnswer returns when the port takes connections.
func untilAnswer(ctx context.Context, host string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if c, err := net.Dial("tcp", host); err == nil {
			return c.Close()
		}
		select {
		case <-exited:
			return errors.New("the registry ended at once")
		case <-ctx.Done():
			return fmt.Errorf("wait for the registry: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
