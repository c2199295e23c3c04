package boxlite

import (
	"context"
	"time"
)

// RuntimeMetrics counts what one [Runtime] has done since it was opened, but for
// RunningBoxes: counters are not shared between processes. What all processes of
// a home have done is told by [Runtime.Events].
type RuntimeMetrics struct {
	// BoxesCreated are boxes made, BoxesFailed starts or runs that failed,
	// BoxesStopped runs whose end this Runtime has recorded.
	BoxesCreated uint64 `json:"boxesCreatedTotal"`
	BoxesFailed  uint64 `json:"boxesFailedTotal"`
	BoxesStopped uint64 `json:"boxesStoppedTotal"`
	// RunningBoxes are those of the home that run now, paused ones included,
	// whoever has started them.
	RunningBoxes int `json:"numRunningBoxes"`
	// CommandsExecuted are commands that this Runtime was asked to run, ExecErrors
	// those of them that could not be started.
	CommandsExecuted uint64 `json:"totalCommandsExecuted"`
	ExecErrors       uint64 `json:"totalExecErrors"`
}

// BoxMetrics is what a box has done and uses. Counters count since the start of
// the present run, over all processes that use the box, and begin again with the
// next run. What is not known is nil.
type BoxMetrics struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Time is when this was read, by the host's clock.
	Time time.Time `json:"time"`

	// CommandsExecuted are commands started in the box, ExecErrors those that
	// could not be. The main process and health checks are commands, too.
	CommandsExecuted *uint64 `json:"commandsExecutedTotal"`
	ExecErrors       *uint64 `json:"execErrorsTotal"`
	// BytesSent went to standard inputs of commands, BytesReceived came from their
	// standard outputs and standard errors.
	BytesSent     *uint64 `json:"bytesSentTotal"`
	BytesReceived *uint64 `json:"bytesReceivedTotal"`

	// CreateDuration is how long the latest start took, from the request until the
	// box served commands, GuestBootDuration how long its kernel and agent took of
	// that.
	CreateDuration    *time.Duration `json:"totalCreateDurationNanos"`
	GuestBootDuration *time.Duration `json:"guestBootDurationNanos"`
	// Stages are the parts of the latest start.
	Stages []Stage `json:"stages"`

	// CPUPercent is what shim and VMM use of the host's CPUs, on average since the
	// box's start: 100 is all of one CPU. [BoxMetrics.CPUPercentSince] tells it of
	// a shorter time. MemoryBytes is what of the host's memory they hold (RSS).
	CPUPercent  *float64 `json:"cpuPercent"`
	MemoryBytes *uint64  `json:"memoryBytes"`
	// DiskUsedBytes is what the box's disk takes up on the host.
	DiskUsedBytes int64 `json:"diskUsedBytes"`

	// Network counters are those of all interfaces of the guest but the loopback.
	// TCPConnections are established now; TCPErrors are attempts that failed, and
	// connections that were reset.
	NetworkBytesSent     *uint64 `json:"networkBytesSent"`
	NetworkBytesReceived *uint64 `json:"networkBytesReceived"`
	TCPConnections       *uint64 `json:"networkTcpConnections"`
	TCPErrors            *uint64 `json:"networkTcpErrors"`

	// Network is what the host has counted of the box's network; nil if it doesn't
	// run, or has none.
	Network *NetworkMetrics `json:"network"`

	// Host is what the processes that run the box use; nil if it doesn't run, or
	// the host's system does not tell.
	Host *HostMetrics `json:"host"`
	// Guest is what the guest says that it uses; nil if it doesn't run, is paused,
	// or does not answer, which GuestError then tells. A guest may lie.
	Guest      *GuestMetrics `json:"guest"`
	GuestError string        `json:"guestError,omitempty"`
	// Executions are the commands that run, each with what it uses. A guest may lie
	// here, too.
	Executions []Execution `json:"executions"`
}

// ProcessMetrics is what one process on the host uses.
type ProcessMetrics struct {
	PID int `json:"pid"`
	// CPU is the time that it has computed, MemoryBytes its resident memory.
	CPU         time.Duration `json:"cpuNanos"`
	MemoryBytes uint64        `json:"memoryBytes"`
}

// HostMetrics is what a box's processes on the host use.
type HostMetrics struct {
	Shim ProcessMetrics `json:"shim"`
	VMM  ProcessMetrics `json:"vmm"`
}

// GuestMetrics is what a guest's kernel says. Counters count since the guest's
// start. Sizes are in bytes.
type GuestMetrics struct {
	// Uptime is by the guest's own clock, which stands still while it is paused.
	Uptime time.Duration `json:"uptimeNanos"`
	// Load are the averages of 1, 5 and 15 minutes of how many threads run, or
	// wait for a disk.
	Load       [3]float64         `json:"load"`
	CPU        CPUMetrics         `json:"cpu"`
	Memory     MemoryMetrics      `json:"memory"`
	Container  ContainerMetrics   `json:"container"`
	Disks      []DiskMetrics      `json:"disks"`
	Filesystem FilesystemMetrics  `json:"filesystem"`
	Interfaces []InterfaceMetrics `json:"interfaces"`
	// Pressure is nil if the guest's kernel does not tell.
	Pressure *PressureMetrics `json:"pressure"`
}

// CPUMetrics is how the guest's CPUs have spent their time, all together.
type CPUMetrics struct {
	// Count is the number of CPUs.
	Count     int           `json:"count"`
	User      time.Duration `json:"userNanos"`
	Nice      time.Duration `json:"niceNanos"`
	System    time.Duration `json:"systemNanos"`
	Idle      time.Duration `json:"idleNanos"`
	IOWait    time.Duration `json:"iowaitNanos"`
	Interrupt time.Duration `json:"interruptNanos"`
	// Steal is time in which the host ran something else.
	Steal time.Duration `json:"stealNanos"`
}

