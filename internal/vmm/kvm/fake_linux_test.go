package kvm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// Ports of the guest that the fake VMM has.
const (
	portEcho = 1 + iota
	portRefused
	portClosed
	portFiles
	portReset
	portPanic
	portTripleFault
	portCrash
	portHang
)

// fakeKernel begins the kernel's file for the fake VMM.
const fakeKernel = "fake:"

// fake is a VMM without KVM: it speaks with the shim as ours does. The kernel's file says
// what it is to do wrong.
type fake struct {
	conn   *net.UnixConn
	config control.Config
	mode   string
}

func beVMM() int {
	kernel, _ := io.ReadAll(os.NewFile(control.FDKernel, "kernel"))
	conn, err := net.FileConn(os.NewFile(control.FDControl, "control"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	f := &fake{conn: conn.(*net.UnixConn), mode: strings.TrimPrefix(string(kernel), fakeKernel)}
	for {
		r, stream, err := f.receive()
		if err != nil {
			return 0
		}
		if code := f.do(r, stream); code >= 0 {
			return code
		}
	}
}

func (f *fake) receive() (r control.Request, stream net.Conn, err error) {
	message, rights := make([]byte, control.MaxMessage), make([]byte, unix.CmsgSpace(4))
	n, nRights, _, _, err := f.conn.ReadMsgUnix(message, rights)
	if err != nil {
		return r, nil, err
	}
	if err := json.Unmarshal(message[:n], &r); err != nil {
		return r, nil, err
	}
	if nRights > 0 {
		messages, _ := unix.ParseSocketControlMessage(rights[:nRights])
		fds, _ := unix.ParseUnixRights(&messages[0])
		file := os.NewFile(uintptr(fds[0]), "stream")
		defer file.Close()
		stream, err = net.FileConn(file)
	}
	return r, stream, err
}

func (f *fake) send(a control.Answer) {
	text, _ := json.Marshal(a)
	_, _ = f.conn.Write(text)
}

// do returns an exit code, or -1 to go on.
func (f *fake) do(r control.Request, stream net.Conn) int {
	switch r.Op {
	case control.OpStart:
		return f.start(r)
	case control.OpDial:
		return f.dial(r, stream)
	}
	f.send(control.Answer{ID: r.ID})
	return -1
}

func (f *fake) start(r control.Request) int {
	switch f.mode {
	case "refuse":
		f.send(control.Answer{ID: r.ID, Error: "KVM request 0xae01: \x1b[31mno\nsuch device"})
		return 0
	case "die":
		fmt.Fprintln(os.Stderr, "it hurts")
		return 3
	case "silent":
		select {}
	}
	f.config = *r.Config
	fmt.Fprintf(os.NewFile(control.FDConsole, "console"), "Linux says %s\r\n", f.config.Command)
	if f.mode != "no agent" {
		greeting, err := net.FileConn(os.NewFile(control.FDGreeting, "greeting"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() { _ = portal.Greet(context.Background(), greeting) }()
	}
	if err := jail.SealVMM(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f.send(control.Answer{ID: r.ID})
	f.send(control.Answer{ID: r.ID, Error: "once more"})
	f.send(control.Answer{ID: 77, Error: "nobody has asked"})
	_, _ = f.conn.Write([]byte("no JSON"))
	if f.mode == "deaf" {
		select {}
	}
	return -1
}

func (f *fake) dial(r control.Request, stream net.Conn) int {
	if stream == nil || r.Port == portRefused {
		f.send(control.Answer{ID: r.ID, Error: "no more streams"})
		_ = stream.Close()
		return -1
	}
	if r.Port == portHang {
		return -1
	}
	f.send(control.Answer{ID: r.ID})
	console := os.NewFile(control.FDConsole, "console")
	end := func(e control.End) int {
		e.At = time.Now()
		f.send(control.Answer{End: &e})
		return 0
	}
	switch r.Port {
	case portEcho:
		go func() {
			defer stream.Close()
			_, _ = io.Copy(stream, stream)
		}()
	case portFiles:
		fmt.Fprintln(stream, f.files())
		_ = stream.Close()
	case portReset:
		return end(control.End{Reason: control.EndReset})
	case portPanic:
		fmt.Fprint(console, "[ 1.0] Kernel panic - not syncing: Attempted to kill init!\r\n[ 1.1] CPU: 0\r\n")
		return end(control.End{Reason: control.EndReset})
	case portTripleFault:
		return end(control.End{Reason: control.EndTripleFault, Error: "processor 0", Registers: "rip 1\nrsp\x1b[1m 2"})
	case portCrash:
		panic("it was too much")
	default:
		_ = stream.Close()
	}
	return -1
}

// files tells what the VMM has been given.
func (f *fake) files() string {
	words := []string{fmt.Sprintf("%d %d %s", f.config.CPUs, f.config.MemoryMiB, f.config.MAC)}
	for i, d := range f.config.Disks {
		var b [4]byte
		fd := control.FDDisks + i
		_, readErr := unix.Preadv2(fd, [][]byte{b[:]}, 0, 0)
		_, writeErr := unix.Pwritev2(fd, [][]byte{[]byte("new")}, 8, 0)
		words = append(words, fmt.Sprintf("%s %t %s %v %v", d.Serial, d.ReadOnly, b, readErr, writeErr))
	}
	var kvm [1]byte
	_, err := unix.Read(control.FDKVM, kvm[:])
	return strings.Join(append(words, fmt.Sprint(err)), "; ")
}
