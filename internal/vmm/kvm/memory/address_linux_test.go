package memory

import (
	"errors"
	"testing"
)

func TestAddressUndoesSlice(t *testing.T) {
	m, err := New(4<<30, false) // in two regions
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, want := range []uint64{0, 1, 4096, LowEnd - 10, HighStart, HighStart + 5000, HighStart + 1<<30 - 10} {
		b, err := m.Slice(want, 10)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Address(b); err != nil || got != want {
			t.Errorf("%#x is at %#x, %v", want, got, err)
		}
		if got, err := m.Address(b[9:]); err != nil || got != want+9 {
			t.Errorf("%#x is at %#x, %v", want+9, got, err)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 10)} {
		if got, err := m.Address(b); !errors.Is(err, ErrRange) {
			t.Errorf("what is not the guest's is at %#x, %v", got, err)
		}
	}
}
