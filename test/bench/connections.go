package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/measure"
)

// connectionsClient has a thousand connections at once, or makes ten thousand short ones,
// fifty at a time. It prints how many failed, and why the first did.
const connectionsClient = `
import socket, sys, threading
address, kind = ("host.boxlite.internal", int(sys.argv[1])), sys.argv[2]
failed = []
def ask(s):
    s.sendall(b"hello")
    got = b""
    while len(got) < 5:
        part = s.recv(5)
        if not part: raise OSError("cut off")
        got += part
together = threading.Barrier(1000)
def held():
    try:
        with socket.create_connection(address) as s:
            ask(s)
            together.wait()
            ask(s)
    except Exception as e:
        failed.append(repr(e))
        together.abort()
def short():
    for _ in range(200):
        try:
            with socket.create_connection(address) as s: ask(s)
        except Exception as e: failed.append(repr(e))
threading.stack_size(256 << 10)
work, n = (held, 1000) if kind == "held" else (short, 50)
threads = [threading.Thread(target=work) for _ in range(n)]
for t in threads: t.start()
for t in threads: t.join()
print(len(failed), failed[:1])
`

// connections has many connections pass through a box's network, and looks at what they
// leave in the shim's memory.
func (b *bench) connections(ctx context.Context) error {
	image, err := networkImage(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go serveEcho(listener)
	port := listener.Addr().(*net.TCPAddr).Port
	box, stop, err := b.networkBox(ctx, b.home, boxlite.BoxSpec{Image: image, MemoryMiB: 1024, Network: boxlite.Network{AllowHost: []int{port}}})
	if err != nil {
		return err
	}
	defer stop()
	info, err := box.Info(ctx)
	if err != nil {
		return err
	}
	before, err := shimRSS(info.HostDir)
	if err != nil {
		return err
	}
	for _, load := range []struct{ what, kind string }{
		{"1,000 connections at once", "held"}, {"10,000 short connections", "short"}, {"10,000 more", "short"},
	} {
		out, err := box.Command("python3", "-c", connectionsClient, strconv.Itoa(port), load.kind).CombinedOutput(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w: %s", load.what, err, out)
		}
		count, why, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		after, err := shimRSS(info.HostDir)
		if err != nil {
			return err
		}
		if why == "[]" {
			why = ""
		}
		measure.Row(load.what, strings.TrimSpace(count+" failed "+why), fmt.Sprintf("shim's memory %.1f MB at first, %.1f MB after", before, after), "none failed", count == "0")
	}
	return box.Stop(ctx)
}

func serveEcho(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // it was closed
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 64)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if _, err := conn.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// stack measures the stack alone: another one in the same process is the guest.
func (b *bench) stack(ctx context.Context) error {
	for _, direction := range []struct{ name, benchmark string }{{"guest to host", "Upload"}, {"host to guest", "Download"}} {
		rate, err := goBench(ctx, "./internal/network", direction.benchmark, "MB/s", b.runs)
		if err != nil {
			return err
		}
		measure.Row("TCP through the stack alone, "+direction.name, fmt.Sprintf("%.0f MB/s", rate), "-", "≥ 600 MB/s", rate >= 600)
	}
	return nil
}

// goBench runs a benchmark of a package and returns the median of what it reports.
func goBench(ctx context.Context, dir, name, unit string, runs int) (float64, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-buildvcs=false", "-tags", "grpcnotrace", "-run", "^$", "-bench", "^Benchmark"+name+"$", "-count", strconv.Itoa(runs), dir).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("benchmark %s: %w: %s", name, err, out)
	}
	var values []float64
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for i := range fields {
			if strings.HasPrefix(line, "Benchmark") && i > 0 && fields[i] == unit {
				v, err := strconv.ParseFloat(fields[i-1], 64)
				if err != nil {
					return 0, err
				}
				values = append(values, v)
			}
		}
	}
	if len(values) == 0 {
		return 0, errors.New("benchmark " + name + " reported nothing")
	}
	slices.Sort(values)
	return values[len(values)/2], nil
}
