// Package measure is what benchmarks share that compare two things in one run, and print a
// table in Markdown: how long things take, medians, rows.
package measure

import (
	"fmt"
	"slices"
	"time"
)

// Row prints one line of the table. What has the bar "-" is only told.
func Row(what, measured, with, bar string, met bool) {
	verdict := "met"
	switch {
	case bar == "-":
		verdict = ""
	case !met:
		verdict = "**not met**"
	}
	fmt.Printf("| %s | %s | %s | %s | %s |\n", what, measured, with, bar, verdict)
}

// Timed returns how long do takes.
func Timed(do func() error) (time.Duration, error) {
	began := time.Now()
	err := do()
	return time.Since(began), err
}

// Median returns the median of at least one duration.
func Median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[len(sorted)/2]
}

// InTurn measures a and b alternately, after one unmeasured round of each, and
// returns their medians.
func InTurn(runs int, a, b func() (time.Duration, error)) (medianA, medianB time.Duration, err error) {
	var as, bs []time.Duration
	for i := range runs + 1 {
		x, err := a()
		if err != nil {
			return 0, 0, err
		}
		y, err := b()
		if err != nil {
			return 0, 0, err
		}
		if i > 0 {
			as, bs = append(as, x), append(bs, y)
		}
	}
	return Median(as), Median(bs), nil
}

// Counter counts what is written to it.
type Counter int64

// Write never fails.
func (c *Counter) Write(p []byte) (int, error) {
	*c += Counter(len(p))
	return len(p), nil
}
