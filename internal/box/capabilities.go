package box

// Capabilities says how a container's Linux capabilities differ from Docker's
// default. Names are in upper case, without CAP_, or ALL.
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}
