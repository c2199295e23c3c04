package guest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// maxCgroups bounds how many cgroups of the container are looked at.
const maxCgroups = 1024

// Stats reads what the kernel counts anyway: nothing is sampled in between.
func (s *guestService) Stats(context.Context, *boxlitev1.StatsRequest) (*boxlitev1.StatsResponse, error) {
	stats, err := readStats()
	if err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindInternal, Op: "read the guest's metrics", Err: err})
	}
	stats.Commands = s.container.executions.counters.stats()
	return stats, nil
}

func readStats() (*boxlitev1.StatsResponse, error) {
	stats := &boxlitev1.StatsResponse{UptimeNanos: monotonic()}
	var failed []error
	// read parses a file that every guest has.
	read := func(path string, parse func([]byte)) {
		text, err := readKernelFile(path)
		if err != nil {
			failed = append(failed, err)
			return
		}
		parse(text)
	}
	read("/proc/stat", func(text []byte) { stats.Cpu = parseCPU(text) })
	read("/proc/loadavg", func(text []byte) { stats.Load = parseLoad(text) })
	read("/proc/meminfo", func(text []byte) { stats.Memory = parseMemory(text) })
	read("/proc/diskstats", func(text []byte) { stats.Disks = parseDisks(text) })
	read("/proc/net/dev", func(text []byte) { stats.Interfaces = parseInterfaces(text) })
	read("/proc/net/snmp", func(text []byte) { stats.Tcp = parseTCP(text) })
	for _, d := range stats.Disks {
		// A disk without a serial number is nobody's.
		serial, _ := readKernelFile(filepath.Join("/sys/block", d.GetDevice(), "serial"))
		d.Serial = strings.TrimSpace(string(serial))
	}
	// Before the container is set up, it has neither a cgroup nor a disk.
	var err error
	if stats.Container, err = readContainer(containerCgroup); err != nil && !errors.Is(err, fs.ErrNotExist) {
		failed = append(failed, err)
	}
	if stats.Container != nil {
		if stats.Filesystem, err = readFilesystem(dirBox); err != nil {
			failed = append(failed, err)
		}
		stats.Pressure = readPressure(containerCgroup)
	}
	return stats, errors.Join(failed...)
}

// monotonic is the guest's clock that is never set.
func monotonic() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // never fails
	return now.Nano()
}

// readContainer reads what the container's cgroup has used. A file that this
// kernel does not have reads as zeros.
func readContainer(cgroup string) (*boxlitev1.ContainerStats, error) {
	if _, err := os.Stat(cgroup); err != nil {
		return nil, err
	}
	var failed []error
	keys := func(name string) map[string]uint64 {
		text, err := readKernelFile(filepath.Join(cgroup, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		return parseKeys(text)
	}
	value := func(name string) uint64 {
		text, err := readKernelFile(filepath.Join(cgroup, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		return number(strings.TrimSpace(string(text)))
	}
	micros := func(n uint64) int64 { return int64(n) * int64(time.Microsecond) }
	cpu, memory, events := keys("cpu.stat"), keys("memory.stat"), keys("memory.events")
	stats := &boxlitev1.ContainerStats{
		CpuUserNanos: micros(cpu["user_usec"]), CpuSystemNanos: micros(cpu["system_usec"]), CpuNanos: micros(cpu["usage_usec"]),
		CpuPeriods: cpu["nr_periods"], CpuThrottledPeriods: cpu["nr_throttled"], CpuThrottledNanos: micros(cpu["throttled_usec"]),
		MemoryBytes: value("memory.current"), MemoryPeakBytes: value("memory.peak"),
		MemoryAnonBytes: memory["anon"], MemoryFileBytes: memory["file"], MemoryKernelBytes: memory["kernel"],
		SwapBytes: value("memory.swap.current"), OomKills: events["oom_kill"],
		Processes: countProcesses(cgroup), Threads: value("pids.current"),
	}
	return stats, errors.Join(failed...)
}

// countProcesses counts the processes in a cgroup and those below it. What comes
// and goes meanwhile may be left out.
func countProcesses(cgroup string) uint64 {
	count := uint64(0)
	left := maxCgroups
	_ = filepath.WalkDir(cgroup, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil // a cgroup that has just been removed has no processes
		}
		if left--; left < 0 {
			return fs.SkipAll
		}
		// A cgroup of single threads has no list of processes: its parent has.
		text, _ := readKernelFile(filepath.Join(path, "cgroup.procs"))
		for _, c := range text {
			if c == '\n' {
				count++
			}
		}
		return nil
	})
	return count
}

func readFilesystem(path string) (*boxlitev1.FilesystemStats, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return nil, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	block := uint64(stat.Frsize)
	return &boxlitev1.FilesystemStats{
		SizeBytes: stat.Blocks * block, UsedBytes: (stat.Blocks - stat.Bfree) * block, AvailableBytes: stat.Bavail * block,
		Inodes: stat.Files, InodesFree: stat.Ffree,
	}, nil
}

// readPressure returns nil if the kernel does not tell.
func readPressure(cgroup string) *boxlitev1.PressureStats {
	read := func(name string) *boxlitev1.Pressure {
		text, err := readKernelFile(filepath.Join(cgroup, name))
		if err != nil {
			return nil // the kernel was built, or booted, without it
		}
		return parsePressure(text)
	}
	pressure := &boxlitev1.PressureStats{Cpu: read("cpu.pressure"), Memory: read("memory.pressure"), Io: read("io.pressure")}
	if pressure.Cpu == nil && pressure.Memory == nil && pressure.Io == nil {
		return nil
	}
	return pressure
}
