package jail

import "testing"

func TestRlimitsAlone(t *testing.T) {
	holdsAlone(t, Rlimits, "open files without end", "make a file too large", "reserve addresses without end")
}
