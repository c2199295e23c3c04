package boxlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/boxlite-go/boxlite/internal/box"
)

// recorder is a TracerProvider that keeps what it is told.
type recorder struct {
	noop.TracerProvider
	mu    sync.Mutex
	spans []*recordedSpan
}

type recordedTracer struct {
	noop.Tracer
	*recorder
}

type recordedSpan struct {
	noop.Span
	name       string
	parent     *recordedSpan
	start, end time.Time
	attributes map[string]string
	status     codes.Code
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return recordedTracer{recorder: r}
}

func (t recordedTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(options...)
	span := &recordedSpan{name: name, start: config.Timestamp(), attributes: map[string]string{}}
	span.parent, _ = trace.SpanFromContext(ctx).(*recordedSpan)
	span.SetAttributes(config.Attributes()...)
	t.mu.Lock()
	t.spans = append(t.spans, span)
	t.mu.Unlock()
	return trace.ContextWithSpan(ctx, span), span
}

func (s *recordedSpan) SetAttributes(attributes ...attribute.KeyValue) {
	for _, a := range attributes {
		s.attributes[string(a.Key)] = a.Value.AsString()
	}
}

func (s *recordedSpan) SetStatus(code codes.Code, _ string) { s.status = code }

func (s *recordedSpan) End(options ...trace.SpanEndOption) {
	config := trace.NewSpanEndConfig(options...)
	s.end = config.Timestamp()
}

func TestSpansOfAStart(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stages := []box.Stage{
		{Name: "image", Began: began, Nanos: time.Second},
		{Name: "kernel", Began: began.Add(time.Second), Nanos: 2 * time.Second},
	}
	for _, failure := range []error{nil, errors.New("no")} {
		r := &recorder{}
		rt := &Runtime{options: Options{Tracer: r}}
		ctx, above := recordedTracer{recorder: r}.Start(t.Context(), "above")
		_, end := rt.traceStart(ctx, &box.Config{ID: "id", Image: "debian:12"})
		end(stages, box.State{Engine: "qemu"}, failure)

		var names []string
		for _, s := range r.spans {
			names = append(names, s.name)
		}
		if want := []string{"above", "boxlite.start", "boxlite.start.image", "boxlite.start.kernel"}; !slices.Equal(names, want) {
			t.Fatalf("got %q", names)
		}
		start, kernel := r.spans[1], r.spans[3]
		if start.parent != above || kernel.parent != start {
			t.Error("spans have other parents")
		}
		if !kernel.start.Equal(began.Add(time.Second)) || !kernel.end.Equal(began.Add(3*time.Second)) {
			t.Errorf("the stage lasts from %v to %v", kernel.start, kernel.end)
		}
		a := start.attributes
		if a["boxlite.box.id"] != "id" || a["boxlite.image"] != "debian:12" || a["boxlite.engine"] != "qemu" {
			t.Errorf("got %v", a)
		}
		if (start.status == codes.Error) != (failure != nil) {
			t.Errorf("after %v the status is %v", failure, start.status)
		}
	}
}

// Without a tracer nothing happens.
func TestNoSpans(t *testing.T) {
	rt := &Runtime{}
	ctx, end := rt.traceStart(t.Context(), &box.Config{ID: "id"})
	if ctx != t.Context() {
		t.Error("another context")
	}
	end(nil, box.State{}, errors.New("no"))
}
