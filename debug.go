package boxlite

import (
	"log/slog"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
)

// debug tells [Options].Log what is done with a box.
func (rt *Runtime) debug(did, box string, details ...any) {
	if rt.options.Log != nil {
		rt.options.Log.Debug(did, append([]any{"box", box}, details...)...)
	}
}

// debugStages tells how long the stages of a start took.
func (rt *Runtime) debugStages(did string, config *box.Config, stages []box.Stage) {
	if rt.options.Log == nil {
		return
	}
	var took []any
	for _, s := range stages {
		took = append(took, slog.Duration(s.Name, s.Nanos.Round(100*time.Microsecond)))
	}
	rt.debug(did, config.Label(), slog.Group("stages", took...))
}
