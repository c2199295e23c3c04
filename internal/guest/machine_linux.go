package guest

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// prepareMachine sets clock, random seed, hostname and network.
func prepareMachine(r *boxlitev1.GuestInitRequest) (*boxlitev1.GuestInitResponse, error) {
	uptime := readUptime()
	if err := setTime(r.GetUnixNanos()); err != nil {
		return nil, err
	}
	if err := addEntropy(r.GetEntropy()); err != nil {
		return nil, err
	}
	if name := r.GetHostname(); name != "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return nil, os.NewSyscallError("sethostname", err)
		}
	}
	if err := raiseLoopback(); err != nil {
		return nil, err
	}
	if err := raiseNetwork(r.GetNetwork()); err != nil {
		return nil, err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, os.NewSyscallError("uname", err)
	}
	return &boxlitev1.GuestInitResponse{
		KernelRelease: unix.ByteSliceToString(uts.Release[:]), UptimeSeconds: uptime,
	}, nil
}

func readUptime() float64 {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, _ := strconv.ParseFloat(first, 64)
	return seconds
}

func setTime(nanos int64) error {
	if nanos <= 0 {
		return nil
	}
	ts := unix.NsecToTimespec(nanos)
	return os.NewSyscallError("clock_settime", unix.ClockSettime(unix.CLOCK_REALTIME, &ts))
}

// addEntropy credits the seed to the kernel's random number generator, so that
// no early reader has to wait (RNDADDENTROPY, random(4)).
func addEntropy(seed []byte) error {
	if len(seed) == 0 {
		return nil
	}
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const maxSeed = 512
	var pool struct {
		bits, size int32
		data       [maxSeed]byte
	}
	n := copy(pool.data[:], seed)
	pool.bits, pool.size = int32(n*8), int32(n)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return os.NewSyscallError("RNDADDENTROPY", errno)
	}
	return nil
}

// renewEntropy has random numbers begin anew, with what the host gives to this machine: others
// may go on from the same memory.
func renewEntropy() error {
	f, err := os.Open("/dev/hwrng")
	if err != nil {
		return err
	}
	defer f.Close()
	seed := make([]byte, 64)
	if _, err := io.ReadFull(f, seed); err != nil {
		return err
	}
	if err := addEntropy(seed); err != nil {
		return err
	}
	random, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer random.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, random.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return os.NewSyscallError("RNDRESEEDCRNG", errno)
	}
	return nil
}

// raiseLoopback brings the interface lo up.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}
