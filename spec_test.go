package boxlite

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSpecDefaults(t *testing.T) {
	c, err := BoxSpec{}.config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Image != "boxlite/base" || c.CPUs != 1 || c.MemoryMiB != 512 || c.DiskBytes != 10<<30 {
		t.Errorf("got %+v", c)
	}
	if c.Job() || c.ImageCommand {
		t.Error("the zero spec has a main process")
	}
}

func TestSpecIsChecked(t *testing.T) {
	for name, s := range map[string]BoxSpec{
		"name":                         {Name: "a b"},
		"negative CPUs":                {CPUs: -1},
		"too many CPUs":                {CPUs: 65},
		"memory below minimum":         {MemoryMiB: 63},
		"memory above maximum":         {MemoryMiB: 1<<20 + 1},
		"negative disk":                {DiskGiB: -1},
		"disk above maximum":           {DiskGiB: 1025},
		"variable without =":           {Env: []string{"A"}},
		"variable without name":        {Env: []string{"=a"}},
		"variable with zero":           {Env: []string{"A=\x00"}},
		"relative dir":                 {Dir: "work"},
		"user with space":              {User: "a b"},
		"user without name":            {User: ":staff"},
		"group without name":           {User: "app:"},
		"two groups":                   {User: "app:a:b"},
		"zero in argument":             {Cmd: []string{"a\x00b"}},
		"health check without a form":  {HealthCheck: &HealthCheck{Test: []string{"true"}}},
		"health check without command": {HealthCheck: &HealthCheck{Test: []string{"CMD"}}},
		"health check all the time":    {HealthCheck: &HealthCheck{Interval: 1}},
		"health check in no time":      {HealthCheck: &HealthCheck{Timeout: -time.Second}},
		"restart of what is removed":   {AutoRemove: true, Restart: RestartPolicy{Mode: RestartAlways}},
		"unknown restart policy":       {Restart: RestartPolicy{Mode: "often"}},
		"negative retries":             {HealthCheck: &HealthCheck{Retries: -1}},
		"label without key":            {Labels: map[string]string{"": "x"}},
		"label with =":                 {Labels: map[string]string{"a=b": "x"}},
		"label too large":              {Labels: map[string]string{"a": strings.Repeat("x", 1<<16)}},
		"hostname with space":          {Hostname: "a b"},
		"hostname too long":            {Hostname: strings.Repeat("x", 64)},
		"hostname that begins with -":  {Hostname: "-a"},
		"unknown stop signal":          {StopSignal: "SIGNOSUCH"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Validate()
			if !errors.Is(err, ErrInvalidArgument) || HintOf(err) == "" {
				t.Errorf("got %v, with hint %q", err, HintOf(err))
			}
			if strings.ContainsAny(err.Error(), "\x00\n") {
				t.Errorf("the text %q is more than a line", err)
			}
		})
	}
}

func TestSpecAccepts(t *testing.T) {
	for name, s := range map[string]BoxSpec{
		"limits":        {CPUs: 64, MemoryMiB: 64, DiskGiB: 1024, Name: "a.b-c_d"},
		"user by name":  {User: "app"},
		"user by ID":    {User: "1000:1000"},
		"empty value":   {Env: []string{"A=", "B=c=d"}},
		"empty command": {Cmd: []string{}, Entrypoint: []string{""}},
		"dir":           {Dir: "/a b/c"},
		"health check":  {HealthCheck: &HealthCheck{Test: []string{"CMD", "true"}, StartPeriod: -1}},
		"restart":       {Restart: RestartPolicy{Mode: RestartOnFailure, MaxRetries: 3}},
		"no health":     {HealthCheck: &HealthCheck{Test: []string{"NONE"}}},
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLifetimeTakesAServer: nobody is there who could stop a box after a time.
func TestLifetimeTakesAServer(t *testing.T) {
	for _, s := range []BoxSpec{{AutoStop: time.Minute}, {AutoDelete: -time.Minute}} {
		if err := s.Validate(); !errors.Is(err, ErrUnsupported) || HintOf(err) == "" {
			t.Errorf("got %v, with hint %q", err, HintOf(err))
		}
	}
}

func TestStopTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute, -1: 0} {
		c, err := BoxSpec{StopTimeout: timeout}.config()
		if got := graceOf(c); err != nil || got != want {
			t.Errorf("%v: got %v, %v; want %v", timeout, got, err, want)
		}
	}
}
