package guest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// maxProcesses bounds how many are listed, maxArgs how much is told of the
	// arguments of each: together less than a gRPC message holds.
	maxProcesses = 4096
	maxArgs      = 512
)

// errBusy is given while an earlier list of processes is not finished.
var errBusy = errors.New("the processes of the container are being listed already, which a process of its own may hold up")

// Processes lists what runs in the container. A process can make the reading of
// its arguments take as long as it likes, by having them in memory that it
// provides only when it is read. So nobody waits for it longer than they want,
// and no more than one thread is ever held up.
func (s *guestService) Processes(ctx context.Context, _ *boxlitev1.ProcessesRequest) (*boxlitev1.ProcessesResponse, error) {
	fail := func(kind protocol.Kind, err error) (*boxlitev1.ProcessesResponse, error) {
		return nil, rpc.ToStatus(&protocol.Error{Kind: kind, Op: "list the processes", Err: err})
	}
	if !s.listing.TryLock() {
		return fail(protocol.KindResourceExhausted, errBusy)
	}
	type answer struct {
		response *boxlitev1.ProcessesResponse
		err      error
	}
	done := make(chan answer, 1)
	go func() {
		defer s.listing.Unlock()
		response, err := listProcesses("/proc")
		done <- answer{response, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return fail(protocol.KindInternal, a.err)
		}
		return a.response, nil
	case <-ctx.Done():
		return nil, rpc.ToStatus(context.Cause(ctx))
	}
}

func listProcesses(proc string) (*boxlitev1.ProcessesResponse, error) {
	dir, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	booted := bootTime()
	response := &boxlitev1.ProcessesResponse{}
	inside := make(map[uint64]uint32) // IDs in the container, by IDs in the machine
	parents := make(map[*boxlitev1.ProcessInfo]uint64)
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			continue
		}
		p, parent := readProcess(filepath.Join(proc, name), booted)
		if p == nil {
			continue
		}
		if len(response.Processes) == maxProcesses {
			response.Truncated = true
			break
		}
		inside[pid] = p.GetPid()
		parents[p] = parent
		response.Processes = append(response.Processes, p)
	}
	for p, parent := range parents {
		p.Parent = inside[parent] // 0 for the agent
	}
	slices.SortFunc(response.Processes, func(a, b *boxlitev1.ProcessInfo) int { return int(a.GetPid()) - int(b.GetPid()) })
	return response, nil
}

// bootTime is when the machine started by its own clock, in nanoseconds since
// 1970-01-01 UTC.
func bootTime() int64 {
	var since unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &since) // never fails
	return time.Now().UnixNano() - since.Nano()
}

// readProcess reads what /proc tells of a process of the container, and its
// parent's ID in the machine. It returns nil for one that is not of the
// container, or has gone.
func readProcess(dir string, booted int64) (p *boxlitev1.ProcessInfo, parent uint64) {
	status, err := readKernelFile(filepath.Join(dir, "status"))
	if err != nil {
		return nil, 0
	}
	p, parent = parseStatus(status)
	if p == nil {
		return nil, 0
	}
	stat, err := readKernelFile(filepath.Join(dir, "stat"))
	if err != nil {
		return nil, 0
	}
	parseStat(stat, booted, p)
	if args, err := readArgs(filepath.Join(dir, "cmdline")); err == nil {
		p.Args = parseArgs(args)
	}
	return p, parent
}

// readArgs reads no more of a process's memory than is told.
func readArgs(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, maxArgs+1)
	n, err := f.Read(buf)
	if n > 0 {
		err = nil
	}
	return buf[:n], err
}

// parseStatus reads /proc/PID/status. Its first line is the only one that a
// process can choose, and has no line ends in it.
func parseStatus(text []byte) (p *boxlitev1.ProcessInfo, parent uint64) {
	p = &boxlitev1.ProcessInfo{}
	for line := range bytes.Lines(text) {
		key, value, _ := strings.Cut(string(line), ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch key {
		case "State":
			p.State = words[0][:1]
		case "PPid":
			parent = number(words[0])
		case "Uid":
			p.Uid = uint32(number(words[0]))
		case "NSpid":
			if len(words) > 1 { // the machine's, the container's, and those of containers in it
				p.Pid = uint32(number(words[1]))
			}
		case "VmRSS":
			p.MemoryBytes = number(words[0]) << 10
		case "Threads":
			p.Threads = uint32(number(words[0]))
		}
	}
	if p.GetPid() == 0 {
		return nil, 0
	}
	return p, parent
}

// parseStat reads /proc/PID/stat.
func parseStat(text []byte, booted int64, p *boxlitev1.ProcessInfo) {
	name, words := statFields(text)
	const userTime, systemTime, startTime = 14, 15, 22 // numbers of fields
	if len(words) <= startTime-firstStatField {
		return
	}
	p.Name = strings.ToValidUTF8(name, "?")
	ticks := func(field int) int64 { return int64(number(words[field-firstStatField])) * int64(clockTick) }
	p.CpuNanos = ticks(userTime) + ticks(systemTime)
	p.StartedUnixNanos = booted + ticks(startTime)
}

// firstStatField is the number of the first field that statFields returns: the state.
const firstStatField = 3

// statFields parts /proc/PID/stat (proc_pid_stat(5)) into the program's name and the
// fields after it. The name, in brackets, may have brackets in it.
func statFields(text []byte) (name string, fields []string) {
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return "", nil
	}
	return string(text[from+1 : to]), strings.Fields(string(text[to+1:]))
}

// parseArgs parts what /proc/PID/cmdline holds, which is up to the process.
func parseArgs(text []byte) []string {
	text, cut := text[:min(len(text), maxArgs)], len(text) > maxArgs
	whole := strings.TrimRight(string(text), "\x00")
	if whole == "" {
		return nil
	}
	args := strings.Split(whole, "\x00")
	for i, a := range args {
		args[i] = strings.ToValidUTF8(a, "?")
	}
	if cut {
		args[len(args)-1] += "…"
	}
	return args
}
