package box

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/shim"
)

func TestRestartPolicyText(t *testing.T) {
	for text, want := range map[string]RestartPolicy{
		"":               {},
		"no":             {},
		"on-failure":     {Mode: RestartOnFailure},
		"on-failure:3":   {Mode: RestartOnFailure, MaxRetries: 3},
		"always":         {Mode: RestartAlways},
		"unless-stopped": {Mode: RestartAlways},
	} {
		got, err := ParseRestartPolicy(text)
		if err != nil || got != want || got.Check() != nil {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
		data, err := json.Marshal(got)
		var back RestartPolicy
		if err == nil {
			err = json.Unmarshal(data, &back)
		}
		if err != nil || back != want {
			t.Errorf("%q: got %+v from %s, %v", text, back, data, err)
		}
	}
	for _, text := range []string{"yes", "Always", "always:3", "no:1", "on-failure:", "on-failure:0", "on-failure:-1", "on-failure:x", "on-failure:1:2", ":3"} {
		if got, err := ParseRestartPolicy(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
	for _, p := range []RestartPolicy{{Mode: "sometimes"}, {MaxRetries: 1}, {Mode: RestartAlways, MaxRetries: 1}, {Mode: RestartOnFailure, MaxRetries: -1}} {
		if p.Check() == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
}

func TestRestartPolicyWants(t *testing.T) {
	zero, three := 0, 3
	exited := func(code *int) State {
		return State{Status: Stopped, Exit: &Exit{Reason: shim.ReasonExited, Code: code}}
	}
	ended := func(reason string) State { return State{Status: Stopped, Exit: &Exit{Reason: reason}} }
	with := func(s State, change func(*State)) State {
		change(&s)
		return s
	}
	for _, test := range []struct {
		name  string
		state State
		want  string // no, on-failure, on-failure:2, always
	}{
		{"success", exited(&zero), ". . . x"},
		{"failure", exited(&three), ". x x x"},
		{"a code that is not known", exited(nil), ". x x x"},
		{"panic", ended(shim.ReasonPanic), ". x x x"},
		{"the VMM crashed", ended(shim.ReasonVMM), ". x x x"},
		{"lost", ended(ReasonLost), ". x x x"},
		{"the guest's memory", ended(shim.ReasonOOM), ". x x x"},
		{"the host's memory", ended(shim.ReasonHostOOM), ". x x x"},
		{"a restart that failed", with(ended(shim.ReasonFailed), func(s *State) { s.Status = Failed }), ". x x x"},
		{"stopped", ended(shim.ReasonStopped), ". . . ."},
		{"killed", ended(shim.ReasonKilled), ". . . ."},
		{"a stop that came too late", with(exited(&three), func(s *State) { s.StopRequested = true }), ". . . ."},
		{"once before", with(exited(&three), func(s *State) { s.Restarts = 1 }), ". x x x"},
		{"twice before", with(exited(&three), func(s *State) { s.Restarts = 2 }), ". x . x"},
		{"it runs by now", with(exited(&three), func(s *State) { s.Status = Running }), ". . . ."},
		{"it never ran", State{Status: Configured}, ". . . ."},
	} {
		for i, policy := range []RestartPolicy{{}, {Mode: RestartOnFailure}, {Mode: RestartOnFailure, MaxRetries: 2}, {Mode: RestartAlways}} {
			if got := policy.Wants(test.state); got != (test.want[2*i] == 'x') {
				t.Errorf("%s, %s: got %t", test.name, policy, got)
			}
		}
	}
}

func TestRestartDelay(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct{ last, ran, want time.Duration }{
		{0, 0, 100 * ms},
		{100 * ms, 0, 200 * ms},
		{200 * ms, 9 * time.Second, 400 * ms},
		{200 * ms, 10 * time.Second, 100 * ms},
		{40 * time.Second, 0, time.Minute},
		{time.Minute, time.Second, time.Minute},
		{time.Minute, time.Hour, 100 * ms},
	} {
		if got := RestartDelay(test.last, test.ran); got != test.want {
			t.Errorf("after a delay of %v and a run of %v: got %v, want %v", test.last, test.ran, got, test.want)
		}
	}
}
