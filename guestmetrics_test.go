package boxlite

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

func TestGuestMetrics(t *testing.T) {
	var m BoxMetrics
	m.setGuest(fullStats())
	g := m.Guest
	if *m.CommandsExecuted != 9 || *m.TCPConnections != 3 || *m.NetworkBytesSent != 25 || *m.NetworkBytesReceived != 10 ||
		g.Uptime != 3*time.Second || g.Load != [3]float64{0.1, 0.2, 0.3} || g.CPU.Count != 2 || g.Container.OOMKills != 1 ||
		len(g.Disks) != 2 || g.Pressure.IO.Full.Total != 2500*time.Millisecond {
		t.Errorf("got %+v", m)
	}
	later := BoxMetrics{Guest: &GuestMetrics{Uptime: 5 * time.Second, Container: ContainerMetrics{CPU: time.Second + 5}}}
	if percent, ok := later.CPUPercentSince(m); !ok || percent != 50 {
		t.Errorf("got %v, %t", percent, ok)
	}
	if percent, ok := m.CPUPercentSince(later); ok {
		t.Errorf("a reading that is not later gives %v", percent)
	}
	if percent, ok := m.CPUPercentSince(BoxMetrics{}); ok {
		t.Errorf("a reading without a guest gives %v", percent)
	}
}

// Whatever a guest sends becomes JSON, within bounds.
func FuzzGuestMetrics(f *testing.F) {
	seed, err := proto.Marshal(fullStats())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	wild := fullStats()
	wild.Load = []float64{math.NaN(), math.Inf(1), -1, 4}
	wild.UptimeNanos = math.MinInt64
	wild.Disks = make([]*boxlitev1.DiskStats, 1000)
	wild.Interfaces[0].Name = strings.Repeat("ü", 1000)
	if seed, err = proto.Marshal(wild); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var s boxlitev1.StatsResponse
		if proto.Unmarshal(data, &s) != nil {
			return
		}
		var m BoxMetrics
		m.setGuest(&s)
		if _, err := json.Marshal(m); err != nil {
			t.Error(err)
		}
		if m.Guest.Uptime < 0 || len(m.Guest.Disks) > maxGuestList || len(m.Guest.Interfaces) > maxGuestList {
			t.Errorf("got %+v", m.Guest)
		}
		for _, i := range m.Guest.Interfaces {
			if len(i.Name) > maxGuestText {
				t.Errorf("a name of %d bytes", len(i.Name))
			}
		}
	})
}

func FuzzProcesses(f *testing.F) {
	seed, err := proto.Marshal(&boxlitev1.ProcessesResponse{Processes: []*boxlitev1.ProcessInfo{
		{Pid: 2, Args: []string{"sh", "-c", "true"}},
		{Pid: 3, CpuNanos: -1, Name: strings.Repeat("x", 100), Args: []string{strings.Repeat("y", 4096)}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var response boxlitev1.ProcessesResponse
		if proto.Unmarshal(data, &response) != nil {
			return
		}
		for _, p := range processesOf(&response) {
			size := 0
			for _, arg := range p.Args {
				size += len(arg)
			}
			if size > maxProcessArgs || p.CPU < 0 || len(p.Name) > maxGuestText {
				t.Errorf("got %+v", p)
			}
		}
	})
}
