package boxlite

import (
	"context"
	"path/filepath"
	"runtime"

	"github.com/boxlite-go/boxlite/internal/vmm/engines"
)

// Version is the version of this package and of the boxlite command.
const Version = "0.1.0"

// RuntimeInfo describes a Runtime and what its host can do.
type RuntimeInfo struct {
	Version string `json:"version"`
	HomeDir string `json:"homeDir"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`

	// Engine would run a box now, Accelerator is "kvm", "hvf" or "tcg". Note says
	// why it is not a better one.
	Engine      string `json:"engine"`
	Accelerator string `json:"accelerator"`
	Note        string `json:"note"`
	// Isolation is what would stand between box and host.
	Isolation Isolation `json:"isolation"`
	// Error says why no box can be started on this host, Hint what to do.
	Error string `json:"error"`
	Hint  string `json:"hint"`

	// Boxes by status, and how many images the store has.
	BoxesTotal      int `json:"boxesTotal"`
	BoxesRunning    int `json:"boxesRunning"`
	BoxesStopped    int `json:"boxesStopped"`
	BoxesConfigured int `json:"boxesConfigured"`
	BoxesFailed     int `json:"boxesFailed"`
	ImagesCount     int `json:"imagesCount"`
}

// Info describes the Runtime. It finds out which engine works here, which takes
// up to 200 ms the first time after the host started.
func (rt *Runtime) Info(ctx context.Context) (RuntimeInfo, error) {
	boxes, err := rt.List(ctx)
	if err != nil {
		return RuntimeInfo{}, err
	}
	images, err := rt.images.List(ctx)
	if err != nil {
		return RuntimeInfo{}, err
	}
	info := RuntimeInfo{
		Version: Version, HomeDir: rt.home, OS: runtime.GOOS, Arch: runtime.GOARCH,
		BoxesTotal: len(boxes), ImagesCount: len(images),
	}
	for _, b := range boxes {
		switch b.Status {
		case StatusRunning, StatusPaused:
			info.BoxesRunning++
		case StatusStopped:
			info.BoxesStopped++
		case StatusConfigured:
			info.BoxesConfigured++
		case StatusFailed:
			info.BoxesFailed++
		}
	}
	_, capability, err := engines.Select(ctx, filepath.Join(rt.home, "init"), rt.options.Engine)
	if err != nil {
		info.Error, info.Hint = err.Error(), HintOf(err)
	}
	info.Engine, info.Accelerator, info.Note = capability.Engine, capability.Accelerator, capability.Note
	plan, jailErr := rt.planJail(ctx, rt.options.Security, "")
	if jailErr != nil && err == nil {
		info.Error, info.Hint = jailErr.Error(), HintOf(jailErr)
	}
	info.Isolation = isolationOf(capability.Isolation, plan)
	return info, nil
}
