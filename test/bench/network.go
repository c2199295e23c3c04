package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/measure"
)

// networkRuns is enough for what takes seconds.
const networkRuns = 5

// slirpQEMU is a QEMU whose network card is connected to its own user-mode network,
// with the same addresses, whatever it was told.
const slirpQEMU = `#!/bin/sh
for a; do
	case $a in
	socket,id=network,*) a=user,id=network,ipv6=off,net=192.168.127.0/24,host=192.168.127.254,dns=192.168.127.3 ;;
	virtio-net-device,*) a=${a%%,host_mtu=*} ;;
	esac
	set -- "$@" "$a"
	shift
done
exec qemu-system-x86_64 "$@"
`

// network compares TCP between guest and host with QEMU's own user-mode network.
func (b *bench) network(ctx context.Context) error {
	image, err := networkImage(ctx)
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	spec := boxlite.BoxSpec{Image: image, Network: boxlite.Network{AllowHost: []int{port}}}
	ours, stop, err := b.networkBox(ctx, b.home, spec)
	if err != nil {
		return err
	}
	defer stop()
	wrapper := b.scratch + "/qemu-system-x86_64"
	if err := os.WriteFile(wrapper, []byte(slirpQEMU), 0o700); err != nil {
		return err
	}
	if err := os.Setenv("BOXLITE_QEMU", wrapper); err != nil {
		return err
	}
	defer os.Unsetenv("BOXLITE_QEMU")
	spec.Security = boxlite.SecurityOff // which would not let the wrapper run
	theirs, stopTheirs, err := b.networkBox(ctx, b.scratch+"/slirp", spec)
	if err != nil {
		return err
	}
	defer stopTheirs()
	// What fits into packets of 1500 bytes is all that user-mode network takes.
	if out, err := theirs.Command("sh", "-c", "echo 1500 >/sys/class/net/eth0/mtu || ip link set eth0 mtu 1500 || true").CombinedOutput(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for _, direction := range []struct{ name, flag string }{{"guest to host", ""}, {"host to guest", "-R"}} {
		var with, without []float64
		for range min(b.runs, networkRuns) {
			for _, one := range []struct {
				box  *boxlite.Box
				rate *[]float64
			}{{ours, &with}, {theirs, &without}} {
				rate, err := iperf(ctx, one.box, port, direction.flag)
				if err != nil {
					return err
				}
				*one.rate = append(*one.rate, rate)
			}
		}
		slices.Sort(with)
		slices.Sort(without)
		mine, other := with[len(with)/2], without[len(without)/2]
		measure.Row("TCP, "+direction.name, fmt.Sprintf("%.0f MB/s", mine), fmt.Sprintf("QEMU's user network %.0f MB/s: %.1f ×", other, mine/other), "≥ 1.5 ×", mine >= 1.5*other)
	}
	return errors.Join(ours.Stop(ctx), theirs.Stop(ctx))
}

// networkImage returns a Debian with programs that use the network.
func networkImage(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "scripts/debian-rootfs", "bench-network", "--include=iperf3,curl,ca-certificates,python3-minimal").Output()
	if err != nil {
		return "", fmt.Errorf("make a root filesystem with programs that use the network: %w", err)
	}
	return "rootfs:" + strings.TrimSpace(string(out)), nil
}

// networkBox starts a box that is gone when stop is called, if not before.
func (b *bench) networkBox(ctx context.Context, home string, spec boxlite.BoxSpec) (box *boxlite.Box, stop func(), err error) {
	rt, err := boxlite.Open(boxlite.Options{Home: home, ShimPath: b.binary})
	if err != nil {
		return nil, nil, err
	}
	stop = func() { _ = rt.Close() }
	spec.AutoRemove = true
	box, err = rt.Create(ctx, spec)
	if err == nil {
		err = box.Start(ctx)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return box, stop, nil
}

// iperf sends 128 MiB through one connection and returns the rate in MB/s.
func iperf(ctx context.Context, box *boxlite.Box, port int, flag string) (float64, error) {
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", strconv.Itoa(port), "--forceflush")
	ready := &waiter{text: []byte("Server listening"), seen: make(chan struct{})}
	server.Stdout = ready
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer server.Wait()
	defer server.Process.Kill()
	select {
	case <-ready.seen:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	args := []string{"-c", "host.boxlite.internal", "-p", strconv.Itoa(port), "-n", "128M", "-J"}
	if flag != "" {
		args = append(args, flag)
	}
	out, err := box.Command("iperf3", args...).CombinedOutput(ctx)
	if err != nil {
		return 0, fmt.Errorf("iperf3: %w: %s", err, out)
	}
	var result struct {
		End struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return 0, fmt.Errorf("iperf3: %w: %s", err, out)
	}
	return result.End.Received.Rate / 8e6, nil
}

// waiter tells when a text was written to it.
type waiter struct {
	text []byte
	got  []byte
	seen chan struct{}
}

func (w *waiter) Write(p []byte) (int, error) {
	if w.got = append(w.got, p...); bytes.Contains(w.got, w.text) {
		select {
		case <-w.seen:
		default:
			close(w.seen)
		}
	}
	return len(p), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
