// Package boxlite runs commands in boxes: small virtual machines, each with a
// kernel and a disk of its own, made from any OCI image.
//
// There is no daemon to install and nothing to download but images: kernel,
// guest agent and a small base image are inside the package, and the program
// that imports it is all that runs.
//
//	rt, err := boxlite.Open(boxlite.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer rt.Close()
//	box, err := rt.Create(ctx, boxlite.BoxSpec{Image: "boxlite/base"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	out, err := box.Command("uname", "-r").Output(ctx)
//
// # Boxes
//
// A [Runtime] is a handle on one home folder, ~/.boxlite unless
// [Options] names another. A [Box] is a virtual machine that the home
// remembers: [Runtime.Create] writes it down, the first use fetches its image
// and boots it, [Box.Stop] shuts it down, and [Runtime.Get] finds it again by
// name, ID, or the beginning of its ID.
//
// Whatever a box writes to its disk is there after stop and start. Only
// [Box.Remove] deletes it.
//
// # Commands
//
// [Box.Command] returns a [Command], which is used like [os/exec.Cmd]: set
// Stdin, Stdout, Stderr, Env and Dir, then call Run, Output, or Start and Wait.
// A command that ends with another code than 0 gives an [*ExitError]. Where
// os/exec takes the context at construction, these methods take it when they
// are called; when it ends, the command is killed, with its process group.
//
// [Command.Timeout] and [Limits] bound what a command may take, [Command.Usage]
// tells what it has taken. One that is Detached outlives the program:
// [Box.Executions] lists what runs, and [Box.AttachExecution] joins it again, at any
// offset of its output that is kept.
//
// Commands of one box share its files, processes and memory. Commands of two
// boxes share nothing.
//
// # Files
//
// [Box.CopyIn] and [Box.CopyOut] copy files and folders by the rules of docker cp,
// [Box.CopyTarIn] and [Box.CopyTarOut] copy tars. [Box.FS] gives the files of a box
// the methods of [io/fs] and package os, and [FS.Watch] tells what happens to them.
// [Box.Diff] lists what differs from the image. All of this sees what the box's own
// processes see, also in /tmp and /dev/shm.
//
// # The main process
//
// By default a box has no command of its own: it idles until it is stopped, and
// serves commands. With [BoxSpec.Cmd] or [BoxSpec.ImageCommand] it has a main
// process, as a container has: the box runs while that runs, [Box.Wait] tells
// how it ended, [Box.Logs] what it wrote, and [Box.Attach] joins its standard
// streams.
//
// A [HealthCheck], the box's own or its image's, tells whether the box is well:
// see [BoxInfo.Health].
//
// # Who lives how long
//
// A box ends with the program that started it, however that ends, unless
// [BoxSpec.Detach] is set. A detached box runs on, and any other program that
// opens the same home can use and stop it. [Runtime.Close] stops the boxes that
// this Runtime has started and that are not detached.
//
// A box whose run has ended unasked is started again by the Runtime that started
// it, while that is open, if [BoxSpec.Restart] says so.
//
// Any number of programs may have one home open at once.
//
// # Images
//
// [BoxSpec.Image] is a reference as registries have it ("debian:12",
// "ghcr.io/owner/name@sha256:…"), or an image on this host: "oci:DIR[:REF]" for
// an OCI layout, "docker-archive:FILE" for the output of docker save,
// "rootfs:FILE" for a tar of a root file system, or a folder. "boxlite/base", the
// default, needs no network: it is part of this package. A name that says no
// registry is looked for in [Options.Registries], or docker.io. [Runtime.Images]
// fetches, lists and removes images.
//
// # Events
//
// What is done to boxes, by any program that uses the home, is recorded in the
// home's logs/audit.jsonl. [Runtime.Events] reads it, and follows what happens.
//
// # Metrics
//
// [Box.Metrics] tells what a box has done and uses, on the host and in the guest;
// [Box.Processes] lists what runs in it. [Runtime.WritePrometheus] writes all of
// it for Prometheus, and [Options.Tracer] gets spans of each start.
//
// # Errors
//
// Errors are of type [*Error]: a kind, what was tried, on which box, the cause,
// and often a hint that says what to do. Kinds are errors themselves:
//
//	if errors.Is(err, boxlite.ErrImage) { … }
//
// A command that the box doesn't have also matches [io/fs.ErrNotExist], one that
// can't be executed [io/fs.ErrPermission].
//
// # How the package takes over your program
//
// Each running box is held by a process of its own, the shim. It is your
// program's executable again, started under the name boxlite-shim; an init
// function of this package then runs the shim instead of your main function. If
// that can't be, because your program is a plugin or does much in other init
// functions, set [Options.ShimPath] to the boxlite command.
//
// # What is not there yet
//
// Boxes have no network. There are no volumes, no snapshots, and no REST server.
// Nothing starts a detached box again once the program that started it has ended.
// Files of a box that was made to run one command, and has run it, can be had only
// by starting it again.
package boxlite
