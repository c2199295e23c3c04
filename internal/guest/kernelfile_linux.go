package guest

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

const (
	// maxKernelFile bounds what is read of a file of /proc or of a cgroup.
	maxKernelFile = 256 << 10
	// maxDevices bounds how many disks, and interfaces, are told of: whoever may
	// configure the network can make any number.
	maxDevices = 64

	// clockTick is the unit of times in /proc (USER_HZ), which is the same on all
	// architectures that BoxLite knows.
	clockTick = 10 * time.Millisecond
	// sectorBytes is the unit of /proc/diskstats, whatever the disk's own is.
	sectorBytes = 512
)

// readKernelFile reads a file of /proc or of a cgroup. What is longer than
// maxKernelFile is cut.
func readKernelFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKernelFile))
}

// number reads a decimal number; 0 if it is none.
func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func decimal(text string) float64 {
	n, _ := strconv.ParseFloat(text, 64)
	return n
}

// fields returns the words of each line, at most limit lines that have least
// words or more.
func fields(text []byte, least, limit int) [][]string {
	var lines [][]string
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) < least {
			continue
		}
		if lines = append(lines, words); len(lines) == limit {
			break
		}
	}
	return lines
}

// parseKeys reads lines of a key and a number, as memory.stat has them. What
// follows the number, such as a unit, is left out, and so is a colon after the
// key.
func parseKeys(text []byte) map[string]uint64 {
	keys := make(map[string]uint64)
	for _, words := range fields(text, 2, 1024) {
		keys[strings.TrimSuffix(words[0], ":")] = number(words[1])
	}
	return keys
}

// parseCPU reads /proc/stat.
func parseCPU(text []byte) *boxlitev1.CPUStats {
	cpu := &boxlitev1.CPUStats{}
	for _, words := range fields(text, 9, 4096) {
		switch {
		case words[0] == "cpu":
			ticks := func(i int) int64 { return int64(number(words[i])) * int64(clockTick) }
			cpu.UserNanos, cpu.NiceNanos, cpu.SystemNanos = ticks(1), ticks(2), ticks(3)
			cpu.IdleNanos, cpu.IowaitNanos = ticks(4), ticks(5)
			cpu.InterruptNanos, cpu.StealNanos = ticks(6)+ticks(7), ticks(8)
		case strings.HasPrefix(words[0], "cpu"):
			cpu.Count++
		}
	}
	return cpu
}

// parseMemory reads /proc/meminfo.
func parseMemory(text []byte) *boxlitev1.MemoryStats {
	kib := parseKeys(text)
	return &boxlitev1.MemoryStats{
		TotalBytes: kib["MemTotal"] << 10, FreeBytes: kib["MemFree"] << 10, AvailableBytes: kib["MemAvailable"] << 10,
		SwapTotalBytes: kib["SwapTotal"] << 10, SwapFreeBytes: kib["SwapFree"] << 10,
	}
}

// parseDisks reads /proc/diskstats (Documentation/admin-guide/iostats.rst). Only
// whole virtio disks are told of.
func parseDisks(text []byte) []*boxlitev1.DiskStats {
	var disks []*boxlitev1.DiskStats
	for _, words := range fields(text, 13, 1024) {
		name := words[2]
		if !strings.HasPrefix(name, "vd") || strings.ContainsAny(name, "0123456789") {
			continue
		}
		disks = append(disks, &boxlitev1.DiskStats{
			Device:         name,
			ReadOperations: number(words[3]), ReadBytes: number(words[5]) * sectorBytes,
			WriteOperations: number(words[7]), WrittenBytes: number(words[9]) * sectorBytes,
			BusyNanos: int64(number(words[12])) * int64(time.Millisecond),
		})
		if len(disks) == maxDevices {
			break
		}
	}
	return disks
}

// parseInterfaces reads /proc/net/dev.
func parseInterfaces(text []byte) []*boxlitev1.InterfaceStats {
	var list []*boxlitev1.InterfaceStats
	for line := range bytes.Lines(text) {
		before, after, found := strings.Cut(string(line), ":")
		name, words := strings.TrimSpace(before), strings.Fields(after)
		if !found || name == "lo" || len(words) < 12 {
			continue
		}
		list = append(list, &boxlitev1.InterfaceStats{
			Name: name, ReceivedBytes: number(words[0]), ReceivedPackets: number(words[1]),
			ReceiveErrors: number(words[2]), ReceiveDrops: number(words[3]),
			SentBytes: number(words[8]), SentPackets: number(words[9]),
			SendErrors: number(words[10]), SendDrops: number(words[11]),
		})
		if len(list) == maxDevices {
			break
		}
	}
	return list
}

// parseTCP reads /proc/net/snmp, whose lines come in pairs: names, then numbers.
func parseTCP(text []byte) *boxlitev1.TCPStats {
	var names []string
	for _, words := range fields(text, 2, 1024) {
		if words[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		tcp := &boxlitev1.TCPStats{}
		for i, word := range words[:min(len(words), len(names))] {
			switch names[i] {
			case "CurrEstab":
				tcp.Connections = number(word)
			case "AttemptFails", "EstabResets":
				tcp.Errors += number(word)
			}
		}
		return tcp
	}
	return nil
}

// parsePressure reads a file of pressure stall information
// (Documentation/accounting/psi.rst).
func parsePressure(text []byte) *boxlitev1.Pressure {
	pressure := &boxlitev1.Pressure{}
	for _, words := range fields(text, 5, 16) {
		stall := &boxlitev1.Stall{}
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "avg10":
				stall.Avg10 = decimal(value)
			case "avg60":
				stall.Avg60 = decimal(value)
			case "avg300":
				stall.Avg300 = decimal(value)
			case "total":
				stall.TotalNanos = int64(number(value)) * int64(time.Microsecond)
			}
		}
		switch words[0] {
		case "some":
			pressure.Some = stall
		case "full":
			pressure.Full = stall
		}
	}
	return pressure
}

// parseLoad reads the averages of /proc/loadavg.
func parseLoad(text []byte) []float64 {
	words := strings.Fields(string(text))
	var load []float64
	for _, word := range words[:min(3, len(words))] {
		load = append(load, decimal(word))
	}
	return load
}
