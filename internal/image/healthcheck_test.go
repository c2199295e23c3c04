package image

import (
	"reflect"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestParseHealthcheck(t *testing.T) {
	for config, want := range map[string]*Healthcheck{
		`{}`:                                nil,
		`{"config": {"Cmd": ["x"]}}`:        nil,
		`{"config": {"Healthcheck": {}}}`:   {},
		`{"config": {"Healthcheck": null}}`: nil,
		`{"config": {"Healthcheck": {"Test": ["CMD-SHELL", "a b"], "Interval": 5000000000, "Timeout": 1000000, "StartPeriod": 2, "Retries": 4}}}`: {
			Test: []string{"CMD-SHELL", "a b"}, Interval: 5 * time.Second, Timeout: time.Millisecond, StartPeriod: 2, Retries: 4,
		},
	} {
		if got, err := parseHealthcheck([]byte(config)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", config, got, err)
		}
	}
	_, err := parseHealthcheck([]byte(`{"config": {"Healthcheck": {"Test": "x"}}}`))
	wantError(t, err, protocol.KindImage, "health check", "")
}
