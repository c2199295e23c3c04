package boxlite

import (
	"cmp"
	"maps"
	"path/filepath"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/disk"
)

// Status is the state that a box is in.
type Status = box.Status

// The states of a box.
const (
	// StatusConfigured boxes have been created and never started.
	StatusConfigured = box.Configured
	StatusStarting   = box.Starting
	StatusRunning    = box.Running
	StatusPaused     = box.Paused
	StatusStopping   = box.Stopping
	// StatusStopped boxes have run, and can be started again.
	StatusStopped = box.Stopped
	// StatusFailed boxes could not be started; BoxInfo.Error says why. They can
	// be started again.
	StatusFailed = box.Failed
	// StatusUnknown is the state of a box whose record can't be read.
	StatusUnknown = box.Unknown
)

// BoxInfo describes a box. Fields that are not known, or not yet, are zero.
type BoxInfo struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"createdAt"`

	// Image is the reference as given, ImageDigest the digest of the manifest
	// that the box was made from.
	Image       string `json:"image"`
	ImageDigest string `json:"imageDigest"`

	CPUs      int `json:"cpus"`
	MemoryMiB int `json:"memoryMiB"`
	// DiskBytes is how large the box's disk can grow, DiskUsedBytes what it takes
	// up on the host.
	DiskBytes     int64 `json:"diskBytes"`
	DiskUsedBytes int64 `json:"diskUsedBytes"`

	Env        []string `json:"env"`
	Dir        string   `json:"dir"`
	User       string   `json:"user"`
	Entrypoint []string `json:"entrypoint"`
	Cmd        []string `json:"cmd"`
	TTY        bool     `json:"tty"`
	Stdin      bool     `json:"stdin"`
	Detach     bool     `json:"detach"`
	AutoRemove bool     `json:"autoRemove"`
	// Labels, Hostname, StopSignal, StopTimeout, Capabilities and NoAutoResume are
	// as in [BoxSpec].
	Labels       map[string]string `json:"labels"`
	Hostname     string            `json:"hostname"`
	StopSignal   string            `json:"stopSignal"`
	StopTimeout  time.Duration     `json:"stopTimeoutNanos"`
	Capabilities Capabilities      `json:"capabilities"`
	NoAutoResume bool              `json:"noAutoResume"`
	// Network is what the box may reach, Secrets what is put into its requests. Ports
	// are the published ones as they were asked for; [Box.Ports] tells what the host
	// gave.
	Network Network      `json:"network"`
	Ports   []Port       `json:"ports"`
	Secrets []SecretInfo `json:"secrets"`
	// Security is how much of a jail the box must have.
	Security Security `json:"security"`
	// Restart is the restart policy, Restarts how often in a row it has started
	// the box.
	Restart  RestartPolicy `json:"restart"`
	Restarts int           `json:"restarts"`

	// Health is what health checks have found, if the box runs.
	Health Health `json:"health"`

	// What follows is of the latest run.

	// Args is the main process; empty if the box idles.
	Args       []string   `json:"args"`
	StartedAt  *time.Time `json:"startedAt"`
	FinishedAt *time.Time `json:"finishedAt"`
	// Exit says how the run ended; nil while it lasts.
	Exit *Exit `json:"exit"`
	// Error says why the run failed, or could not begin; Hint what to do.
	Error string `json:"error"`
	Hint  string `json:"hint"`
	// Engine ran the box, Accelerator is "kvm", "hvf" or "tcg".
	Engine      string `json:"engine"`
	Accelerator string `json:"accelerator"`
	// Isolation is what stood between box and host.
	Isolation Isolation `json:"isolation"`
	// Kernel is the release of the guest's kernel.
	Kernel string `json:"kernel"`
	// Stages are the parts of the start. "image", "disk" and "engine" run at the
	// same time, the others one after the other.
	Stages []Stage `json:"stages"`
	// Dir of the box on the host, with its logs.
	HostDir string `json:"hostDir"`
}

// Stage is one part of a start: when it began, and how long it took.
type Stage struct {
	Name      string        `json:"name"`
	StartedAt time.Time     `json:"startedAt,omitzero"`
	Duration  time.Duration `json:"durationNanos"`
}

// Exit says how a run of a box ended.
type Exit struct {
	// Reason is "exited" if the main process ended by itself, "stopped" or
	// "killed" if the box was asked to end, "oom" if the guest had no memory left
	// and its kernel killed the main process, "host-oom" if the host had none and
	// its kernel killed the virtual machine, "panic" if the guest's kernel failed,
	// "vmm" if the virtual machine did, "failed" if the box did not get to run,
	// "lost" if nobody was there to see.
	Reason string `json:"reason"`
	// Code is the main process's exit code, 128 + Signal if a signal ended it; -1
	// if there is none.
	Code   int `json:"code"`
	Signal int `json:"signal"`
}

func (rt *Runtime) info(r box.Record) BoxInfo {
	c, s := r.Config, r.State
	dir := rt.boxes.Dir(r.ID)
	used, _ := disk.Allocated(filepath.Join(dir, fileDisk)) // 0 if there is none yet
	info := BoxInfo{
		ID: r.ID, Name: c.Name, Status: s.Status, CreatedAt: c.CreatedAt,
		Image: c.Image, ImageDigest: imageDigest(r),
		CPUs: c.CPUs, MemoryMiB: c.MemoryMiB, DiskBytes: c.DiskBytes, DiskUsedBytes: used,
		Env: notNil(c.Env), Dir: c.Dir, User: c.User, Entrypoint: notNil(c.Entrypoint), Cmd: notNil(c.Cmd),
		TTY: c.TTY, Stdin: c.Stdin, Detach: c.Detach, AutoRemove: c.AutoRemove, Security: c.Security,
		Restart: c.Restart, Restarts: s.Restarts,
		Labels: map[string]string{}, Hostname: cmp.Or(c.Hostname, r.ID), StopSignal: c.StopSignal, StopTimeout: c.StopTimeout,
		Capabilities: c.Capabilities, NoAutoResume: c.NoAutoResume,
		Args: notNil(s.Args), StartedAt: timeOf(s.StartedAt), FinishedAt: timeOf(s.FinishedAt), Exit: exitOf(s),
		Engine: s.Engine, Accelerator: s.Accelerator, Isolation: isolationOf(s.Isolation, s.Jail), Kernel: s.Kernel,
		Stages: stagesOf(s), HostDir: dir, Health: healthOf(s, dir),
	}
	maps.Copy(info.Labels, c.Labels)
	info.setNetwork(&c)
	if s.Error != nil {
		info.Error, info.Hint = s.Error.Message, s.Error.Hint
	}
	if r.Err != nil {
		info.Error, info.Hint = r.Err.Error(), HintOf(r.Err)
	}
	return info
}

func stagesOf(s box.State) []Stage {
	stages := make([]Stage, 0, len(s.Stages))
	for _, stage := range s.Stages {
		stages = append(stages, Stage{Name: stage.Name, StartedAt: stage.Began, Duration: stage.Nanos})
	}
	return stages
}

func imageDigest(r box.Record) string {
	if r.State.ImageDigest != "" {
		return r.State.ImageDigest
	}
	return r.Config.ImageDigest
}

func exitOf(s box.State) *Exit {
	if s.Exit == nil || s.Status.Active() {
		return nil
	}
	exit := &Exit{Reason: s.Exit.Reason, Code: -1, Signal: s.Exit.Signal}
	if s.Exit.Code != nil {
		exit.Code = *s.Exit.Code
	}
	return exit
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// notNil makes an empty list print as [].
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
