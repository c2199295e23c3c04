// Package engines knows every engine, and picks the best one for this host.
//
// What [Select] finds out is kept until the next boot, or until something it
// depends on has changed. The [vmm.Capability] it returns can be passed to
// another process, where [For] makes an engine of it without any probing.
package engines

import (
	"context"
	"fmt"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu"
)

// names of the engines, the best one first.
var names = []string{kvm.Name, qemu.Name}

// For returns the engine that c describes.
func For(c vmm.Capability) (vmm.Engine, error) {
	switch c.Engine {
	case kvm.Name:
		return kvm.Engine{}, nil
	case qemu.Name:
		return &qemu.Engine{Capability: c}, nil
	}
	return nil, &protocol.Error{
		Kind: protocol.KindInvalidArgument, Op: "choose an engine",
		Err:  fmt.Errorf("there is no engine %q", c.Engine),
		Hint: "engines are: " + strings.Join(names, ", "),
	}
}

// Select returns the engine called name, or the best that works here if name is
// empty, and what it can do. What was found out is kept in cacheDir, which may
// not exist yet.
func Select(ctx context.Context, cacheDir, name string) (vmm.Engine, vmm.Capability, error) {
	candidates := names
	if name != "" {
		candidates = []string{name}
	}
	var failures []error
	for _, name := range candidates {
		engine, err := For(vmm.Capability{Engine: name})
		if err != nil {
			return nil, vmm.Capability{}, err
		}
		c, err := probe(ctx, cacheDir, engine)
		if err == nil {
			engine, err = For(c)
			return engine, c, err
		}
		if ctx.Err() != nil {
			return nil, vmm.Capability{}, context.Cause(ctx)
		}
		failures = append(failures, err)
	}
	if len(failures) == 1 {
		return nil, vmm.Capability{}, failures[0]
	}
	return nil, vmm.Capability{}, &protocol.Error{
		Kind: protocol.KindUnsupportedEngine, Op: "choose an engine",
		Hint: protocol.HintOf(failures[len(failures)-1]), Err: inOneLine(failures),
	}
}

// inOneLine joins errors as errors.Join does, but for the newlines.
func inOneLine(failures []error) error {
	err := failures[0]
	for _, failure := range failures[1:] {
		err = fmt.Errorf("%w; %w", err, failure)
	}
	return err
}

// lasting is an engine that knows whether an error of its probe stays the same for as
// long as its fingerprint does.
type lasting interface{ Lasting(err error) bool }

// probe asks the cache, then the engine. Most failures are not kept: what failed may
// work as soon as the user has followed the hint.
func probe(ctx context.Context, cacheDir string, engine vmm.Engine) (vmm.Capability, error) {
	key := fingerprint(engine)
	if r, ok := load(cacheDir, engine.Name(), key); ok {
		if r.Refusal != nil {
			return vmm.Capability{}, r.Refusal.error()
		}
		return r.Capability, nil
	}
	c, err := engine.Probe(ctx)
	if err == nil && !c.Transient {
		store(cacheDir, engine.Name(), key, c, nil)
	}
	if l, ok := engine.(lasting); ok && err != nil && l.Lasting(err) {
		store(cacheDir, engine.Name(), key, vmm.Capability{}, refusalOf(err))
	}
	return c, err
}

// Result is what one engine says of this host.
type Result struct {
	Engine     string
	Capability vmm.Capability
	Err        error
}

// ProbeAll asks every engine anew, the best one first.
func ProbeAll(ctx context.Context) []Result {
	var results []Result
	for _, name := range names {
		r := Result{Engine: name}
		engine, err := For(vmm.Capability{Engine: name})
		if err == nil {
			r.Capability, err = engine.Probe(ctx)
		}
		r.Err = err
		results = append(results, r)
	}
	return results
}
