package boxlite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/suggest"
)

// Capabilities says how the Linux capabilities of a box's container differ from
// Docker's default, by Docker's rules: what is in Drop is taken away, what is in
// Add comes in addition. With ALL in Add, the container has all that it can have
// but those in Drop; with ALL in Drop, it has those in Add only. Names may be in
// lower case, and may begin with CAP_.
//
// A few capabilities would lead out of the container, to the agent of the guest,
// and can't be had: docs/security.md lists them. ALL leaves them out.
type Capabilities = box.Capabilities

// allCapabilities stands for all of them.
const allCapabilities = "ALL"

// checkCapabilities returns the capabilities with their names as records have
// them.
func checkCapabilities(op string, c Capabilities) (Capabilities, error) {
	var checked Capabilities
	for _, name := range c.Add {
		n, err := checkCapability(op, name)
		if set, _ := protocol.CapabilityOf(n); err == nil && set&protocol.WithheldCapabilities != 0 {
			err = &Error{
				Kind: ErrUnsupported, Op: op, Err: fmt.Errorf("no container can have the capability %s", n),
				Hint: "it would lead out of the container, see docs/security.md; ALL stands for those that can be had",
			}
		}
		if err != nil {
			return c, err
		}
		checked.Add = append(checked.Add, n)
	}
	for _, name := range c.Drop {
		n, err := checkCapability(op, name)
		if err != nil {
			return c, err
		}
		checked.Drop = append(checked.Drop, n)
	}
	return checked, nil
}

func checkCapability(op, text string) (string, error) {
	name := protocol.CapabilityName(text)
	if _, ok := protocol.CapabilityOf(name); ok || name == allCapabilities {
		return name, nil
	}
	hint := "use the names in capabilities(7), such as NET_ADMIN, or ALL"
	all := append((protocol.AllCapabilities | protocol.WithheldCapabilities).Names(), allCapabilities)
	if near := suggest.Closest(name, all); near != "" {
		hint = "did you mean " + near + "?"
	}
	if name == "" {
		return "", invalid(op, hint, errors.New("a capability has no name"))
	}
	return "", invalid(op, hint, fmt.Errorf("there is no capability %.100q", text))
}

// capabilitySet returns what a container has, or nil for the default.
func capabilitySet(c Capabilities) *uint64 {
	if len(c.Add) == 0 && len(c.Drop) == 0 {
		return nil
	}
	add, drop := setOf(c.Add), setOf(c.Drop)
	var set protocol.Capabilities
	switch {
	case slices.Contains(c.Add, allCapabilities):
		set = protocol.AllCapabilities &^ drop
	case slices.Contains(c.Drop, allCapabilities):
		set = add
	default:
		set = protocol.DefaultCapabilities&^drop | add
	}
	return (*uint64)(&set)
}

// setOf leaves out ALL, which has no number.
func setOf(names []string) (set protocol.Capabilities) {
	for _, name := range names {
		c, _ := protocol.CapabilityOf(name)
		set |= c
	}
	return set
}
