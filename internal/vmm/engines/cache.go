package engines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/boxlite-go/boxlite/internal/vmm"
)

const (
	cacheFile = "probe.json"
	// cacheVersion changes whenever probes find out other things, or by other
	// means.
	cacheVersion = 1
	maxCache     = 64 << 10
)

// remembered is what one engine's probe said, and what that depends on.
type remembered struct {
	Key        string         `json:"key"`
	Capability vmm.Capability `json:"capability"`
}

// fingerprint changes with everything on which the engine's probe depends. It is
// empty if that can't be known; then nothing is kept.
func fingerprint(engine vmm.Engine) string {
	boot := bootID()
	e, ok := engine.(interface{ Fingerprint() string })
	if boot == "" || !ok {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%d\n%s", cacheVersion, boot, os.Getuid(), e.Fingerprint()))
	return hex.EncodeToString(sum[:])
}

// readCache returns what is there and makes sense.
func readCache(dir string) map[string]remembered {
	f, err := os.Open(filepath.Join(dir, cacheFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCache))
	if err != nil {
		return nil
	}
	var cache map[string]remembered
	if json.Unmarshal(data, &cache) != nil {
		return nil
	}
	return cache
}

func load(dir, engine, key string) (vmm.Capability, bool) {
	r, ok := readCache(dir)[engine]
	ok = ok && key != "" && r.Key == key && r.Capability.Engine == engine
	return r.Capability, ok
}

// store keeps c if it can. If it can't, the next probe takes a little longer.
func store(dir, engine, key string, c vmm.Capability) {
	if key == "" {
		return
	}
	cache := readCache(dir)
	if cache == nil {
		cache = make(map[string]remembered)
	}
	cache[engine] = remembered{key, c}
	data, err := json.Marshal(cache)
	if err != nil || os.MkdirAll(dir, 0o700) != nil {
		return
	}
	// Its temporary file stays in the home, should this process be killed.
	_ = renameio.WriteFile(filepath.Join(dir, cacheFile), data, 0o600, renameio.WithTempDir(dir))
}
