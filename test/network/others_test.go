//go:build !linux

package network

import "testing"

func TestNetwork(t *testing.T) {
	t.Skip("networks for tests are made of Linux's namespaces")
}
