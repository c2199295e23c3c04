package shim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// shutdownGrace is how long the main process may take to end when the box is
// shut down because its creator ended, or the shim was told to end.
const shutdownGrace = 2 * time.Second

// Main is the shim. It reads its spec from standard input and returns the exit
// code of the process when the box's run has ended.
func Main() int {
	// The machine dies with the thread that started it (PDEATHSIG), so that
	// must be the one that lives as long as the process.
	runtime.LockOSThread()
	_ = time.Now().Local().String() // reads the time zone while its file can be opened
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	spec, err := receiveSpec(os.Stdin)
	if err != nil {
		log.Error("boxlite-shim is started by the boxlite package, not by hand", "error", err)
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p, err := newProcess(spec, log)
	if err != nil {
		log.Error("start", "error", err)
		return 1
	}
	// Whoever started the shim waits for this line; after it, nobody reads.
	fmt.Println("ready")
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		_ = replaceFD(int(null.Fd()), 1)
		_ = null.Close()
	}
	go p.watchCreator(os.Stdin)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	go func() {
		<-signals
		p.stop(ReasonStopped, shutdownGrace, false)
	}()
	p.run(ctx)
	return 0
}

// watchCreator shuts an attached box down when the process that started it is
// gone: nothing more can be read then.
func (p *process) watchCreator(creator io.Reader) {
	_, _ = io.Copy(io.Discard, creator)
	if !p.spec.Detached {
		p.stop(ReasonStopped, shutdownGrace, false)
	}
}
