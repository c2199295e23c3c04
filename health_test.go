package boxlite

import (
	"reflect"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/image"
)

func TestHealthChecksOfSpecAndImage(t *testing.T) {
	shell, other := []string{"CMD-SHELL", "test -e /ok"}, []string{"CMD", "true"}
	imageCheck := &image.Healthcheck{Test: shell, Interval: time.Second, Retries: 5}
	for _, test := range []struct {
		name   string
		ours   *HealthCheck
		theirs *image.Healthcheck
		want   *HealthCheck
	}{
		{"nobody asks", nil, nil, nil},
		{"the image says nothing", nil, &image.Healthcheck{}, nil},
		{"only the agent is asked", &HealthCheck{}, nil, &HealthCheck{Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: time.Minute, Retries: 3}},
		{"the image's", nil, imageCheck, &HealthCheck{Test: shell, Interval: time.Second, Timeout: 10 * time.Second, StartPeriod: time.Minute, Retries: 5}},
		{
			"the spec's over the image's",
			&HealthCheck{Test: other, Timeout: time.Minute, StartPeriod: -1}, imageCheck,
			&HealthCheck{Test: other, Interval: time.Second, Timeout: time.Minute, Retries: 5},
		},
		{
			"the image's test at another pace",
			&HealthCheck{Interval: time.Hour}, imageCheck,
			&HealthCheck{Test: shell, Interval: time.Hour, Timeout: 10 * time.Second, StartPeriod: time.Minute, Retries: 5},
		},
		{"the spec wants none", &HealthCheck{Test: []string{"NONE"}}, imageCheck, nil},
		{"the image wants none", nil, &image.Healthcheck{Test: []string{"NONE"}}, nil},
		{"the image makes no sense", nil, &image.Healthcheck{Test: []string{"PING", "x"}}, nil},
		{
			"the image's numbers make no sense",
			nil, &image.Healthcheck{Test: other, Interval: -1, Timeout: 1, StartPeriod: -5, Retries: -1},
			&HealthCheck{Test: other, Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: time.Minute, Retries: 3},
		},
	} {
		if got := mergeHealthCheck(test.ours, test.theirs); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}