// MemoryMetrics is the memory of the guest's machine.
type MemoryMetrics struct {
	Total uint64 `json:"totalBytes"`
	Free  uint64 `json:"freeBytes"`
	// Available can be had without swapping.
	Available uint64 `json:"availableBytes"`
	SwapTotal uint64 `json:"swapTotalBytes"`
	SwapFree  uint64 `json:"swapFreeBytes"`
}

// ContainerMetrics is what the commands in the box use, all together.
type ContainerMetrics struct {
	// CPU is User and System.
	CPU    time.Duration `json:"cpuNanos"`
	User   time.Duration `json:"cpuUserNanos"`
	System time.Duration `json:"cpuSystemNanos"`
	// Periods counts those of a CPU limit, ThrottledPeriods those in which it was
	// reached, Throttled how long threads then waited.
	Periods          uint64        `json:"cpuPeriods"`
	ThrottledPeriods uint64        `json:"cpuThrottledPeriods"`
	Throttled        time.Duration `json:"cpuThrottledNanos"`
	// Memory is what is used now, of which Anonymous belongs to no file, File is
	// the cache of files, and Kernel the kernel's on the container's behalf.
	Memory     uint64 `json:"memoryBytes"`
	MemoryPeak uint64 `json:"memoryPeakBytes"`
	Anonymous  uint64 `json:"memoryAnonymousBytes"`
	File       uint64 `json:"memoryFileBytes"`
	Kernel     uint64 `json:"memoryKernelBytes"`
	Swap       uint64 `json:"swapBytes"`
	// OOMKills are processes that the guest's kernel killed for want of memory.
	OOMKills  uint64 `json:"oomKillsTotal"`
	Processes uint64 `json:"processes"`
	Threads   uint64 `json:"threads"`
}

// DiskMetrics is the traffic of one of the guest's disks.
type DiskMetrics struct {
	Device string `json:"device"`
	// Serial tells the disks apart: "boxlite-image" is the image's, "boxlite-disk"
	// the box's own.
	Serial          string `json:"serial"`
	ReadBytes       uint64 `json:"readBytes"`
	ReadOperations  uint64 `json:"readOperations"`
	WrittenBytes    uint64 `json:"writtenBytes"`
	WriteOperations uint64 `json:"writeOperations"`
	// Busy is the time in which something was under way.
	Busy time.Duration `json:"busyNanos"`
}

// FilesystemMetrics is how full the box's disk is.
type FilesystemMetrics struct {
	Size uint64 `json:"sizeBytes"`
	Used uint64 `json:"usedBytes"`
	// Available is what a process without privileges can still write.
	Available  uint64 `json:"availableBytes"`
	Inodes     uint64 `json:"inodes"`
	InodesFree uint64 `json:"inodesFree"`
}

// InterfaceMetrics is the traffic of one of the guest's network interfaces.
type InterfaceMetrics struct {
	Name            string `json:"name"`
	ReceivedBytes   uint64 `json:"receivedBytes"`
	ReceivedPackets uint64 `json:"receivedPackets"`
	ReceiveErrors   uint64 `json:"receiveErrors"`
	ReceiveDrops    uint64 `json:"receiveDrops"`
	SentBytes       uint64 `json:"sentBytes"`
	SentPackets     uint64 `json:"sentPackets"`
	SendErrors      uint64 `json:"sendErrors"`
	SendDrops       uint64 `json:"sendDrops"`
}

// PressureMetrics is how long the container's threads could not go on for want of
// something: pressure stall information, as Linux calls it.
type PressureMetrics struct {
	CPU    Pressure `json:"cpu"`
	Memory Pressure `json:"memory"`
	IO     Pressure `json:"io"`
}

// Pressure is the want of one thing: Some is when at least one thread waited, Full
// when all did.
type Pressure struct {
	Some Stall `json:"some"`
	Full Stall `json:"full"`
}

// Stall is how much time was lost: per cent of the last 10, 60 and 300 seconds,
// and the sum since the guest's start.
type Stall struct {
	Avg10  float64       `json:"avg10"`
	Avg60  float64       `json:"avg60"`
	Avg300 float64       `json:"avg300"`
	Total  time.Duration `json:"totalNanos"`
}

// Metrics tells what this Runtime has done.
func (rt *Runtime) Metrics(ctx context.Context) (RuntimeMetrics, error) {
	boxes, err := rt.List(ctx)
	if err != nil {
		return RuntimeMetrics{}, err
	}
	m := rt.counters()
	for _, b := range boxes {
		if b.Status == StatusRunning || b.Status == StatusPaused {
			m.RunningBoxes++
		}
	}
	return m, nil
}

// CPUPercentSince is what the box's guest has computed since an earlier reading of
// the same run, by the guest's own clock: 100 is all of one CPU. It reports false
// if either reading has no guest, they are of different runs, or no time has gone
// by between them.
func (m BoxMetrics) CPUPercentSince(earlier BoxMetrics) (percent float64, ok bool) {
	if m.Guest == nil || earlier.Guest == nil {
		return 0, false
	}
	passed := m.Guest.Uptime - earlier.Guest.Uptime
	used := m.Guest.Container.CPU - earlier.Guest.Container.CPU
	if passed <= 0 || used < 0 {
		return 0, false
	}
	return 100 * float64(used) / float64(passed), true
}
