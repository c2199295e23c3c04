package e2e

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestStopLosesNothing: what commands wrote before the stop is there after it,
// though nobody synced; and they are asked to end.
func TestStopLosesNothing(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	r, w := io.Pipe()
	asked := box.Command("sh", "-c", `trap 'echo asked > /root/asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done`)
	asked.Stdout = w
	if err := asked.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "ready\n")
	const sums = "cd /root/work && find . -type f -exec sha256sum {} + | sort"
	written, err := box.Command("sh", "-c", `mkdir /root/work && cd /root/work &&
		dd if=/dev/urandom of=large bs=1M count=8 2>/dev/null &&
		i=0; while [ $i -lt 100 ]; do echo $i > file$i; i=$((i+1)); done; rm file7; mv file8 file7; `+sums).Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := asked.Wait(); err != nil {
		t.Errorf("the command that was asked to end: %v", err)
	}
	found, err := box.Command("sh", "-c", sums).Output(t.Context())
	if err != nil || !bytes.Equal(found, written) || bytes.Count(found, []byte("\n")) != 100 {
		t.Errorf("of\n%s\nis there after the stop\n%s\n%v", written, found, err)
	}
	if out, err := box.Command("cat", "/root/asked").Output(t.Context()); err != nil || string(out) != "asked\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestStopSignalOfTheImage: the main process gets the signal that its image names.
func TestStopSignalOfTheImage(t *testing.T) {
	needMachine(t)
	t.Parallel()
	image := imageWith(t, map[string]any{
		"Env": []string{"PATH=/usr/bin:/bin"}, "StopSignal": "SIGUSR1",
		"Cmd": []string{"sh", "-c", "trap 'exit 7' USR1; trap 'exit 8' TERM; echo ready; while :; do sleep 0.05; done"},
	})
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Image: image, ImageCommand: true})
	r, w := io.Pipe()
	main := box.Attach()
	main.Stdout = w
	if err := main.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "ready\n")
	if err := box.StopWithin(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*boxlite.ExitError](main.Wait()); !ok || exit.Code != 7 {
		t.Errorf("got %+v", exit)
	}
	if info, err := box.Info(t.Context()); err != nil || info.Exit.Reason != "stopped" || info.Exit.Code != 7 {
		t.Errorf("got %+v, %v", info.Exit, err)
	}
}
