package kvmlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/vmm/kvmprobe"
)

// Job is a command to be run where /dev/kvm works.
type Job struct {
	// Command and its arguments. It runs in the folder that $LAB names, as root if it
	// is the lab's, and with no input.
	Command []string
	// Files are copied to $LAB, with all that is below them: paths here by names there.
	Files map[string]string
	// Env is added to the environment, as NAME=VALUE.
	Env []string
	// Stdout and Stderr get what the command writes, at once.
	Stdout, Stderr io.Writer
	// Out is a folder that gets what the command leaves in $LAB/out, unless it is empty.
	Out string
	// CPUs and MemoryMiB are the lab's: 1 and 3072, if they are 0. With more CPUs, guests
	// of the lab fail now and then.
	CPUs, MemoryMiB int
	// Emulate uses the lab even where the host's /dev/kvm works.
	Emulate bool
	// Console gets what the lab's kernel says. If it is nil, that is part of the
	// error when the machine fails.
	Console io.Writer
}

// Run does a job and returns the exit status of its command. An error means that
// there is none: the machine failed, or ctx ended. Nothing is left of it then.
func Run(ctx context.Context, job Job) (int, error) {
	if len(job.Command) == 0 {
		return 0, errors.New("the job has no command")
	}
	if job.Stdout == nil {
		job.Stdout = io.Discard
	}
	if job.Stderr == nil {
		job.Stderr = io.Discard
	}
	if !job.Emulate && kvmprobe.Probe(ctx) == nil {
		return job.runHere(ctx)
	}
	if runtime.GOARCH != "amd64" {
		return 0, errors.New("the lab needs an amd64 host, or one with a working /dev/kvm")
	}
	return job.runInLab(ctx)
}

// runHere does the job on the host.
func (j Job) runHere(ctx context.Context) (int, error) {
	dir, err := os.MkdirTemp("", "kvmlab-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for name, path := range j.Files {
		if err := copyTree(filepath.Join(dir, name), path); err != nil {
			return 0, err
		}
	}
	out := filepath.Join(dir, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 0, err
	}
	// exec looks for a path with a slash from here, not from the command's folder.
	path := j.Command[0]
	if strings.Contains(path, "/") && !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	cmd := exec.CommandContext(ctx, path, j.Command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LAB="+dir), j.Env...)
	cmd.Stdout, cmd.Stderr = j.Stdout, j.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = runWithParent(cmd)
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil && (!errors.As(err, &exit) || !exit.Exited()) {
		return 0, err
	}
	if j.Out != "" {
		if err := os.CopyFS(j.Out, os.DirFS(out)); err != nil {
			return 0, err
		}
	}
	return cmd.ProcessState.ExitCode(), nil
}

// runWithParent runs a command that dies when this process does.
func runWithParent(cmd *exec.Cmd) error {
	// The signal comes when the thread ends that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return cmd.Run()
}

// copyTree copies a file, or a folder with all that is in it.
func copyTree(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// script is the job as a shell script for the lab.
func (j Job) script() string {
	var b strings.Builder
	for _, e := range append([]string{"PATH=/usr/sbin:/usr/bin", "HOME=/root", "LAB=/lab"}, j.Env...) {
		fmt.Fprintf(&b, "export %s\n", quote(e))
	}
	b.WriteString("cd /lab\nexec")
	for _, word := range j.Command {
		b.WriteString(" " + quote(word))
	}
	return b.String() + "\n"
}

// quote makes one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
