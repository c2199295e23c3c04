package boxlite

import (
	"bufio"
	"context"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WritePrometheus writes the metrics of the Runtime and of all boxes of its home
// in the text format of Prometheus, version 0.0.4. Serve it as "text/plain;
// version=0.0.4"; docs/metrics.md lists the names.
//
// A box whose metrics can't be read is left out but for boxlite_box_info and
// boxlite_box_running.
func (rt *Runtime) WritePrometheus(ctx context.Context, w io.Writer) error {
	runtime, err := rt.Metrics(ctx)
	if err != nil {
		return err
	}
	boxes, err := rt.AllMetrics(ctx)
	if err != nil {
		return err
	}
	var e exposition
	e.addRuntime(runtime)
	for _, m := range boxes {
		e.addBox(m)
	}
	return e.write(w)
}

// exposition gathers samples by the name of their metric: all of one must stand
// together.
type exposition struct {
	metrics []*promMetric
	byName  map[string]*promMetric
}

type promMetric struct {
	name, kind, help string
	samples          []promSample
}

type promSample struct {
	labels []string // name, value, name, value, …
	value  float64
}

func (e *exposition) add(kind, name, help string, value float64, labels ...string) {
	m := e.byName[name]
	if m == nil {
		if e.byName == nil {
			e.byName = make(map[string]*promMetric)
		}
		m = &promMetric{name: name, kind: kind, help: help}
		e.byName[name] = m
		e.metrics = append(e.metrics, m)
	}
	m.samples = append(m.samples, promSample{labels, value})
}

func (e *exposition) write(to io.Writer) error {
	w := bufio.NewWriter(to) // keeps the first error for Flush
	help := strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	label := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	for _, m := range e.metrics {
		_, _ = w.WriteString("# HELP " + m.name + " " + help.Replace(m.help) + "\n# TYPE " + m.name + " " + m.kind + "\n")
		for _, s := range m.samples {
			_, _ = w.WriteString(m.name)
			between := "{"
			for pair := range slices.Chunk(s.labels, 2) {
				_, _ = w.WriteString(between + pair[0] + `="` + label.Replace(strings.ToValidUTF8(pair[1], "\ufffd")) + `"`)
				between = ","
			}
			if len(s.labels) > 0 {
				_ = w.WriteByte('}')
			}
			_, _ = w.WriteString(" " + promNumber(s.value) + "\n")
		}
	}
	return w.Flush()
}

func promNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (e *exposition) addRuntime(m RuntimeMetrics) {
	for _, c := range []struct {
		name, help string
		value      uint64
	}{
		{"boxlite_boxes_created_total", "Boxes that this process has created.", m.BoxesCreated},
		{"boxlite_boxes_failed_total", "Starts and runs of boxes that have failed, as this process has recorded.", m.BoxesFailed},
		{"boxlite_boxes_stopped_total", "Runs of boxes that have ended, as this process has recorded.", m.BoxesStopped},
		{"boxlite_commands_executed_total", "Commands that this process was asked to run.", m.CommandsExecuted},
		{"boxlite_command_errors_total", "Commands of this process that could not be started.", m.ExecErrors},
	} {
		e.add("counter", c.name, c.help, float64(c.value))
	}
	e.add("gauge", "boxlite_boxes_running", "Boxes of the home that run, paused ones included.", float64(m.RunningBoxes))
}

// ofBox adds samples of one box.
type ofBox struct {
	*exposition
	labels []string
}

func (b ofBox) add(kind, name, help string, value float64, labels ...string) {
	b.exposition.add(kind, "boxlite_box_"+name, help, value, slices.Concat(b.labels, labels)...)
}

func (b ofBox) counter(name, help string, value uint64, labels ...string) {
	b.add("counter", name, help, float64(value), labels...)
}

func (b ofBox) gauge(name, help string, value uint64, labels ...string) {
	b.add("gauge", name, help, float64(value), labels...)
}

func (b ofBox) seconds(name, help string, value time.Duration, labels ...string) {
	b.add("counter", name, help, value.Seconds(), labels...)
}

func (e *exposition) addBox(m BoxMetrics) {
	label := m.Name
	if label == "" {
		label = m.ID
	}
	b := ofBox{e, []string{"box", label}}
	b.gauge("info", "Always 1. Tells the ID and the status of a box.", 1, "id", m.ID, "status", string(m.Status))
	running := uint64(0)
	if m.Status == StatusRunning {
		running = 1
	}
	b.gauge("running", "Whether the box runs, and is not paused.", running)
	b.gauge("host_disk_bytes", "What the box's disk takes up on the host.", uint64(m.DiskUsedBytes))
	if m.CreateDuration != nil {
		b.add("gauge", "start_seconds", "How long the latest start took.", m.CreateDuration.Seconds())
	}
	for _, s := range m.Stages {
		b.add("gauge", "start_stage_seconds", "How long each stage of the latest start took.", s.Duration.Seconds(), "stage", s.Name)
	}
	if h := m.Host; h != nil {
		for _, p := range []struct {
			name string
			ProcessMetrics
		}{{"shim", h.Shim}, {"vmm", h.VMM}} {
			b.seconds("host_cpu_seconds_total", "Time that processes of the box have computed on the host.", p.CPU, "process", p.name)
			b.gauge("host_memory_bytes", "Resident memory of processes of the box on the host.", p.MemoryBytes, "process", p.name)
		}
	}
	for _, c := range []struct {
		name, help string
		value      *uint64
	}{
		{"commands_executed_total", "Commands started in the box.", m.CommandsExecuted},
		{"command_errors_total", "Commands that could not be started in the box.", m.ExecErrors},
		{"stdin_bytes_total", "Bytes written to standard inputs of commands.", m.BytesSent},
		{"output_bytes_total", "Bytes read from standard outputs and standard errors of commands.", m.BytesReceived},
		{"network_tcp_errors_total", "TCP connections that failed or were reset.", m.TCPErrors},
	} {
		if c.value != nil {
			b.counter(c.name, c.help, *c.value)
		}
	}
	if m.TCPConnections != nil {
		b.gauge("network_tcp_connections", "TCP connections that are established.", *m.TCPConnections)
	}
	if n := m.Network; n != nil {
		b.counter("egress_connections_total", "Connections and flows to the outside that were allowed.", n.Connections)
		b.counter("egress_failed_connections_total", "Of these, those that could not be made.", n.FailedConnections)
		b.counter("egress_denied_total", "What the rules of the network have refused.", n.Denied)
		b.counter("egress_dns_queries_total", "Names that were asked for.", n.DNSQueries)
		b.counter("egress_dropped_frames_total", "Frames that were malformed or had a false sender.", n.DroppedFrames)
		b.gauge("egress_open_connections", "Connections and flows to the outside that are open.", n.OpenConnections)
	}
	if m.Guest != nil {
		b.addGuest(m.Guest)
	}
}

func (b ofBox) addGuest(g *GuestMetrics) {
	b.add("gauge", "uptime_seconds", "How long the guest has run, by its own clock.", g.Uptime.Seconds())
	for i, minutes := range []string{"1", "5", "15"} {
		b.add("gauge", "load", "Average number of threads that run or wait for a disk.", g.Load[i], "minutes", minutes)
	}
	c := g.Container
	b.seconds("cpu_seconds_total", "Time that commands in the box have computed.", c.User, "mode", "user")
	b.seconds("cpu_seconds_total", "", c.System, "mode", "system")
	b.seconds("cpu_throttled_seconds_total", "Time that threads have waited because of a CPU limit.", c.Throttled)
	b.counter("cpu_throttled_periods_total", "Periods in which a CPU limit was reached.", c.ThrottledPeriods)
	b.gauge("memory_bytes", "Memory that commands in the box use, caches included.", c.Memory)
	b.gauge("memory_peak_bytes", "The most memory that commands in the box have used.", c.MemoryPeak)
	for _, k := range []struct {
		kind  string
		value uint64
	}{{"anonymous", c.Anonymous}, {"file", c.File}, {"kernel", c.Kernel}} {
		b.gauge("memory_kind_bytes", "Parts of the memory that commands in the box use.", k.value, "kind", k.kind)
	}
	b.gauge("swap_bytes", "Swapped memory of commands in the box.", c.Swap)
	b.counter("oom_kills_total", "Processes that the guest's kernel has killed for want of memory.", c.OOMKills)
	b.gauge("processes", "Processes in the box.", c.Processes)
	b.gauge("threads", "Threads in the box.", c.Threads)

	b.gauge("guest_cpus", "Virtual CPUs of the guest.", uint64(max(0, g.CPU.Count)))
	for _, m := range []struct {
		mode  string
		value time.Duration
	}{
		{"user", g.CPU.User},
		{"nice", g.CPU.Nice},
		{"system", g.CPU.System},
		{"idle", g.CPU.Idle},
		{"iowait", g.CPU.IOWait},
		{"interrupt", g.CPU.Interrupt},
		{"steal", g.CPU.Steal},
	} {
		b.seconds("guest_cpu_seconds_total", "How the guest's CPUs have spent their time.", m.value, "mode", m.mode)
	}
	b.gauge("guest_memory_total_bytes", "Memory of the guest.", g.Memory.Total)
	b.gauge("guest_memory_available_bytes", "Memory of the guest that can be had without swapping.", g.Memory.Available)
	for _, d := range g.Disks {
		on := []string{"device", d.Device, "disk", strings.TrimPrefix(d.Serial, "boxlite-")}
		b.counter("disk_read_bytes_total", "Bytes read from disks.", d.ReadBytes, on...)
		b.counter("disk_written_bytes_total", "Bytes written to disks.", d.WrittenBytes, on...)
		b.counter("disk_reads_total", "Read operations of disks.", d.ReadOperations, on...)
		b.counter("disk_writes_total", "Write operations of disks.", d.WriteOperations, on...)
		b.seconds("disk_busy_seconds_total", "Time in which something was under way on disks.", d.Busy, on...)
	}
	b.gauge("filesystem_size_bytes", "Size of the box's file system.", g.Filesystem.Size)
	b.gauge("filesystem_used_bytes", "What is used of the box's file system.", g.Filesystem.Used)
	b.gauge("filesystem_available_bytes", "What can still be written to the box's file system.", g.Filesystem.Available)
	b.gauge("filesystem_inodes", "Inodes of the box's file system.", g.Filesystem.Inodes)
	b.gauge("filesystem_inodes_free", "Free inodes of the box's file system.", g.Filesystem.InodesFree)
	for _, i := range g.Interfaces {
		on := []string{"interface", i.Name}
		b.counter("network_receive_bytes_total", "Bytes received from the network.", i.ReceivedBytes, on...)
		b.counter("network_transmit_bytes_total", "Bytes sent to the network.", i.SentBytes, on...)
		b.counter("network_receive_packets_total", "Packets received from the network.", i.ReceivedPackets, on...)
		b.counter("network_transmit_packets_total", "Packets sent to the network.", i.SentPackets, on...)
		b.counter("network_receive_errors_total", "Packets received with errors.", i.ReceiveErrors, on...)
		b.counter("network_transmit_errors_total", "Packets that could not be sent.", i.SendErrors, on...)
	}
	if p := g.Pressure; p != nil {
		for _, r := range []struct {
			name string
			Pressure
		}{{"cpu", p.CPU}, {"memory", p.Memory}, {"io", p.IO}} {
			b.seconds("pressure_waiting_seconds_total", "Time in which at least one thread waited.", r.Some.Total, "resource", r.name)
			b.seconds("pressure_stalled_seconds_total", "Time in which all threads waited.", r.Full.Total, "resource", r.name)
		}
	}
}
