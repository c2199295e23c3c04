// Package assets holds what is embedded in every program that imports BoxLite:
// the guest kernel, the guest agent, the base image and an empty disk.
//
// [Unpack] writes kernel and agent to files, which a virtual machine monitor can
// boot. The base image and the empty disk are read where they are.
//
// All of it is committed, so that plain `go build` makes a complete program. The
// agent is made by `go generate`, base image and disk by the scripts beside them.
package assets

//go:generate go run ./generate
