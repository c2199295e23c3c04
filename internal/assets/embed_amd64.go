package assets

import _ "embed" // for the variables below

var (
	//go:embed guest_linux_amd64.zst
	guestAgent string
	// bootDigests names the kernel and agent that are embedded.
	//
	//go:embed boot.sum
	bootDigests string
	//go:embed base/base_amd64.tar.zst
	baseRootfs string
)
