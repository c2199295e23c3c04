package container

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// device is a character device. A minor of anyMinor stands for all.
type device struct {
	name         string
	major, minor int32
}

const anyMinor = -1

// devices are those of the container's /dev.
var devices = []device{
	{"null", 1, 3},
	{"zero", 1, 5},
	{"full", 1, 7},
	{"random", 1, 8},
	{"urandom", 1, 9},
	{"tty", 5, 0},
}

// terminals are opened through devpts.
var terminals = []device{{"ptmx", 5, 2}, {"pts", 136, anyMinor}}

// instruction is one of eBPF, as the kernel's struct bpf_insn.
type instruction struct {
	code      uint8
	registers uint8 // source << 4 | destination
	offset    int16
	immediate int32
}

// deviceProgram decides what a process of the container may do with a device: it
// may make any node, as Docker allows, but open only those of allowed. Otherwise
// root could make a node for a disk of the guest and read what the agent keeps.
// The program gets the kernel's struct bpf_cgroup_dev_ctx and returns 1 or 0.
func deviceProgram(allowed []device) []instruction {
	const (
		result, context, access, kind, major, minor = 0, 1, 2, 3, 4, 5

		word   = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
		set    = unix.BPF_ALU64 | unix.BPF_MOV
		differ = unix.BPF_JMP | unix.BPF_JNE
	)
	exit := instruction{code: unix.BPF_JMP | unix.BPF_EXIT}
	program := []instruction{
		{word, context<<4 | access, 0, 0},
		{word, context<<4 | major, 4, 0},
		{word, context<<4 | minor, 8, 0},
		// The first word has the access above the kind of device.
		{set | unix.BPF_X, access<<4 | kind, 0, 0},
		{unix.BPF_ALU64 | unix.BPF_AND, kind, 0, 0xffff},
		{unix.BPF_ALU64 | unix.BPF_RSH, access, 0, 16},
		{set, result, 0, 1},
		{differ, access, 1, unix.BPF_DEVCG_ACC_MKNOD},
		exit,
		{unix.BPF_JMP | unix.BPF_JEQ, kind, 2, unix.BPF_DEVCG_DEV_CHAR},
		{set, result, 0, 0},
		exit,
	}
	for _, d := range allowed {
		if d.minor == anyMinor {
			program = append(program, instruction{differ, major, 1, d.major}, exit)
			continue
		}
		program = append(program, instruction{differ, major, 2, d.major}, instruction{differ, minor, 1, d.minor}, exit)
	}
	return append(program, instruction{set, result, 0, 0}, exit)
}

// confineDevices makes the program decide for a cgroup, an open directory, and
// all below it.
func confineDevices(cgroup int) error {
	program, err := loadDeviceProgram()
	if err != nil {
		return err
	}
	defer unix.Close(program)
	attach := struct{ target, program, kind, flags uint32 }{
		target: uint32(cgroup), program: uint32(program), kind: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI,
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&attach)), unsafe.Sizeof(attach))
	if errno != 0 {
		return fmt.Errorf("attach the device program: %w", errno)
	}
	return nil
}

// loadDeviceProgram has the kernel check the program. The caller closes it.
func loadDeviceProgram() (fd int, err error) {
	program := deviceProgram(append(devices[:len(devices):len(devices)], terminals...))
	license := []byte("\x00") // it calls nothing that asks for one
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&program[0])
	pin.Pin(&license[0])
	// The beginning of the kernel's union bpf_attr for this command.
	load := struct {
		kind, length           uint32
		instructions, license  uint64
		logLevel, logSize      uint32
		log                    uint64
		kernelVersion, options uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, length: uint32(len(program)),
		instructions: uint64(uintptr(unsafe.Pointer(&program[0]))),
		license:      uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&load)), unsafe.Sizeof(load))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			// Linux checks no further once the thread has a signal. Go's runtime sends it
			// some, and this one is gone the next time.
		default:
			return -1, fmt.Errorf("load the device program: %w", errno)
		}
	}
}
