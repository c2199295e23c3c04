package e2e

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/boxlite-go/boxlite"
)

// spanNames is a TracerProvider that keeps the names of spans.
type spanNames struct {
	noop.TracerProvider
	mu    sync.Mutex
	names []string
}

type namingTracer struct {
	noop.Tracer
	*spanNames
}

func (s *spanNames) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return namingTracer{spanNames: s}
}

func (t namingTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.mu.Lock()
	t.names = append(t.names, name)
	t.mu.Unlock()
	return t.Tracer.Start(ctx, name, options...)
}

func TestStartIsTraced(t *testing.T) {
	needMachine(t)
	t.Parallel()
	spans := &spanNames{}
	rt := openRuntime(t, boxlite.Options{Tracer: spans})
	box := newBox(t, rt, boxlite.BoxSpec{})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"boxlite.start"}
	for _, s := range info.Stages {
		want = append(want, "boxlite.start."+s.Name)
		if s.StartedAt.Before(info.CreatedAt) {
			t.Errorf("stage %s began at %v, before the box was made", s.Name, s.StartedAt)
		}
	}
	if spans.mu.Lock(); !slices.Equal(spans.names, want) || len(want) != 11 {
		t.Errorf("got %q, want %q", spans.names, want)
	}
	spans.mu.Unlock()
}
