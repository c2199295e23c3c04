package kvmprobe

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProbe(t *testing.T) {
	err := Probe(t.Context())
	if err == nil {
		t.Log("an ordinary guest runs on /dev/kvm")
		return
	}
	t.Logf("%v (%s)", err, protocol.HintOf(err))
	if !errors.Is(err, protocol.KindUnsupportedEngine) {
		t.Errorf("it is of kind %v", protocol.KindOf(err))
	}
	known := 0
	for _, reason := range []error{ErrNoDevice, ErrPermission, ErrVersion, ErrCreate, ErrGuest, ErrTooSlow} {
		if errors.Is(err, reason) {
			known++
		}
	}
	if known != 1 {
		t.Errorf("it has %d known reasons, not 1", known)
	}
}

func TestProbeGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestBadGuests runs guests that do not end well, with the few instructions that
// run even where no ordinary guest does.
func TestBadGuests(t *testing.T) {
	for _, test := range []struct {
		name string
		code []byte
		want error
		text string
	}{
		{"spins", []byte{0xeb, 0xfe}, ErrTooSlow, "after nothing"},                             // jmp .
		{"spins later", []byte{0xb0, 0x01, 0xe6, 0x10, 0xeb, 0xfe}, ErrTooSlow, "first instr"}, // out %al, $0x10; jmp .
		{"other port", []byte{0xe6, 0x80}, ErrGuest, "unexpected access to port 0x80"},         // out %al, $0x80
		{"reads a port", []byte{0xe4, 0x10}, ErrGuest, "unexpected access to port 0x10"},       // in $0x10, %al
		{"triple fault", []byte{0xcd, 0x03}, ErrGuest, "after nothing"},                        // int $3, without a table
		{"ends", []byte{0xb0, 0xff, 0xe6, 0x10}, nil, ""},                                      // out 0xff, $0x10
	} {
		t.Run(test.name, func(t *testing.T) {
			kvm, err := openDevice()
			if err != nil {
				t.Skipf("no guest can run here: %v", err)
			}
			err = attempt(t.Context(), kvm, test.code, first)
			if errors.Is(err, ErrCreate) {
				t.Skip(err)
			}
			if !errors.Is(err, test.want) || err != nil && !bytes.Contains([]byte(err.Error()), []byte(test.text)) {
				t.Errorf("error %v, want %v: %s", err, test.want, test.text)
			}
		})
	}
}

// TestSlowGuestsGetAnotherChance: only what is sure ends the probe at once, or stays so.
func TestSlowGuestsGetAnotherChance(t *testing.T) {
	stalled := func(step byte) error {
		c := &vcpu{step: step}
		return fail(ErrTooSlow, c.after(errStalled))
	}
	late := fail(ErrTooSlow, context.DeadlineExceeded)
	for _, test := range []struct {
		name     string
		errs     []error // of one attempt after the other
		want     error
		attempts int
	}{
		{"works", []error{nil}, nil, 1},
		{"works at last", []error{stalled(3), late, nil}, nil, 3},
		{"stalls here and there", []error{stalled(3), stalled(4), stalled(3)}, ErrTooSlow, 3},
		{"stalls and is late", []error{stalled(3), late, stalled(3)}, ErrTooSlow, 3},
		{"always stalls at one step", []error{stalled(3), stalled(3), stalled(3)}, ErrGuest, 3},
		{"does not run", []error{fail(ErrGuest, nil)}, ErrGuest, 1},
		{"stalls, then does not run", []error{stalled(3), fail(ErrGuest, nil)}, ErrGuest, 2},
		{"can't be stopped", []error{fail(ErrTooSlow, errStuck)}, ErrTooSlow, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var given []limits
			err := probe(t.Context(), func(l limits) error {
				given = append(given, l)
				return test.errs[len(given)-1]
			})
			if !errors.Is(err, test.want) || Transient(err) != errors.Is(test.want, ErrTooSlow) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if len(given) != test.attempts {
				t.Fatalf("%d attempts, want %d", len(given), test.attempts)
			}
			for i, l := range given[1:] {
				if l.stall != 2*given[i].stall || l.total != 2*given[i].total {
					t.Errorf("attempt %d had %v, and the next %v", i, given[i], l)
				}
			}
		})
	}
}

func TestStructuresAreThoseOfTheKernel(t *testing.T) {
	for name, size := range map[string][2]uintptr{
		"kvm_userspace_memory_region": {unsafe.Sizeof(memoryRegion{}), 32},
		"kvm_regs":                    {unsafe.Sizeof(regs{}), uintptr(kvmSetRegs>>16) & 0x3fff},
		"kvm_sregs":                   {unsafe.Sizeof(sregs{}), uintptr(kvmSetSregs>>16) & 0x3fff},
		"kvm_enable_cap":              {unsafe.Sizeof(enableCap{}), uintptr(kvmEnableCap>>16) & 0x3fff},
		"kvm_cpuid2 with entries":     {unsafe.Sizeof(cpuid{}), 8 + maxCPUIDEntries*40},
		"offset of kvm_run's union":   {unsafe.Offsetof(runState{}.detail), 32},
	} {
		if size[0] != size[1] {
			t.Errorf("%s: %d, want %d", name, size[0], size[1])
		}
	}
}

func TestGuestCodeIsUpToDate(t *testing.T) {
	for _, tool := range []string{"as", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs binutils:", err)
		}
	}
	dir := t.TempDir()
	object, binary := filepath.Join(dir, "guest.o"), filepath.Join(dir, "guest.bin")
	for _, command := range [][]string{
		{"as", "--64", "-o", object, "guest.S"},
		{"objcopy", "-O", "binary", "-j", ".text", object, binary},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	want, err := os.ReadFile(binary)
	if err != nil || !bytes.Equal(want, guestCode) {
		t.Errorf("guest.S has changed: run go generate (%v)", err)
	}
}

// microsandbox#920: after the first run the right to /dev/kvm was gone, and the next
// one crashed. A change of rights makes the host be probed anew.
func TestFingerprintKnowsTheRights(t *testing.T) {
	first, second := Fingerprint(), Fingerprint()
	if first == "" || first != second {
		t.Errorf("fingerprint %q, then %q", first, second)
	}
	if unix.Access(device, unix.F_OK) != nil && first != unix.ENOENT.Error() {
		t.Errorf("fingerprint %q without a device", first)
	}
}
