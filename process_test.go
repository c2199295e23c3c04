package boxlite

import (
	"errors"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/boxlite-go/boxlite/internal/box"
)

func TestMainProcessByDockersRules(t *testing.T) {
	type list = []string
	image := ocispec.ImageConfig{Entrypoint: list{"/entry"}, Cmd: list{"default"}}
	for _, c := range []struct {
		name  string
		box   box.Config
		image ocispec.ImageConfig
		want  list
	}{
		{"idle", box.Config{}, image, nil},
		{"the image's own", box.Config{ImageCommand: true}, image, list{"/entry", "default"}},
		{"command", box.Config{Cmd: list{"a", "b"}}, image, list{"/entry", "a", "b"}},
		{"command, image asked for", box.Config{Cmd: list{"a"}, ImageCommand: true}, image, list{"/entry", "a"}},
		{"entrypoint drops the image's command", box.Config{Entrypoint: list{"/e"}, ImageCommand: true}, image, list{"/e"}},
		{"both", box.Config{Entrypoint: list{"/e"}, Cmd: list{"a"}}, image, list{"/e", "a"}},
		{"cleared entrypoint", box.Config{Entrypoint: list{""}, Cmd: list{"a"}}, image, list{"a"}},
		{"empty command", box.Config{Cmd: list{}}, image, list{"/entry"}},
		{"image without entrypoint", box.Config{ImageCommand: true}, ocispec.ImageConfig{Cmd: list{"sh"}}, list{"sh"}},
	} {
		got, err := mainArgs(&c.box, &c.image)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	_, err := mainArgs(&box.Config{ImageCommand: true}, &ocispec.ImageConfig{})
	if !errors.Is(err, ErrInvalidArgument) || HintOf(err) == "" {
		t.Errorf("nothing to run: %v", err)
	}
}

func TestContainerTakesFromImageWhatIsNotGiven(t *testing.T) {
	image := ocispec.ImageConfig{
		Env: []string{"PATH=/bin", "A=image"}, WorkingDir: "/app", User: "app", StopSignal: "SIGQUIT", Cmd: []string{"serve"},
	}
	r, err := containerFor(&box.Config{ID: "id", Env: []string{"A=mine", "B=c"}, ImageCommand: true, Stdin: true, TTY: true}, &image)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.GetEnv(), []string{"PATH=/bin", "A=mine", "B=c"}) {
		t.Errorf("env %q", r.GetEnv())
	}
	if r.GetDir() != "/app" || r.GetUser() != "app" || r.GetStopSignal() != 3 || r.GetHostname() != "id" {
		t.Errorf("got %v", r)
	}
	if !r.GetMainStdin() || !r.GetMain().GetTty() {
		t.Errorf("main process %v", r.GetMain())
	}
	r, err = containerFor(&box.Config{Dir: "/mine", User: "me"}, &image)
	if err != nil || r.GetDir() != "/mine" || r.GetUser() != "me" || r.GetMain() != nil || r.GetMainStdin() {
		t.Errorf("got %v, %v", r, err)
	}
	image.StopSignal = "SIGNOTHING"
	if _, err := containerFor(&box.Config{}, &image); !errors.Is(err, ErrImage) {
		t.Errorf("unknown stop signal: %v", err)
	}
}
