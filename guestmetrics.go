package boxlite

import (
	"math"
	"strings"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

const (
	// maxGuestList bounds lists that a guest sends, maxGuestText its texts.
	maxGuestList = 64
	maxGuestText = 64
)

// setGuest takes what a guest says, within bounds.
func (m *BoxMetrics) setGuest(s *boxlitev1.StatsResponse) {
	commands := s.GetCommands()
	m.CommandsExecuted, m.ExecErrors = new(commands.GetExecuted()), new(commands.GetErrors())
	m.BytesSent, m.BytesReceived = new(commands.GetStdinBytes()), new(commands.GetOutputBytes())
	g := &GuestMetrics{
		Uptime: nanos(s.GetUptimeNanos()), CPU: cpuOf(s.GetCpu()), Memory: memoryOf(s.GetMemory()),
		Container: containerOf(s.GetContainer()), Filesystem: FilesystemMetrics{
			Size: s.GetFilesystem().GetSizeBytes(), Used: s.GetFilesystem().GetUsedBytes(),
			Available: s.GetFilesystem().GetAvailableBytes(),
			Inodes:    s.GetFilesystem().GetInodes(), InodesFree: s.GetFilesystem().GetInodesFree(),
		},
		Disks: []DiskMetrics{}, Interfaces: []InterfaceMetrics{}, Pressure: pressureOf(s.GetPressure()),
	}
	for i, load := range first(s.GetLoad(), len(g.Load)) {
		g.Load[i] = amount(load)
	}
	for _, d := range first(s.GetDisks(), maxGuestList) {
		g.Disks = append(g.Disks, DiskMetrics{
			Device: guestText(d.GetDevice()), Serial: guestText(d.GetSerial()),
			ReadBytes: d.GetReadBytes(), ReadOperations: d.GetReadOperations(),
			WrittenBytes: d.GetWrittenBytes(), WriteOperations: d.GetWriteOperations(), Busy: nanos(d.GetBusyNanos()),
		})
	}
	var sent, received uint64
	for _, i := range first(s.GetInterfaces(), maxGuestList) {
		sent += i.GetSentBytes()
		received += i.GetReceivedBytes()
		g.Interfaces = append(g.Interfaces, InterfaceMetrics{
			Name: guestText(i.GetName()), ReceivedBytes: i.GetReceivedBytes(), ReceivedPackets: i.GetReceivedPackets(),
			ReceiveErrors: i.GetReceiveErrors(), ReceiveDrops: i.GetReceiveDrops(),
			SentBytes: i.GetSentBytes(), SentPackets: i.GetSentPackets(),
			SendErrors: i.GetSendErrors(), SendDrops: i.GetSendDrops(),
		})
	}
	m.NetworkBytesSent, m.NetworkBytesReceived = &sent, &received
	if tcp := s.GetTcp(); tcp != nil {
		m.TCPConnections, m.TCPErrors = new(tcp.GetConnections()), new(tcp.GetErrors())
	}
	m.Guest = g
}

func cpuOf(c *boxlitev1.CPUStats) CPUMetrics {
	return CPUMetrics{
		Count: int(c.GetCount()), User: nanos(c.GetUserNanos()), Nice: nanos(c.GetNiceNanos()),
		System: nanos(c.GetSystemNanos()), Idle: nanos(c.GetIdleNanos()), IOWait: nanos(c.GetIowaitNanos()),
		Interrupt: nanos(c.GetInterruptNanos()), Steal: nanos(c.GetStealNanos()),
	}
}

func memoryOf(m *boxlitev1.MemoryStats) MemoryMetrics {
	return MemoryMetrics{
		Total: m.GetTotalBytes(), Free: m.GetFreeBytes(), Available: m.GetAvailableBytes(),
		SwapTotal: m.GetSwapTotalBytes(), SwapFree: m.GetSwapFreeBytes(),
	}
}

func containerOf(c *boxlitev1.ContainerStats) ContainerMetrics {
	return ContainerMetrics{
		CPU: nanos(c.GetCpuNanos()), User: nanos(c.GetCpuUserNanos()), System: nanos(c.GetCpuSystemNanos()),
		Periods: c.GetCpuPeriods(), ThrottledPeriods: c.GetCpuThrottledPeriods(), Throttled: nanos(c.GetCpuThrottledNanos()),
		Memory: c.GetMemoryBytes(), MemoryPeak: c.GetMemoryPeakBytes(), Anonymous: c.GetMemoryAnonBytes(),
		File: c.GetMemoryFileBytes(), Kernel: c.GetMemoryKernelBytes(), Swap: c.GetSwapBytes(),
		OOMKills: c.GetOomKills(), Processes: c.GetProcesses(), Threads: c.GetThreads(),
	}
}

func pressureOf(p *boxlitev1.PressureStats) *PressureMetrics {
	if p == nil {
		return nil
	}
	of := func(p *boxlitev1.Pressure) Pressure {
		return Pressure{Some: stallOf(p.GetSome()), Full: stallOf(p.GetFull())}
	}
	return &PressureMetrics{CPU: of(p.GetCpu()), Memory: of(p.GetMemory()), IO: of(p.GetIo())}
}

func stallOf(s *boxlitev1.Stall) Stall {
	return Stall{Avg10: amount(s.GetAvg10()), Avg60: amount(s.GetAvg60()), Avg300: amount(s.GetAvg300()), Total: nanos(s.GetTotalNanos())}
}

// nanos is a time that can't be negative.
func nanos(n int64) time.Duration { return time.Duration(max(0, n)) }

// amount is a number that is one, which JSON needs, and not negative.
func amount(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
		return 0
	}
	return f
}

// guestText is a text of a guest, cut and without what is no text.
func guestText(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxGuestText)], "") }

// first returns at most n elements.
func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }
