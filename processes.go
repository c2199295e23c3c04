package boxlite

import (
	"context"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// Process is a process in a box, as the box's guest describes it.
type Process struct {
	// PID is its ID as it is seen in the box, Parent the ID of the process that
	// started it; 0 if that is not in the box.
	PID    int `json:"pid"`
	Parent int `json:"parent"`
	// UID is the ID of the user that it runs as.
	UID int `json:"uid"`
	// State is a letter, as ps shows it: R runs, S sleeps, D waits for a disk, T is
	// stopped, Z has ended.
	State string `json:"state"`
	// CPU is the time that it has computed, MemoryBytes its resident memory, as far
	// as the kernel has added it up: up to some hundred KiB are missing.
	CPU         time.Duration `json:"cpuNanos"`
	MemoryBytes uint64        `json:"memoryBytes"`
	Threads     int           `json:"threads"`
	StartedAt   time.Time     `json:"startedAt"`
	// Name is the beginning of the program's name, as the process itself may
	// change it.
	Name string `json:"name"`
	// Args is the command line, of which 512 bytes are told; empty for a process
	// that has ended.
	Args []string `json:"args"`
}

const (
	// maxProcesses bounds what is taken of a guest's list.
	maxProcesses = 4096
	// maxProcessArgs bounds the arguments of one process, all together.
	maxProcessArgs = 1 << 10
)

// Processes lists what runs in a box, by ascending PID: up to 4096 processes. The
// box must run, and not be paused.
func (b *Box) Processes(ctx context.Context) ([]Process, error) {
	if err := b.rt.check(); err != nil {
		return nil, err
	}
	record, err := b.rt.load(ctx, b.config.ID)
	if err != nil {
		return nil, err
	}
	if err := mustRun(record, "list the processes of"); err != nil {
		return nil, err
	}
	r, err := b.rt.connect(ctx, b.config.ID)
	if err != nil {
		return nil, err
	}
	guestCtx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	response, err := boxlitev1.NewGuestClient(r.client.Guest()).Processes(guestCtx, &boxlitev1.ProcessesRequest{})
	if err != nil {
		err = rpc.FromStatus(err)
		return nil, &Error{Kind: kindOfCause(err), Op: "list the processes of the box", Box: b.config.Label(), Err: err}
	}
	return processesOf(response), nil
}

// processesOf takes a guest's list, within bounds.
func processesOf(response *boxlitev1.ProcessesResponse) []Process {
	list := []Process{}
	for _, p := range first(response.GetProcesses(), maxProcesses) {
		process := Process{
			PID: int(p.GetPid()), Parent: int(p.GetParent()), UID: int(p.GetUid()), State: guestText(p.GetState()),
			CPU: nanos(p.GetCpuNanos()), MemoryBytes: p.GetMemoryBytes(), Threads: int(p.GetThreads()),
			StartedAt: time.Unix(0, p.GetStartedUnixNanos()).UTC(), Name: guestText(p.GetName()), Args: []string{},
		}
		room := maxProcessArgs
		for _, arg := range first(p.GetArgs(), maxProcessArgs) {
			if room -= len(arg) + 1; room < 0 {
				break
			}
			process.Args = append(process.Args, arg)
		}
		list = append(list, process)
	}
	return list
}
