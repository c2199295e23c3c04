package jail

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// A test may be several processes: the others are this program again.
func TestMain(m *testing.M) {
	if os.Args[0] == Name {
		os.Exit(Main())
	}
	goleak.VerifyTestMain(m)
}
