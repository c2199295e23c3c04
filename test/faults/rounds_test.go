package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/boxlite-go/boxlite/test/damage"
)

// How many random rounds there are, and what they begin with, so that what failed
// once can be done again.
const (
	roundsVariable = "BOXLITE_FAULT_ROUNDS"
	seedVariable   = "BOXLITE_FAULT_SEED"
	defaultRounds  = 10
)

// TestRounds does something bad to one and the same box, again and again, at
// random. What its commands have ever written and synced stays there.
func TestRounds(t *testing.T) {
	t.Parallel()
	rounds, seed := number(t, roundsVariable, defaultRounds), number(t, seedVariable, rand.Uint64())
	t.Logf("%d rounds; %s=%d does the same ones again", rounds, seedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	home := newHome(t)
	written := []string{"0"}
	for i := range rounds {
		var fault string
		mayRun := false
		if random.IntN(4) == 0 {
			fault = spoil(t, home, random)
		} else {
			k := kills()[random.IntN(len(kills()))]
			// A write before whatever comes, and after it if the creator lives.
			k.steps = []string{"start", fmt.Sprintf("write %d", 2*i+1), "stop"}
			if random.IntN(2) == 0 {
				k.steps = slices.Insert(k.steps, 2, fmt.Sprintf("write %d", 2*i+2))
			}
			fault, mayRun = k.name(), k.runsOn()
			written = append(written, strike(t, home, k)...)
		}
		t.Logf("round %d: %s; %d files", i, fault, len(written))
		check(t, home, written, mayRun)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds: 0 leaked, 0 lost", rounds)
}

// spoil damages a file of a home in which no box runs, and that is made again from
// others, and says which.
func spoil(t *testing.T, home string, random *rand.Rand) string {
	t.Helper()
	var files []string
	for _, pattern := range []string{
		"boxes/*/state.json", "boxes/*/exit.json", "images/index.json", "images/index.json.spare",
		"images/disks/*", "init/probe.json", "init/rootfs/*/initrd.cpio",
	} {
		found, err := filepath.Glob(filepath.Join(home, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	ways := []string{"cut in half", "emptied", "flipped", "noise", "removed"}
	file, way := files[random.IntN(len(files))], ways[random.IntN(len(ways))]
	if filepath.Base(file) == "initrd.cpio" && (way == "flipped" || way == "noise") {
		way = "removed" // its content is not checked at every start
	}
	if err := damage.Ways[way](file); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(file) + " " + way
}

// number returns the value of an environment variable.
func number[N int | uint64](t *testing.T, variable string, otherwise N) N {
	t.Helper()
	text, ok := os.LookupEnv(variable)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return N(n)
}
