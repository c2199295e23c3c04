package tally

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

func TestEqualDenialsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []Denial
		d := NewDenials(func(denial Denial) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, denial)
		})
		sofar := func() []Denial {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		for range 5 {
			d.Add(Denial{Kind: "dns", Name: "a"})
		}
		d.Add(Denial{Kind: "dns", Name: "b"})
		if told := sofar(); len(told) != 2 || told[0].Count != 1 || told[1].Name != "b" {
			t.Fatalf("at first: %+v", told)
		}
		<-time.After(period)
		synctest.Wait()
		if told := sofar(); len(told) != 3 || told[2].Name != "a" || told[2].Count != 4 {
			t.Fatalf("after a minute: %+v", told)
		}
		d.Add(Denial{Kind: "dns", Name: "a"})
		d.Add(Denial{Kind: "dns", Name: "a"})
		d.Close()
		if told := sofar(); len(told) != 5 || told[4].Count != 1 || d.Total() != 8 {
			t.Fatalf("in the end: %+v", told)
		}
		d.Add(Denial{Kind: "dns", Name: "c"})
		if told := sofar(); len(told) != 5 {
			t.Error("told after the end")
		}
	})
}

func TestDenialsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, others := 0, 0
		d := NewDenials(func(denial Denial) {
			if told++; denial.Rule == "(others)" {
				others = denial.Count
			}
		})
		for i := range 1000 {
			d.Add(Denial{Kind: "dns", Name: fmt.Sprint(i)})
		}
		d.Close()
		if told != most+1 || others != 1000-most {
			t.Errorf("told of %d, and %d others", told, others)
		}
	})
}

func TestDestinationsAreLimited(t *testing.T) {
	var c Counters
	for i := range 3000 {
		c.To(fmt.Sprint(i), 1, policy.TCP).Up.Add(1)
	}
	all := c.Stats().Destinations
	if len(all) != maxDestinations {
		t.Fatalf("%d destinations", len(all))
	}
	var flows int64
	for _, d := range all {
		flows += d.Flows
		if d.Host == others && d.UpBytes != 3000-maxDestinations+1 {
			t.Errorf("others: %+v", d)
		}
	}
	if flows != 3000 {
		t.Errorf("%d flows", flows)
	}
}
