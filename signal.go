package boxlite

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// guestSignals are the numbers of signals in the guest, which is Linux whatever
// the host is.
var guestSignals = map[string]uint32{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8,
	"KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
	"STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22,
	"URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29,
	"PWR": 30, "SYS": 31,
}

// maxSignal is the highest number, SIGRTMAX.
const maxSignal = 64

// guestSignal returns the guest's number of a signal of the host.
func guestSignal(sig os.Signal) (uint32, error) {
	if number, ok := sig.(syscall.Signal); ok {
		name := strings.TrimPrefix(unix.SignalName(number), "SIG")
		if n, ok := guestSignals[name]; ok {
			return n, nil
		}
		if number > 31 && number <= maxSignal {
			return uint32(number), nil
		}
	}
	return 0, fmt.Errorf("the guest has no signal %q", sig)
}

// parseSignal reads the name or number of a signal of the guest, as "SIGQUIT",
// "quit" or "3". The empty string is 0.
func parseSignal(s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil && n >= 1 && n <= maxSignal {
		return uint32(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, ok := guestSignals[name]; ok {
		return n, nil
	}
	if offset, ok := strings.CutPrefix(name, "RTMIN+"); ok {
		if n, err := strconv.ParseUint(offset, 10, 32); err == nil && n <= 30 {
			return 34 + uint32(n), nil
		}
	}
	return 0, fmt.Errorf("no signal is called %.50q", s)
}

// signalName returns the name of a signal of the guest, such as "SIGKILL".
func signalName(number int) string {
	for name, n := range guestSignals {
		if int(n) == number {
			return "SIG" + name
		}
	}
	return "signal " + strconv.Itoa(number)
}
