package shim

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"
)

// HealthCheck says how to find out whether a box is well.
type HealthCheck struct {
	// Test is the command that finds out, as docker has it: "CMD" and the command
	// with its arguments, or "CMD-SHELL" and a line for /bin/sh; or "NONE" for no
	// check. It runs as the box's user and in its working directory, and ends with
	// 0 if the box is well. Empty means the image's own, or, if it has none, to ask
	// the guest's agent whether it answers.
	Test []string `json:"test,omitempty"`
	// Interval is the time before the first check, and from the end of each to the
	// next. 0 means the image's, or 30 seconds.
	Interval time.Duration `json:"interval,omitempty"`
	// Timeout is how long a check may take before it is killed, and has failed.
	// 0 means the image's, or 10 seconds.
	Timeout time.Duration `json:"timeout,omitempty"`
	// StartPeriod is how long checks may fail after the start without counting,
	// until the first that does not. 0 means the image's, or 60 seconds, where
	// docker has none; less than 0 means none.
	StartPeriod time.Duration `json:"startPeriod,omitempty"`
	// Retries is how many checks in a row have to fail until the box is unhealthy.
	// 0 means the image's, or 3.
	Retries int `json:"retries,omitempty"`
}

// The health of a box.
const (
	// HealthNone is that of a box that does not run, or has no health check.
	HealthNone = "none"
	// HealthStarting is that of a box until a check has succeeded, or too many
	// have failed.
	HealthStarting = "starting"
	HealthHealthy  = "healthy"
	// HealthUnhealthy is that of a box of which too many checks in a row have
	// failed.
	HealthUnhealthy = "unhealthy"
)

// Health is what health checks have found.
type Health struct {
	// Status is "none", "starting", "healthy" or "unhealthy".
	Status string `json:"status"`
	// FailingStreak counts the failed checks since the last that did not fail.
	FailingStreak int `json:"failingStreak"`
	// CheckedAt is when the latest check began; nil before the first.
	CheckedAt *time.Time `json:"checkedAt"`
	// Output is the end of what the latest check wrote, up to 4 KiB, or why it
	// could not run.
	Output string `json:"output"`
}

// after returns the health after a check that began so long after the start.
func (h Health) after(check *HealthCheck, failed bool, sinceStart time.Duration) Health {
	switch {
	case !failed:
		h.Status, h.FailingStreak = HealthHealthy, 0
	case h.Status == HealthStarting && sinceStart < check.StartPeriod:
	default:
		h.FailingStreak++
		if h.FailingStreak >= check.Retries {
			h.Status = HealthUnhealthy
		}
	}
	return h
}

// maxHealthFile bounds what is read of a health file: 4 KiB of output may take
// six times as much in JSON.
const maxHealthFile = 64 << 10

// ReadHealth returns what the health checks of the box in dir have found in its
// latest run.
func ReadHealth(dir string) Health {
	none := Health{Status: HealthNone}
	f, err := os.Open(filepath.Join(dir, fileHealth))
	if err != nil {
		return none
	}
	defer f.Close()
	var h Health
	if err := json.NewDecoder(io.LimitReader(f, maxHealthFile)).Decode(&h); err != nil {
		return none
	}
	switch h.Status {
	case HealthStarting, HealthHealthy, HealthUnhealthy:
		return h
	}
	return none
}

// writeHealth replaces the health file. It need not survive a crash of the host,
// as the box doesn't.
func writeHealth(dir string, h Health) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileHealth)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
