//go:build amd64

package monitor

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// spareProcessors is how many goroutines run at one time, beside those of the guest's
// processors. To Go's scheduler, each of these is in a system call while it runs the guest,
// and keeps its share of GOMAXPROCS until somebody notices: with no more of these than the
// host has processors, disks and streams could wait for that, up to 10 ms.
const spareProcessors = 2

// Main is the process. It returns its exit code when the machine has ended.
func Main() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	server, err := newServer(os.NewFile(control.FDControl, "control"))
	if err != nil {
		fmt.Fprintln(os.Stderr, Name+" is started by the boxlite package, not by hand")
		return 2
	}
	if err := run(server, log); err != nil {
		log.Error(err.Error())
		return 1
	}
	return 0
}

// run starts the machine that the first request describes, and serves the others until it
// has ended.
func run(s *server, log *slog.Logger) error {
	first, err := s.receive()
	if err != nil {
		return err
	}
	if first.Op != control.OpStart || first.Config == nil {
		return fmt.Errorf("the first request is %q", first.Op)
	}
	runtime.GOMAXPROCS(first.Config.CPUs + spareProcessors)
	m, err := newMachine(*first.Config, first.file, log)
	if first.file != nil {
		_ = first.file.Close()
	}
	if err != nil {
		s.answer(first, err)
		return nil
	}
	defer m.close()
	// Nothing of the guest has run yet.
	if err := jail.SealVMM(); err != nil {
		s.answer(first, err)
		return nil
	}
	if first.Config.Restore {
		m.resume() // it was paused when it was saved
	}
	m.vm.Run()
	s.answer(first, nil)
	go s.serve(m)
	end := m.wait()
	return s.send(control.Answer{End: &end})
}
