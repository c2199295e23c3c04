package boxlite

import (
	"errors"
	"fmt"
	"strings"
)

// The longest texts of a box.
const (
	maxHostname = 63
	maxLabels   = 64 << 10 // bytes, of all together
)

func checkLabels(op string, labels map[string]string) error {
	size := 0
	for key, value := range labels {
		if key == "" || strings.ContainsAny(key, "=\x00\n") || strings.ContainsRune(value, 0) {
			return invalid(op, "write it as KEY=VALUE", fmt.Errorf("%.200q is not a label", key+"="+value))
		}
		size += len(key) + len(value)
	}
	if size > maxLabels {
		return invalid(op, "keep what is large in a file", fmt.Errorf("its labels have %d bytes, more than %d", size, maxLabels))
	}
	return nil
}

func checkHostname(op, name string) error {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}
	if len(name) <= maxHostname && !strings.ContainsFunc(name, strange) && strings.Trim(name, "-.") == name {
		return nil
	}
	return invalid(op, fmt.Sprintf("use letters, digits, '-' and '.', %d at most", maxHostname),
		fmt.Errorf("%.200q is not a hostname", name))
}

func checkStopSignal(op, signal string) error {
	if _, err := parseSignal(signal); err != nil {
		return invalid(op, "use a name or number, as in kill -l", err)
	}
	return nil
}

// checkLifetime refuses what takes somebody who looks after boxes all the time.
func checkLifetime(op string, s BoxSpec) error {
	for what, d := range map[string]bool{"stopped": s.AutoStop != 0, "deleted": s.AutoDelete != 0} {
		if d {
			return &Error{
				Kind: ErrUnsupported, Op: op, Err: errors.New("no daemon is there by which it could be " + what + " after a time"),
				Hint: "a server does that; here, use AutoRemove or --rm, or stop and remove the box yourself",
			}
		}
	}
	return nil
}
