package shim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// maxSpec bounds what a shim reads as its spec.
const maxSpec = 8 << 20

// Spec is all that a shim has to know.
type Spec struct {
	// BoxID names the box in errors.
	BoxID string `json:"box_id"`
	// Name is the box's name, if it has one, and Run the number of this run: both for
	// the audit log.
	Name string `json:"name,omitempty"`
	Run  int    `json:"run"`
	// Dir is the box's folder. It and its logs folder exist.
	Dir string `json:"dir"`
	// Machine is how the virtual machine is run, as vmm.Select chose it.
	Machine vmm.Capability `json:"machine"`
	VM      vmm.Spec       `json:"vm"`
	// Jail is what the machine and the shim are confined to.
	Jail jail.Plan `json:"jail"`
	// Container is what the agent sets up.
	Container *boxlitev1.ContainerInitRequest `json:"-"`
	// Network is what the guest's network card is connected to; nil if there is none.
	// It holds secrets.
	Network *network.Config `json:"network,omitempty"`
	// Health says how to find out whether the box is well; nil if nobody asks.
	Health *HealthCheck `json:"health,omitempty"`
	// Detached boxes outlive the process that started them.
	Detached bool `json:"detached"`
	// WaitForAttach leaves the start of the main process to the library, which
	// first attaches to it so as to miss nothing.
	WaitForAttach bool `json:"wait_for_attach"`
}

// wireSpec is a Spec as it is sent: the container in protobuf's own JSON.
type wireSpec struct {
	Spec
	Container json.RawMessage `json:"container"`
}

// send writes the spec as one line.
func (s Spec) send(w io.Writer) error {
	container, err := protojson.Marshal(s.Container)
	if err != nil {
		return err
	}
	line, err := json.Marshal(wireSpec{s, container})
	if err != nil {
		return err
	}
	if len(line) >= maxSpec {
		return &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "start the box",
			Err:  fmt.Errorf("its environment and arguments take %d bytes, more than %d", len(line), maxSpec),
			Hint: "pass large data in files or on standard input",
		}
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// receiveSpec reads one line.
func receiveSpec(r io.Reader) (Spec, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSpec)).ReadBytes('\n')
	if err != nil {
		return Spec{}, fmt.Errorf("read the spec from standard input: %w", err)
	}
	var wire wireSpec
	if err := json.Unmarshal(line, &wire); err != nil {
		return Spec{}, fmt.Errorf("read the spec from standard input: %w", err)
	}
	spec := wire.Spec
	spec.Container = &boxlitev1.ContainerInitRequest{}
	if err := protojson.Unmarshal(wire.Container, spec.Container); err != nil {
		return Spec{}, fmt.Errorf("read the container's part of the spec: %w", err)
	}
	if spec.Dir == "" {
		return Spec{}, errors.New("the spec names no folder")
	}
	return spec, nil
}
