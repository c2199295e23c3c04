// Package boxlitev1 is the Go code of the gRPC services that library, shim and
// guest agent speak. It is generated from the .proto files beside it, which
// describe the services.
package boxlitev1
