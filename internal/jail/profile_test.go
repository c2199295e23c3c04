package jail

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestProfile(t *testing.T) {
	for name, test := range map[string]struct {
		program       string
		read, devices []string
	}{
		"plain": {"/opt/homebrew/bin/qemu-system-aarch64", nil, nil},
		"qemu": {
			"/opt/homebrew/Cellar/qemu/9.0/bin/qemu-system-aarch64",
			[]string{"/usr/lib", "/opt/homebrew", "/Users/a/.boxlite/init/rootfs/x/vmlinux", "/usr/lib"},
			[]string{"/dev/null", "/dev/urandom"},
		},
		"quoted": {"/Users/o \"quote\" (a)/\\b", []string{"/Users/ü;x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Profile(test.program, test.read, test.devices)
			if err != nil {
				t.Fatal(err)
			}
			golden := "testdata/profile/" + name + ".sb"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v; got\n%s", err, got)
			}
		})
	}
}

func TestProfileRefusesWhatItCannotSay(t *testing.T) {
	for _, path := range []string{"", "relative", "/line\nbreak", "/zero\x00", "/bell\x07"} {
		if p, err := Profile("/bin/x", []string{path}, nil); err == nil {
			t.Errorf("%q is in\n%s", path, p)
		}
	}
}
