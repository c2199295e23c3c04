package image

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
)

// Healthcheck is an image's HEALTHCHECK, which docker adds to what OCI specifies.
type Healthcheck struct {
	// Test begins with "CMD", "CMD-SHELL" or "NONE".
	Test        []string      `json:"Test"`
	Interval    time.Duration `json:"Interval"`
	Timeout     time.Duration `json:"Timeout"`
	StartPeriod time.Duration `json:"StartPeriod"`
	Retries     int           `json:"Retries"`
}

// Healthcheck returns how an image wants to be checked, or nil if it does not say.
func (s *Store) Healthcheck(image Image) (*Healthcheck, error) {
	if image.Reference == s.opts.Embedded.Reference && s.opts.Embedded.Reference != "" {
		return nil, nil
	}
	b, err := s.readBlob(digest.Digest(image.ID), maxConfigBytes)
	if err != nil {
		return nil, fail("read the image's configuration", protocol.KindStorage, err)
	}
	return parseHealthcheck(b)
}

func parseHealthcheck(config []byte) (*Healthcheck, error) {
	var c struct {
		Config struct {
			Healthcheck *Healthcheck `json:"Healthcheck"`
		} `json:"config"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fail("read the image's health check", protocol.KindImage, fmt.Errorf("read image configuration: %w", err))
	}
	return c.Config.Healthcheck, nil
}
