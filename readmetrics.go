package boxlite

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/disk"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// guestTimeout is how long a guest may take to say what it uses, which takes it
// some milliseconds.
const guestTimeout = 5 * time.Second

// Metrics tells what the box has done and uses. Of a box that doesn't run it
// tells what is known on the host; a guest that does not answer is no error
// either.
func (b *Box) Metrics(ctx context.Context) (BoxMetrics, error) {
	if err := b.rt.check(); err != nil {
		return BoxMetrics{}, err
	}
	record, err := b.rt.load(ctx, b.config.ID)
	if err != nil {
		return BoxMetrics{}, err
	}
	return b.rt.metricsOf(ctx, record)
}

func (rt *Runtime) metricsOf(ctx context.Context, record box.Record) (BoxMetrics, error) {
	s := record.State
	m := BoxMetrics{
		ID: record.ID, Name: record.Config.Name, Status: s.Status, Time: time.Now().UTC(), Stages: stagesOf(s),
	}
	m.DiskUsedBytes, _ = disk.Allocated(filepath.Join(rt.boxes.Dir(record.ID), fileDisk)) // 0 if there is none yet
	m.setDurations(s)
	if !s.Status.Active() {
		return m, nil
	}
	r, err := rt.connect(ctx, record.ID)
	if errors.Is(err, ErrStopped) && rt.check() == nil {
		return m, nil // it ended this instant
	}
	if err != nil {
		return m, err
	}
	guestCtx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	status, err := r.client.Status(guestCtx)
	if ctx.Err() != nil {
		return m, &Error{Kind: ErrTimeout, Op: "read metrics", Box: record.Config.Label(), Err: context.Cause(ctx)}
	}
	if errors.Is(err, ErrRPCTransport) {
		return m, nil // it ended this instant
	}
	if err != nil {
		m.GuestError = err.Error()
		return m, nil
	}
	if m.Network, err = r.networkMetrics(guestCtx); err != nil {
		return m, nil // it ended this instant
	}
	m.setHost(r.client.PID(), int(status.GetVmmPid()), s.StartedAt)
	if status.GetStage() != shim.StageRunning {
		return m, nil
	}
	stats, err := boxlitev1.NewGuestClient(r.client.Guest()).Stats(guestCtx, &boxlitev1.StatsRequest{})
	if err == nil {
		m.Executions, err = r.executions(guestCtx)
		m.Executions = slices.DeleteFunc(m.Executions, func(e Execution) bool { return !e.Running() })
	}
	switch {
	case ctx.Err() != nil:
		return m, &Error{Kind: ErrTimeout, Op: "read metrics", Box: record.Config.Label(), Err: context.Cause(ctx)}
	case err != nil:
		m.GuestError = rpc.FromStatus(err).Error()
	default:
		m.setGuest(stats)
	}
	return m, nil
}

// setDurations sums up the stages of the latest start.
func (m *BoxMetrics) setDurations(s box.State) {
	if len(s.Stages) == 0 {
		return
	}
	var total, together, boot time.Duration
	for _, stage := range s.Stages {
		switch stage.Name {
		case "image", "disk", "engine", "jail": // at the same time
			together = max(together, stage.Nanos)
		case "shim":
			total += stage.Nanos
		case "kernel", "agent":
			boot += stage.Nanos
			total += stage.Nanos
		default:
			total += stage.Nanos
		}
	}
	total += together
	m.CreateDuration, m.GuestBootDuration = &total, &boot
}

// setHost tells what shim and VMM use, if both can be asked.
func (m *BoxMetrics) setHost(shimPID, vmmPID int, started time.Time) {
	ofShim, err := shim.UsageOf(shimPID)
	if err != nil || vmmPID == 0 {
		return
	}
	ofVMM, err := shim.UsageOf(vmmPID)
	if err != nil {
		return
	}
	m.Host = &HostMetrics{Shim: ProcessMetrics(ofShim), VMM: ProcessMetrics(ofVMM)}
	memory := ofShim.MemoryBytes + ofVMM.MemoryBytes
	m.MemoryBytes = &memory
	if passed := time.Since(started); passed > 0 && !started.IsZero() {
		percent := 100 * float64(ofShim.CPU+ofVMM.CPU) / float64(passed)
		m.CPUPercent = &percent
	}
}

// counters tells what this Runtime has done, of which the audit log has a line
// each.
func (rt *Runtime) counters() RuntimeMetrics {
	return RuntimeMetrics{
		BoxesCreated: rt.log.Count(audit.Created), BoxesFailed: rt.log.Count(audit.Failed),
		BoxesStopped: rt.log.Count(audit.Stopped), CommandsExecuted: rt.log.Count(audit.Exec),
		ExecErrors: rt.execErrors.Load(),
	}
}

// readersAtOnce bounds how many boxes are asked at the same time.
const readersAtOnce = 8

// AllMetrics tells what [Box.Metrics] does of all boxes of the home, oldest first.
// One that can't be asked is there all the same, with the reason in GuestError.
func (rt *Runtime) AllMetrics(ctx context.Context) ([]BoxMetrics, error) {
	if err := rt.check(); err != nil {
		return nil, err
	}
	records, err := rt.boxes.List(ctx)
	if err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(records, func(r box.Record) bool { return rt.collect(ctx, r) })
	list := make([]BoxMetrics, len(records))
	var g errgroup.Group
	g.SetLimit(readersAtOnce)
	for i, r := range records {
		g.Go(func() error {
			var err error
			if list[i], err = rt.metricsOf(ctx, r); err != nil {
				list[i].GuestError = err.Error()
			}
			return nil
		})
	}
	_ = g.Wait() // none fails
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return list, nil
}
