package box

import (
	"time"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// formatVersion is written into every config.json. A record with a higher one
// is of a later version of BoxLite.
const formatVersion = 1

// Config is what was asked for when a box was created. Nothing of it ever changes but
// Name, by [Locked.Rename], and what [Locked.Configure] is used for: rules of the
// network, published ports and secrets.
type Config struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	CreatedAt time.Time `json:"createdAt"`

	// Image is the reference as given; ImageDigest the manifest's digest if the
	// image was on this host already. State.ImageDigest is the one in use.
	Image       string `json:"image"`
	ImageDigest string `json:"imageDigest,omitempty"`
	Platform    string `json:"platform,omitempty"`

	CPUs      int   `json:"cpus"`
	MemoryMiB int   `json:"memoryMiB"`
	HugePages bool  `json:"hugePages,omitempty"`
	DiskBytes int64 `json:"diskBytes"`

	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	User string   `json:"user,omitempty"`
	// Entrypoint and Cmd are nil unless given; empty ones clear the image's.
	Entrypoint []string `json:"entrypoint"`
	Cmd        []string `json:"cmd"`
	// ImageCommand says that the image's own command is run if none is given.
	ImageCommand bool `json:"imageCommand,omitempty"`

	Network Network        `json:"network,omitzero"`
	Ports   []network.Port `json:"ports,omitempty"`
	Secrets []Secret       `json:"secrets,omitempty"`

	HealthCheck *shim.HealthCheck `json:"healthCheck,omitempty"`

	TTY        bool `json:"tty,omitempty"`
	Stdin      bool `json:"stdin,omitempty"`
	Detach     bool `json:"detach,omitempty"`
	AutoRemove bool `json:"autoRemove,omitempty"`
	// Security is how much of a jail the box must have.
	Security jail.Security `json:"security,omitempty"`

	Restart RestartPolicy `json:"restart,omitzero"`

	Labels     map[string]string `json:"labels,omitempty"`
	Hostname   string            `json:"hostname,omitempty"`
	StopSignal string            `json:"stopSignal,omitempty"`
	// StopTimeout is 0 if none was given, and below 0 if it is none.
	StopTimeout  time.Duration `json:"stopTimeoutNanos,omitempty"`
	Capabilities Capabilities  `json:"capabilities,omitzero"`
	// NoAutoResume keeps commands from starting the box.
	NoAutoResume bool `json:"noAutoResume,omitempty"`

	Engine string `json:"engine,omitempty"`
}

// Job reports whether the box was made to run one given command, which starting
// it runs again.
func (c *Config) Job() bool { return len(c.Entrypoint) > 0 || len(c.Cmd) > 0 }

// Label is how people know the box: its name, or its ID.
func (c *Config) Label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}
