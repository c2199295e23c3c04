//go:build !linux

package shim

import "context"

// watchClock tells of jumps of the host's clock, until ctx ends.
func watchClock(ctx context.Context) <-chan struct{} { return lookForJumps(ctx) }
