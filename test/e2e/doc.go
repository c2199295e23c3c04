// Package e2e tests the real command and the public API with real machines:
// scripts in testdata/script, and Go tests beside them.
//
// The tests run one after the other, or a few at once; each has a home of its
// own, and nothing of it is left running.
package e2e
