package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
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
// gone: nothing more can be read then. A detached one goes on, and gets its main
// process, should that have waited for someone to attach.
func (p *process) watchCreator(creator io.Reader) {
	_, _ = io.Copy(io.Discard, creator)
	switch {
	case !p.detached.Load():
		p.stop(ReasonStopped, shutdownGrace, false)
	case p.spec.WaitForAttach:
		p.startMain()
	}
}

// startMain starts the main process of a box that is ready, unless it has been
// started already.
func (p *process) startMain() {
	<-p.ready
	if p.isEnding() || p.main == "" {
		return
	}
	_, err := boxlitev1.NewContainerClient(p.guest).Start(context.Background(), &boxlitev1.ContainerStartRequest{})
	err = rpc.FromStatus(err)
	if err != nil && !errors.Is(err, protocol.KindInvalidState) {
		p.finish(&boxlitev1.ExitRecord{Reason: ReasonFailed, Error: rpc.ToDetail(err)}, 0, true)
	}
}
