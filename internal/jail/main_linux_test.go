package jail

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// A test may be several processes: the others are this program again.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case Name:
		os.Exit(Main())
	case selfName:
		os.Exit(beVMM())
	}
	if path := os.Getenv(envRemove); path != "" {
		_ = os.Remove(path)
	}
	goleak.VerifyTestMain(m)
}
