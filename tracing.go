package boxlite

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/boxlite-go/boxlite/internal/box"
)

// tracerName is the instrumentation scope of the spans.
const tracerName = "github.com/boxlite-go/boxlite"

// traceStart returns a context for a start, and what ends its span, which has a
// child for each stage that was completed. Without [Options.Tracer] both do
// nothing.
func (rt *Runtime) traceStart(ctx context.Context, c *box.Config) (context.Context, func(stages []box.Stage, s box.State, err error)) {
	if rt.options.Tracer == nil {
		return ctx, func([]box.Stage, box.State, error) {}
	}
	tracer := rt.options.Tracer.Tracer(tracerName, trace.WithInstrumentationVersion(Version))
	about := []attribute.KeyValue{
		attribute.String("boxlite.box.id", c.ID), attribute.String("boxlite.box.name", c.Name),
		attribute.String("boxlite.image", c.Image),
	}
	ctx, span := tracer.Start(ctx, "boxlite.start", trace.WithAttributes(about...))
	return ctx, func(stages []box.Stage, s box.State, err error) {
		about := append(about,
			attribute.String("boxlite.image.digest", s.ImageDigest), attribute.String("boxlite.engine", s.Engine),
			attribute.String("boxlite.accelerator", s.Accelerator))
		span.SetAttributes(about...)
		for _, stage := range stages {
			_, child := tracer.Start(ctx, "boxlite.start."+stage.Name,
				trace.WithTimestamp(stage.Began), trace.WithAttributes(about...))
			child.End(trace.WithTimestamp(stage.Began.Add(stage.Nanos)))
		}
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}
