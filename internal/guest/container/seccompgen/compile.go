//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Offsets in the kernel's struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// program is a piece of BPF. Every piece ends in returns.
type program []unix.SockFilter

func ret(value uint32) program {
	return program{{Code: unix.BPF_RET | unix.BPF_K, K: value}}
}

func fail(errno uint32) program { return ret(unix.SECCOMP_RET_ERRNO | errno) }

func load(offset uint32) program {
	return program{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}}
}

// branch continues with yes if the comparison of what is loaded with k holds,
// else with no.
func branch(comparison uint16, k uint32, yes, no program) program {
	code := unix.BPF_JMP | comparison | unix.BPF_K
	// Conditional jumps reach 255 instructions, unconditional ones all.
	if len(no) <= math.MaxUint8 {
		return slices.Concat(program{{Code: code, Jt: uint8(len(no)), K: k}}, no, yes)
	}
	far := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(no))}
	return slices.Concat(program{{Code: code, Jf: 1, K: k}, far}, no, yes)
}

// compile returns the filter of a target. It works as libseccomp's and runc's:
// what the profile doesn't know fails with EPERM, or with ENOSYS if it is newer
// than all that the profile knows, as programs expect of an older kernel.
func compile(f filter, t target) (program, error) {
	other := fail(uint32(unix.ENOSYS))
	for _, a := range slices.Backward(t.abis) {
		known, err := verdicts(f, t, a)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.table, err)
		}
		body, err := compileABI(known)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.table, err)
		}
		other = branch(unix.BPF_JEQ, a.audit, slices.Concat(load(offsetNumber), body), other)
	}
	return slices.Concat(load(offsetArch), other), nil
}

// segment is a range of system calls with the same verdict, up to the next one.
type segment struct {
	first uint32
	code  program
}

// compileABI returns a program that finds the verdict by binary search, with
// the number loaded.
func compileABI(known map[uint32]verdict) (program, error) {
	var segments []segment
	add := func(first uint32, code program) {
		if n := len(segments); n == 0 || !slices.Equal(segments[n-1].code, code) {
			segments = append(segments, segment{first, code})
		}
	}
	next := uint32(0)
	for _, number := range slices.Sorted(maps.Keys(known)) {
		if number > next {
			add(next, fail(uint32(unix.EPERM)))
		}
		code, err := compileVerdict(known[number])
		if err != nil {
			return nil, fmt.Errorf("system call %d: %w", number, err)
		}
		add(number, code)
		next = number + 1
	}
	add(next, fail(uint32(unix.ENOSYS)))
	return search(segments), nil
}

func search(segments []segment) program {
	if len(segments) == 1 {
		return segments[0].code
	}
	middle := len(segments) / 2
	return branch(unix.BPF_JGE, segments[middle].first, search(segments[middle:]), search(segments[:middle]))
}

// compileVerdict returns a program that no longer needs the number. Each of the
// profile's conditions is a single test, and those of a system call are all of the
// same 64-bit argument; anything else is an error.
func compileVerdict(v verdict) (program, error) {
	allow, deny := ret(unix.SECCOMP_RET_ALLOW), fail(v.errno)
	if len(v.allow) == 0 {
		return deny, nil
	}
	if slices.ContainsFunc(v.allow, func(c condition) bool { return len(c) == 0 }) {
		return allow, nil
	}
	first := v.allow[0][0]
	low := uint32(offsetArgs + 8*first.Index)
	high := low + 4
	if first.Op == specs.OpMaskedEqual {
		if len(v.allow) > 1 || len(v.allow[0]) > 1 || max(first.Value, first.ValueTwo) > math.MaxUint32 {
			return nil, errors.New("can't translate these masked tests")
		}
		// The mask's upper half is 0, so that of the argument doesn't matter.
		mask := program{{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: uint32(first.Value)}}
		return slices.Concat(load(low), mask, branch(unix.BPF_JEQ, uint32(first.ValueTwo), allow, deny)), nil
	}
	tests := deny
	for _, c := range slices.Backward(v.allow) {
		test := c[0]
		if len(c) > 1 || test.Index != first.Index || test.Value > math.MaxUint32 {
			return nil, errors.New("can't translate these tests")
		}
		switch test.Op {
		case specs.OpEqualTo:
			tests = branch(unix.BPF_JEQ, uint32(test.Value), allow, tests)
		case specs.OpLessThan:
			tests = branch(unix.BPF_JGE, uint32(test.Value), tests, allow)
		default:
			return nil, fmt.Errorf("can't translate operator %s", test.Op)
		}
	}
	return slices.Concat(load(high), branch(unix.BPF_JEQ, 0, slices.Concat(load(low), tests), deny)), nil
}
