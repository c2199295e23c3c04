//go:build !linux && !darwin

package engines

// bootID is not known.
func bootID() string { return "" }
