package boxlite

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// fullStats is what a guest could say, with a number of its own in each field.
func fullStats() *boxlitev1.StatsResponse {
	stall := &boxlitev1.Stall{Avg10: 1.5, TotalNanos: 2_500_000_000}
	pressure := &boxlitev1.Pressure{Some: stall, Full: stall}
	return &boxlitev1.StatsResponse{
		UptimeNanos: int64(3 * time.Second), Load: []float64{0.1, 0.2, 0.3},
		Cpu:        &boxlitev1.CPUStats{Count: 2, UserNanos: 1_250_000_000},
		Container:  &boxlitev1.ContainerStats{CpuNanos: 5, CpuUserNanos: 1_500_000_000, MemoryBytes: 7 << 20, OomKills: 1},
		Memory:     &boxlitev1.MemoryStats{TotalBytes: 512 << 20, AvailableBytes: 256 << 20},
		Disks:      []*boxlitev1.DiskStats{{Device: "vda", Serial: "boxlite-image", ReadBytes: 42}, {Device: "vdb", Serial: "boxlite-disk"}},
		Filesystem: &boxlitev1.FilesystemStats{SizeBytes: 1 << 30},
		Interfaces: []*boxlitev1.InterfaceStats{{Name: "eth0", ReceivedBytes: 10, SentBytes: 20}, {Name: "eth1", SentBytes: 5}},
		Tcp:        &boxlitev1.TCPStats{Connections: 3}, Commands: &boxlitev1.CommandStats{Executed: 9},
		Pressure: &boxlitev1.PressureStats{Cpu: pressure, Memory: pressure, Io: pressure},
	}
}

// sampleLine is the grammar of a sample: name, labels, value.
var sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*)?\})? (\S+)$`)

// checkExposition checks the format, and returns the samples by name and labels.
func checkExposition(t *testing.T, text string) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	var current, kind string
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if help, ok := strings.CutPrefix(line, "# HELP "); ok {
			var about string
			current, about, _ = strings.Cut(help, " ")
			if seen[current] || about == "" {
				t.Errorf("%s: described twice, or not at all", current)
			}
			seen[current] = true
			continue
		}
		if typed, ok := strings.CutPrefix(line, "# TYPE "); ok {
			var name string
			name, kind, _ = strings.Cut(typed, " ")
			if name != current || (kind == "counter") != strings.HasSuffix(name, "_total") {
				t.Errorf("%q after %s", line, current)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != current {
			t.Errorf("%q is no sample of %s", line, current)
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil || kind == "counter" && value < 0 {
			t.Errorf("%q: %v", line, err)
		}
		if _, twice := samples[m[1]+m[2]]; twice {
			t.Errorf("%q is there twice", m[1]+m[2])
		}
		samples[m[1]+m[2]] = value
	}
	return samples
}

func TestPrometheusFormat(t *testing.T) {
	const name = "a\"b\\c\nd"
	running := BoxMetrics{
		ID: "id1", Name: name, Status: StatusRunning, CreateDuration: new(1500 * time.Millisecond),
		Stages: []Stage{{Name: "image", Duration: time.Second}, {Name: "kernel", Duration: time.Second}},
		Host:   &HostMetrics{Shim: ProcessMetrics{PID: 1, CPU: time.Second}, VMM: ProcessMetrics{PID: 2, MemoryBytes: 1 << 53}},
	}
	running.setGuest(fullStats())
	stopped := BoxMetrics{ID: "id2", Status: StatusStopped}
	var e exposition
	e.addRuntime(RuntimeMetrics{BoxesCreated: 2, RunningBoxes: 1})
	e.addBox(running)
	e.addBox(stopped)
	var text bytes.Buffer
	if err := e.write(&text); err != nil {
		t.Fatal(err)
	}
	samples := checkExposition(t, text.String())
	box := `box="a\"b\\c\nd"`
	for sample, want := range map[string]float64{
		"boxlite_boxes_created_total":                                              2,
		"boxlite_boxes_running":                                                    1,
		`boxlite_box_running{` + box + `}`:                                         1,
		`boxlite_box_running{box="id2"}`:                                           0,
		`boxlite_box_info{box="id2",id="id2",status="stopped"}`:                    1,
		`boxlite_box_start_seconds{` + box + `}`:                                   1.5,
		`boxlite_box_cpu_seconds_total{` + box + `,mode="user"}`:                   1.5,
		`boxlite_box_guest_cpu_seconds_total{` + box + `,mode="user"}`:             1.25,
		`boxlite_box_disk_read_bytes_total{` + box + `,device="vda",disk="image"}`: 42,
		`boxlite_box_pressure_waiting_seconds_total{` + box + `,resource="io"}`:    2.5,
		`boxlite_box_commands_executed_total{` + box + `}`:                         9,
		`boxlite_box_host_memory_bytes{` + box + `,process="vmm"}`:                 1 << 53,
	} {
		if got, ok := samples[sample]; !ok || got != want {
			t.Errorf("%s: got %v, %t, want %v", sample, got, ok, want)
		}
	}
}

func FuzzPrometheusLabels(f *testing.F) {
	f.Add("a\"b\\c\nd", "\xff\x00")
	f.Fuzz(func(t *testing.T, name, device string) {
		m := BoxMetrics{ID: "id", Name: name, Status: StatusRunning}
		m.setGuest(&boxlitev1.StatsResponse{Disks: []*boxlitev1.DiskStats{{Device: device}}})
		var e exposition
		e.addBox(m)
		var text bytes.Buffer
		if err := e.write(&text); err != nil {
			t.Fatal(err)
		}
		checkExposition(t, text.String())
	})
}

func TestPromNumber(t *testing.T) {
	for _, c := range []struct {
		f    float64
		want string
	}{{0, "0"}, {12, "12"}, {1.5, "1.5"}, {1e300, "1e+300"}, {-3, "-3"}} {
		if got := promNumber(c.f); got != c.want {
			t.Errorf("%v is written %q, want %q", c.f, got, c.want)
		}
	}
	if got := promNumber(1 << 60); fmt.Sprint(got) != "1.152921504606847e+18" {
		t.Errorf("got %q", got)
	}
}
