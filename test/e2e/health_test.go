package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestHealth: a box is checked as its image says, whoever looks, and only the agent
// is asked where nobody says how.
func TestHealth(t *testing.T) {
	needMachine(t)
	t.Parallel()
	image := imageWith(t, map[string]any{
		"Env": []string{"PATH=/usr/bin:/bin"}, "Cmd": []string{"sh"}, "User": "1000",
		"Healthcheck": map[string]any{"Test": []string{"CMD", "sh", "-c", "id -u"}, "Interval": 50 * time.Millisecond},
	})
	home := t.TempDir()
	rt, other := openRuntime(t, boxlite.Options{Home: home}), openRuntime(t, boxlite.Options{Home: home})
	quick := &boxlite.HealthCheck{Interval: 50 * time.Millisecond}
	for name, test := range map[string]struct {
		spec           boxlite.BoxSpec
		status, output string
	}{
		"image":    {boxlite.BoxSpec{Image: image}, boxlite.HealthHealthy, "1000\n"},
		"disabled": {boxlite.BoxSpec{Image: image, HealthCheck: &boxlite.HealthCheck{Test: []string{"NONE"}}}, boxlite.HealthNone, ""},
		"agent":    {boxlite.BoxSpec{HealthCheck: quick}, boxlite.HealthHealthy, ""},
		"nobody":   {boxlite.BoxSpec{}, boxlite.HealthNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := newBox(t, rt, test.spec)
			if err := box.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen, err := other.Get(t.Context(), box.ID())
			if err != nil {
				t.Fatal(err)
			}
			for {
				info, err := seen.Info(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if h := info.Health; h.Status != boxlite.HealthStarting {
					if h.Status != test.status || strings.TrimSpace(h.Output) != strings.TrimSpace(test.output) || (h.CheckedAt == nil) != (test.status == boxlite.HealthNone) {
						t.Errorf("got %+v", h)
					}
					break
				}
			}
			if err := box.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if info, err := seen.Info(t.Context()); err != nil || info.Health.Status != boxlite.HealthNone {
				t.Errorf("once it has stopped: %+v, %v", info.Health, err)
			}
		})
	}
}
