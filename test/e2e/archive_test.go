package e2e

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/boxlite-go/boxlite/internal/assets"
)

// imageWith writes the base image as docker save would, with a configuration of
// its own, and returns its reference.
func imageWith(t *testing.T, config map[string]any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := writeArchive(path, config); err != nil {
		t.Fatal(err)
	}
	return "docker-archive:" + path
}

func writeArchive(path string, config map[string]any) error {
	rootfs, err := assets.BaseImage()
	if err != nil {
		return err
	}
	defer rootfs.Close()
	layer, err := io.ReadAll(rootfs)
	if err != nil {
		return err
	}
	image, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": runtime.GOARCH, "config": config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	for _, part := range []struct {
		name    string
		content []byte
	}{
		{"layer.tar", layer},
		{"config.json", image},
		{"manifest.json", []byte(`[{"Config": "config.json", "Layers": ["layer.tar"]}]`)},
	} {
		if err := w.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: int64(len(part.content))}); err != nil {
			return err
		}
		if _, err := w.Write(part.content); err != nil {
			return err
		}
	}
	return w.Close()
}
