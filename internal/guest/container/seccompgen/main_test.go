//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestFilesAreCurrent(t *testing.T) {
	for _, target := range targets {
		want, err := source(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", fileName(target)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what seccompgen makes: run go generate", fileName(target))
		}
	}
}

// TestCompile compares the filter, as the kernel would run it, with a literal
// reading of the profile, for every system call there may be and every argument
// that may matter.
func TestCompile(t *testing.T) {
	values := []uint64{0, 1, 8, 0x20000, 0x20008, 0x40000, 0xffffffff, 1<<32 | 8, 1 << 32, ^uint64(0)}
	for domain := range uint64(64) {
		values = append(values, domain)
	}
	for bit := range 64 {
		values = append(values, 1<<bit)
	}
	for n := range len(targets) * len(filters) {
		target, f := targets[n/len(filters)], filters[n%len(filters)]
		filter, err := compile(f, target)
		if err != nil {
			t.Fatal(err)
		}
		if len(filter) > 1000 {
			t.Errorf("%s: %d instructions", target.goarch, len(filter))
		}
		for _, a := range target.abis {
			known, err := verdicts(f, target, a)
			if err != nil {
				t.Fatal(err)
			}
			largest := uint32(0)
			for number := range known {
				largest = max(largest, number)
			}
			for _, number := range append(numbers(largest+100), 0x40000000, 0x40000001, 0xffffffff) {
				few := values
				if !conditional(known[number]) {
					few = values[:1]
				}
				for _, value := range few {
					args := [6]uint64{value, 0x5555}
					want := read(known, largest, number, args)
					got, steps := interpret(t, filter, data(a.audit, number, args))
					if got != want {
						t.Fatalf("%s: system call %d(%#x): got %#x, want %#x", a.table, number, value, got, want)
					}
					if steps > 60 {
						t.Fatalf("%s: system call %d takes %d instructions", a.table, number, steps)
					}
				}
			}
		}
		const aliens = unix.AUDIT_ARCH_S390X
		if got, _ := interpret(t, filter, data(aliens, 1, [6]uint64{})); got != unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS) {
			t.Errorf("another architecture: got %#x", got)
		}
	}
}

// TestProfile spot-checks what everyone expects of Docker's default.
func TestProfile(t *testing.T) {
	known, err := verdicts(filters[0], targets[0], targets[0].abis[0])
	if err != nil {
		t.Fatal(err)
	}
	const newUser = unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)
	for _, test := range []struct {
		name   string
		number uint32
		arg    uint64
		want   uint32
	}{
		{"read", unix.SYS_READ, 0, unix.SECCOMP_RET_ALLOW},
		{"fork", unix.SYS_CLONE, uint64(unix.SIGCHLD), unix.SECCOMP_RET_ALLOW},
		{"clone in a user namespace", unix.SYS_CLONE, newUser, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{"clone3", unix.SYS_CLONE3, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{"ptrace", unix.SYS_PTRACE, 0, unix.SECCOMP_RET_ALLOW},
		{"chroot", unix.SYS_CHROOT, 0, unix.SECCOMP_RET_ALLOW},
		{"mount", unix.SYS_MOUNT, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{"keyctl", unix.SYS_KEYCTL, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{"inet socket", unix.SYS_SOCKET, unix.AF_INET, unix.SECCOMP_RET_ALLOW},
		{"vsock socket", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
	} {
		got := read(known, 1000, test.number, [6]uint64{test.arg})
		if got != test.want {
			t.Errorf("%s: got %#x, want %#x", test.name, got, test.want)
		}
	}
}

func numbers(n uint32) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(i)
	}
	return all
}

// conditional reports whether a verdict depends on arguments.
func conditional(v verdict) bool {
	return slices.ContainsFunc(v.allow, func(c condition) bool { return len(c) > 0 })
}

// read returns the verdict by reading the profile's rules one by one.
func read(known map[uint32]verdict, largest, number uint32, args [6]uint64) uint32 {
	v, ok := known[number]
	switch {
	case number > largest:
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	case !ok:
		return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	}
	for _, c := range v.allow {
		holds := true
		for _, test := range c {
			arg := args[test.Index]
			switch test.Op {
			case specs.OpEqualTo:
				holds = holds && arg == test.Value
			case specs.OpLessThan:
				holds = holds && arg < test.Value
			case specs.OpMaskedEqual:
				holds = holds && arg&test.Value == test.ValueTwo
			default:
				panic(test.Op)
			}
		}
		if holds {
			return unix.SECCOMP_RET_ALLOW
		}
	}
	return unix.SECCOMP_RET_ERRNO | v.errno
}

// data returns the kernel's struct seccomp_data.
func data(audit, number uint32, args [6]uint64) []byte {
	b := binary.LittleEndian.AppendUint32(nil, number)
	b = binary.LittleEndian.AppendUint32(b, audit)
	b = binary.LittleEndian.AppendUint64(b, 0) // instruction pointer
	for _, arg := range args {
		b = binary.LittleEndian.AppendUint64(b, arg)
	}
	return b
}

// interpret runs a filter and counts its steps.
func interpret(t *testing.T, filter program, data []byte) (result uint32, steps int) {
	t.Helper()
	var a uint32
	for pc := 0; ; pc++ {
		steps++
		i := filter[pc]
		holds := false
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.LittleEndian.Uint32(data[i.K:])
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= i.K
			continue
		case unix.BPF_RET | unix.BPF_K:
			return i.K, steps
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.K)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			holds = a == i.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			holds = a >= i.K
		default:
			t.Fatalf("instruction %d has code %#x", pc, i.Code)
		}
		if holds {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
}
