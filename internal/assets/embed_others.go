//go:build !amd64

package assets

// There is no guest for this architecture yet.
const guestAgent, bootDigests, baseRootfs = "", "", ""
