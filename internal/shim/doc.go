// Package shim is both sides of the process that holds one running box.
//
// The library's side ([Start], [Connect], [Client]) starts a shim, or finds the
// one that runs, and asks it things. The other side ([Main]) is the shim: it
// starts the virtual machine, prepares the guest and the container, keeps the
// logs, joins clients to the agent, and writes how the run ended.
//
// # Life of a shim
//
// The library starts the executable it is part of again, under the name
// boxlite-shim, in a session of its own. The shim reads its [Spec] from standard
// input, so that nothing of it shows in a list of processes. The library holds
// the other end open: when it ends, by whatever cause, an attached box's shim
// sees the end of its input, and shuts the box down. A detached box's shim does
// not mind.
//
// # Files
//
// All in the box's folder:
//
//	shim.json            process ID, start time, protocol version
//	shim.sock            gRPC: the Shim service
//	portal.sock          streams to ports of the guest; the agent's services are on one
//	exit.json            how the last run ended; exit.json.new keeps space for it
//	health.json          what the latest health check found
//	logs/console.log     the guest's console
//	logs/container.log   what the main process wrote, a line each
//	logs/shim.log        what went wrong in the shim
package shim

// Name is what the shim's process is called: argv[0] of an executable that is to
// call [Main].
const Name = "boxlite-shim"

// The files of a running box.
const (
	fileIdentity     = "shim.json"
	fileSocket       = "shim.sock"
	filePortal       = "portal.sock"
	fileExit         = "exit.json"
	fileHealth       = "health.json"
	dirLogs          = "logs"
	fileConsoleLog   = "console.log"
	fileContainerLog = "container.log"
	fileShimLog      = "shim.log"
)
