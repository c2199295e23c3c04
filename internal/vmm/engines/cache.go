package engines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/boxlite-go/boxlite/internal/protocol"
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
	// Refusal is why there is none.
	Refusal *refusal `json:"refusal,omitempty"`
}

// refusal is an error of a probe.
type refusal struct {
	Op    string `json:"op"`
	Cause string `json:"cause"`
	Hint  string `json:"hint"`
}

// refusalOf returns what is kept of an error.
func refusalOf(err error) *refusal {
	r := &refusal{Cause: err.Error()}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		r.Op, r.Hint = e.Op, e.Hint
		if e.Err != nil {
			r.Cause = e.Err.Error()
		}
	}
	return r
}

// error returns it as the probe did.
func (r *refusal) error() error {
	if r == nil {
		return nil
	}
	return &protocol.Error{Kind: protocol.KindUnsupportedEngine, Op: r.Op, Hint: r.Hint, Err: errors.New(r.Cause)}
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

// load returns what the engine's probe said, if that still holds.
func load(dir, engine, key string) (r remembered, ok bool) {
	r, ok = readCache(dir)[engine]
	return r, ok && key != "" && r.Key == key && (r.Refusal != nil || r.Capability.Engine == engine)
}

// store keeps what a probe said if it can. If it can't, the next probe takes a little
// longer.
func store(dir, engine, key string, c vmm.Capability, refused *refusal) {
	if key == "" {
		return
	}
	cache := readCache(dir)
	if cache == nil {
		cache = make(map[string]remembered)
	}
	cache[engine] = remembered{key, c, refused}
	data, err := json.Marshal(cache)
	if err != nil || os.MkdirAll(dir, 0o700) != nil {
		return
	}
	// Its temporary file stays in the home, should this process be killed.
	_ = renameio.WriteFile(filepath.Join(dir, cacheFile), data, 0o600, renameio.WithTempDir(dir))
}
