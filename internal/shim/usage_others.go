//go:build !linux

package shim

import "errors"

func usageOf(int) (Usage, error) { return Usage{}, errors.ErrUnsupported }
