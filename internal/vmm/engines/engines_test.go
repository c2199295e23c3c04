package engines

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSelect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "init")
	engine, c, err := Select(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", c)
	if engine.Name() != c.Engine || c.Accelerator == "" || c.Isolation == "" {
		t.Errorf("engine %s with %+v", engine.Name(), c)
	}
	if hardware := c.Isolation == vmm.IsolationHardware; hardware != (c.Note == "") {
		t.Errorf("isolation %q, note %q", c.Isolation, c.Note)
	}
	_, again, err := Select(t.Context(), dir, c.Engine)
	if err != nil || again.Accelerator != c.Accelerator {
		t.Errorf("then %+v, %v", again, err)
	}
	other, err := For(c)
	if err != nil || other.Name() != c.Engine {
		t.Errorf("For: %v, %v", other, err)
	}
}

func TestSelectUnknown(t *testing.T) {
	_, _, err := Select(t.Context(), t.TempDir(), "bochs")
	if !errors.Is(err, protocol.KindInvalidArgument) || protocol.HintOf(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestSelectCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Select(ctx, t.TempDir(), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// counted is an engine that counts how often it is asked.
type counted struct {
	vmm.Engine
	probes, fingerprints int
	print                string
	answer               vmm.Capability
	err                  error
}

func (c *counted) Name() string { return "counted" }

func (c *counted) Probe(context.Context) (vmm.Capability, error) {
	c.probes++
	return c.answer, c.err
}

func (c *counted) Fingerprint() string {
	c.fingerprints++
	return c.print
}

func TestCache(t *testing.T) {
	if bootID() == "" {
		t.Skip("this system does not tell one boot from another")
	}
	dir := t.TempDir()
	e := &counted{answer: vmm.Capability{Engine: "counted", Accelerator: "x"}}
	ask := func(what string, probes int) {
		t.Helper()
		before := e.probes
		c, err := probe(t.Context(), dir, e)
		if c != e.answer || err != e.err {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
		if got := e.probes - before; got != probes {
			t.Errorf("%s: %d probes, want %d", what, got, probes)
		}
	}
	ask("first", 1)
	ask("again", 0)
	e.print = "another QEMU"
	ask("something has changed", 1)
	ask("again", 0)

	file := filepath.Join(dir, cacheFile)
	for name, content := range map[string][]byte{
		"empty": nil, "no JSON": []byte("{"), "other JSON": []byte(`["x"]`), "null": []byte("null"),
		"huge": bytes.Repeat([]byte(" "), maxCache+1),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		ask(name, 1)
		ask(name+", mended", 0)
	}

	e.print, e.answer.Transient = "transient", true
	ask("a reason that may pass", 1)
	ask("asked again", 1)
	e.answer, e.err = vmm.Capability{}, errors.New("no")
	ask("an error", 1)
	ask("asked again", 1)
}

// refusing is an engine that knows which of its errors last.
type refusing struct {
	counted
	lasts bool
}

func (r *refusing) Lasting(error) bool { return r.lasts }

// A host without KVM must not be asked for it at every start.
func TestRefusalsAreKeptWhileTheyLast(t *testing.T) {
	if bootID() == "" {
		t.Skip("this system does not tell one boot from another")
	}
	dir := t.TempDir()
	e := &refusing{counted: counted{err: &protocol.Error{
		Kind: protocol.KindUnsupportedEngine, Op: "probe it", Hint: "do this", Err: errors.New("it is not there"),
	}}}
	ask := func(what string, probes int) {
		t.Helper()
		before := e.probes
		_, err := probe(t.Context(), dir, e)
		if !errors.Is(err, protocol.KindUnsupportedEngine) || err.Error() != e.err.Error() || protocol.HintOf(err) != "do this" {
			t.Errorf("%s: %v (%s)", what, err, protocol.HintOf(err))
		}
		if got := e.probes - before; got != probes {
			t.Errorf("%s: %d probes, want %d", what, got, probes)
		}
	}
	ask("may pass", 1)
	ask("asked again", 1)
	e.lasts = true
	ask("lasts", 1)
	ask("again", 0)
	e.print = "the device is there now"
	ask("something has changed", 1)
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := &counted{answer: vmm.Capability{Engine: "counted"}}
	if c, err := probe(t.Context(), file, e); err != nil || c != e.answer {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzReadCache(f *testing.F) {
	f.Add([]byte(`{"qemu": {"key": "k", "capability": {"engine": "qemu", "tsc_khz": 1}}}`))
	f.Add([]byte(`{"qemu": null}`))
	f.Add([]byte(`{"qemu": {"key": "k", "refusal": {"cause": "x"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, cacheFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, ok := load(dir, "qemu", "k"); ok && r.Refusal == nil && r.Capability.Engine != "qemu" {
			t.Errorf("%+v", r)
		}
	})
}
