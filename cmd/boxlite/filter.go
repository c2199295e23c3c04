package main

import (
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite"
)

// boxFilter says which boxes to list: of each key, one of its values must fit; but
// of label, all.
type boxFilter map[string][]string

// filterKeys are what ls can filter by.
var filterKeys = []string{"id", "label", "name", "status"}

// parseFilters reads the values of --filter.
func parseFilters(texts []string) (boxFilter, error) {
	f := boxFilter{}
	for _, text := range texts {
		key, value, _ := strings.Cut(text, "=")
		switch {
		case !slices.Contains(filterKeys, key):
			return nil, usagef("--filter: %q is not one of %s", key, strings.Join(filterKeys, ", "))
		case value == "":
			return nil, usagef("--filter: %q is not KEY=VALUE", text)
		case key == "status" && !slices.Contains(statuses(), boxlite.Status(value)):
			return nil, usagef("--filter: no box is ever %q; choose one of %s", value, statusList())
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

func statusList() string {
	var names []string
	for _, s := range statuses() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func statuses() []boxlite.Status {
	return []boxlite.Status{
		boxlite.StatusConfigured, boxlite.StatusStarting, boxlite.StatusRunning, boxlite.StatusPaused,
		boxlite.StatusStopping, boxlite.StatusStopped, boxlite.StatusFailed, boxlite.StatusUnknown,
	}
}

func (f boxFilter) matches(b boxlite.BoxInfo) bool {
	some := func(key string, fits func(value string) bool) bool {
		return len(f[key]) == 0 || slices.ContainsFunc(f[key], fits)
	}
	lacks := func(label string) bool {
		key, want, valued := strings.Cut(label, "=")
		value, ok := b.Labels[key]
		return !ok || valued && value != want
	}
	return some("status", func(s string) bool { return string(b.Status) == s }) &&
		some("name", func(part string) bool { return strings.Contains(b.Name, part) }) &&
		some("id", func(prefix string) bool { return strings.HasPrefix(b.ID, prefix) }) &&
		!slices.ContainsFunc(f["label"], lacks)
}
