package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	cpu := parseCPU([]byte("cpu  100 2 30 4000 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 1 2 3\nctxt 5\n"))
	if cpu.GetCount() != 2 || cpu.GetUserNanos() != int64(time.Second) || cpu.GetNiceNanos() != int64(20*time.Millisecond) ||
		cpu.GetSystemNanos() != int64(300*time.Millisecond) || cpu.GetIdleNanos() != int64(40*time.Second) ||
		cpu.GetIowaitNanos() != int64(500*time.Millisecond) || cpu.GetInterruptNanos() != int64(130*time.Millisecond) ||
		cpu.GetStealNanos() != int64(80*time.Millisecond) {
		t.Errorf("got %v", cpu)
	}
}

func TestParseMemory(t *testing.T) {
	m := parseMemory([]byte("MemTotal:         501016 kB\nMemFree:  100 kB\nMemAvailable: 200 kB\nSwapTotal: 3 kB\nSwapFree: 2 kB\nHugePages_Total:       0\n"))
	if m.GetTotalBytes() != 501016<<10 || m.GetFreeBytes() != 100<<10 || m.GetAvailableBytes() != 200<<10 ||
		m.GetSwapTotalBytes() != 3<<10 || m.GetSwapFreeBytes() != 2<<10 {
		t.Errorf("got %v", m)
	}
}

func TestParseDisks(t *testing.T) {
	const text = `   7       0 loop0 1 0 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 33 0 3170 10 0 0 0 0 0 70 10 0 0 0 0 0 0
 254       1 vda1 33 0 3170 10 0 0 0 0 0 70 10 0 0 0 0 0 0
 254      16 vdb 11 0 90 5 1 2 8 3 0 4 8 0 0 0 0 0 0
`
	disks := parseDisks([]byte(text))
	if len(disks) != 2 {
		t.Fatalf("got %v", disks)
	}
	if d := disks[1]; d.GetDevice() != "vdb" || d.GetReadOperations() != 11 || d.GetReadBytes() != 90*512 ||
		d.GetWriteOperations() != 1 || d.GetWrittenBytes() != 8*512 || d.GetBusyNanos() != int64(4*time.Millisecond) {
		t.Errorf("got %v", d)
	}
	if disks := parseDisks([]byte(strings.Repeat("254 0 vda 1 2 3 4 5 6 7 8 9 10\n", 2*maxDevices))); len(disks) != maxDevices {
		t.Errorf("%d disks", len(disks))
	}
}

func TestParseInterfaces(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0:1234 5 6 7 0 0 0 0 4321 8 9 10 0 0 0 0
`
	list := parseInterfaces([]byte(text))
	if len(list) != 1 {
		t.Fatalf("got %v", list)
	}
	i := list[0]
	if i.GetName() != "eth0" || i.GetReceivedBytes() != 1234 || i.GetReceivedPackets() != 5 || i.GetReceiveErrors() != 6 ||
		i.GetReceiveDrops() != 7 || i.GetSentBytes() != 4321 || i.GetSentPackets() != 8 || i.GetSendErrors() != 9 || i.GetSendDrops() != 10 {
		t.Errorf("got %v", i)
	}
}

func TestParseTCP(t *testing.T) {
	const text = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm AttemptFails EstabResets CurrEstab\nTcp: 1 2 3 4\n"
	if tcp := parseTCP([]byte(text)); tcp.GetConnections() != 4 || tcp.GetErrors() != 5 {
		t.Errorf("got %v", tcp)
	}
	if tcp := parseTCP(nil); tcp != nil {
		t.Errorf("nothing gives %v", tcp)
	}
}

func TestParsePressure(t *testing.T) {
	p := parsePressure([]byte("some avg10=1.50 avg60=0.25 avg300=0.01 total=1000\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n"))
	if p.GetSome().GetAvg10() != 1.5 || p.GetSome().GetAvg60() != 0.25 || p.GetSome().GetAvg300() != 0.01 ||
		p.GetSome().GetTotalNanos() != int64(time.Millisecond) || p.GetFull().GetTotalNanos() != int64(7*time.Microsecond) {
		t.Errorf("got %v", p)
	}
}

func TestParseLoad(t *testing.T) {
	if load := parseLoad([]byte("0.50 1.25 2.00 1/80 321\n")); len(load) != 3 || load[0] != 0.5 || load[1] != 1.25 || load[2] != 2 {
		t.Errorf("got %v", load)
	}
}

// The files are the kernel's, but what follows must not depend on it.
func FuzzKernelFiles(f *testing.F) {
	f.Add([]byte("cpu  1 2 3 4 5 6 7 8\n  eth0: 1 2\nTcp: a b\nTcp: 1 2 3\n254 0 vda 1 2 3\nsome avg10=NaN total=-1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parseCPU(text)
		parseMemory(text)
		parseTCP(text)
		parsePressure(text)
		if n := len(parseDisks(text)); n > maxDevices {
			t.Errorf("%d disks", n)
		}
		if n := len(parseInterfaces(text)); n > maxDevices {
			t.Errorf("%d interfaces", n)
		}
		if n := len(parseLoad(text)); n > 3 {
			t.Errorf("%d averages", n)
		}
	})
}

func TestReadContainer(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cpu.stat":       "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n",
		"memory.current": "4096\n", "memory.peak": "8192\n", "pids.current": "9\n",
		"memory.stat":   "anon 1\nfile 2\nkernel 3\nkernel_stack 99\n",
		"memory.events": "low 0\noom 4\noom_kill 3\n", "memory.swap.current": "5\n",
		"cgroup.procs": "1\n2\n", "below/cgroup.procs": "3\n",
		"cpu.pressure": "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := readContainer(dir)
	if err != nil || c.GetCpuNanos() != 30000 || c.GetCpuUserNanos() != 20000 || c.GetCpuSystemNanos() != 10000 ||
		c.GetCpuPeriods() != 5 || c.GetCpuThrottledPeriods() != 2 || c.GetCpuThrottledNanos() != 7000 ||
		c.GetMemoryBytes() != 4096 || c.GetMemoryPeakBytes() != 8192 || c.GetMemoryAnonBytes() != 1 || c.GetMemoryFileBytes() != 2 ||
		c.GetMemoryKernelBytes() != 3 || c.GetSwapBytes() != 5 || c.GetOomKills() != 3 || c.GetProcesses() != 3 || c.GetThreads() != 9 {
		t.Errorf("got %v, %v", c, err)
	}
	if p := readPressure(dir); p.GetCpu().GetSome().GetAvg10() != 1 || p.GetMemory() != nil {
		t.Errorf("got %v", p)
	}
	if p := readPressure(t.TempDir()); p != nil {
		t.Errorf("a kernel without pressure gives %v", p)
	}
}
