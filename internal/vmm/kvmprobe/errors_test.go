package kvmprobe

import (
	"errors"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// TestEveryReasonHasARemedy: whoever can't use KVM learns why, as an error that a
// program can tell from others, and what to do (sbx-releases#425, preloop#45,
// dragonball#39; microsandbox#968: works for root, and not for who is not in the
// device's group).
func TestEveryReasonHasARemedy(t *testing.T) {
	for _, reason := range []error{ErrNoDevice, ErrPermission, ErrVersion, ErrCreate, ErrGuest, ErrTooSlow} {
		err := fail(reason, errors.New("something"))
		if !errors.Is(err, reason) || !errors.Is(err, protocol.KindUnsupportedEngine) || protocol.HintOf(err) == "" {
			t.Errorf("%v: kind %v, hint %q", err, protocol.KindOf(err), protocol.HintOf(err))
		}
	}
}
