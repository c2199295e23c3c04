package jail

import (
	"testing"
)

func TestProbe(t *testing.T) {
	s, err := Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s)
}

func BenchmarkProbe(b *testing.B) {
	for b.Loop() {
		if _, err := Probe(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}
