package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite"
)

// interruptSeconds is how long a guest counts its interrupts.
const interruptSeconds = 20

// interrupts returns which interrupts an idle guest gets, as text. Those of the command
// that looks are among them.
func interrupts(ctx context.Context, box *boxlite.Box) (string, error) {
	const script = "cat /proc/interrupts; sleep %d; echo END; cat /proc/interrupts"
	out, err := box.Command("sh", "-c", fmt.Sprintf(script, interruptSeconds)).Output(ctx)
	if err != nil {
		return "", err
	}
	text, rest, _ := strings.Cut(string(out), "END\n")
	before, after := countInterrupts(text), countInterrupts(rest)
	var found []string
	for name, n := range after {
		if n -= before[name]; n > 0 {
			found = append(found, fmt.Sprintf("%s %.2f", name, float64(n)/interruptSeconds))
		}
	}
	slices.Sort(found)
	return strings.Join(found, ", "), nil
}

// countInterrupts adds up the columns of /proc/interrupts, one for each processor.
func countInterrupts(text string) map[string]int64 {
	counts := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(line, ":")
		if !found {
			continue // which processors there are
		}
		fields := strings.Fields(rest)
		var sum int64
		for len(fields) > 0 {
			n, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				break
			}
			sum += n
			fields = fields[1:]
		}
		counts[strings.TrimSpace(name+" "+strings.Join(fields, " "))] += sum
	}
	return counts
}
