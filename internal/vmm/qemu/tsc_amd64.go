package qemu

import "time"

// tscSpan is how long the counter is watched. Both clocks are read to some
// 50 ns, so the rate is right to about 10 parts in a million.
const tscSpan = 10 * time.Millisecond

// readTSC reads the processor's time-stamp counter.
func readTSC() uint64

// tscKHz measures the rate of the host's time-stamp counter, which is what a
// guest sees under QEMU's emulator.
func tscKHz() int {
	ticks, began := sampleTSC()
	time.Sleep(tscSpan)
	endTicks, ended := sampleTSC()
	return int(float64(endTicks-ticks) / (float64(ended.Sub(began)) / 1e6))
}

// sampleTSC reads counter and clock at the same moment: the quickest of a few
// tries was not interrupted.
func sampleTSC() (ticks uint64, at time.Time) {
	best := time.Duration(1 << 62)
	for range 8 {
		before := time.Now()
		now := readTSC()
		took := time.Since(before)
		if took < best {
			best, ticks, at = took, now, before.Add(took/2)
		}
	}
	return ticks, at
}
