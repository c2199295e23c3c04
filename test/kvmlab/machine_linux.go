package kvmlab

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// outBytes is the size of the disk that takes what the job leaves.
const outBytes = 4 << 30

// kernelLine is the lab's kernel command line. The clock ticks all the time: QEMU can lose an
// interrupt that comes while a guest is entered or left, and with timers that are set one at
// a time, nothing would happen any more.
const kernelLine = "console=ttyS0 quiet panic=-1 mitigations=off lsm=landlock tsc=reliable nohz=off highres=off"

// oneCPU is how many processors the lab has. With two, QEMU 7.2, 10.0 and 11.1 all confuse
// them when one enters or leaves a guest: of a hundred boxes, one or more stood still or went
// on with wrong registers, and sometimes the lab's kernel did. With one, none of 200 has.
const oneCPU = 1

// cpu is an AMD: QEMU emulates nothing of Intel's VMX.
const cpu = "EPYC,+svm"

// machine is the lab on its way: QEMU's command line, and the files that it gets.
type machine struct {
	args    []string
	files   []*os.File
	readers sync.WaitGroup
	writers []*os.File // QEMU's ends of pipes
	opened  []*os.File // all that must be closed
}

func (j Job) runInLab(ctx context.Context) (int, error) {
	parts, err := openParts(ctx)
	if err != nil {
		return 0, err
	}
	m := &machine{}
	defer m.close()
	m.opened = parts.files()
	jobDisk, err := unnamed()
	if err != nil {
		return 0, err
	}
	m.opened = append(m.opened, jobDisk)
	if err := j.pack(jobDisk); err != nil {
		return 0, err
	}
	m.args = []string{
		"-M", "q35", "-accel", "tcg,thread=multi", "-cpu", cpu,
		"-smp", strconv.Itoa(cmp.Or(j.CPUs, oneCPU)),
		"-m", strconv.Itoa(cmp.Or(j.MemoryMiB, 3072)),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
		"-kernel", m.give(parts.kernel), "-initrd", m.give(parts.initrd), "-append", kernelLine,
	}
	m.disk(parts.root, "snapshot=on")
	m.disk(jobDisk, "read-only=on")
	var out *os.File
	if j.Out != "" {
		if out, err = unnamed(); err != nil {
			return 0, err
		}
		m.opened = append(m.opened, out)
		if err := out.Truncate(outBytes); err != nil {
			return 0, err
		}
		m.disk(out, "cache=unsafe")
	}
	status, err := m.run(ctx, j)
	if err != nil || out == nil {
		return status, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return status, unpack(j.Out, out)
}

// run starts QEMU and waits for its end.
func (m *machine) run(ctx context.Context, j Job) (int, error) {
	console := &tail{to: j.Console}
	var status bytes.Buffer
	if err := errors.Join(
		m.stream("console", "-serial", "chardev:console", console),
		m.stream("stdout", "-device", "virtserialport,chardev=stdout,name=stdout", j.Stdout),
		m.stream("stderr", "-device", "virtserialport,chardev=stderr,name=stderr", j.Stderr),
		m.stream("status", "-device", "virtserialport,chardev=status,name=status", &status),
	); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, qemuProgram, m.args...)
	cmd.ExtraFiles = m.files
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	// The terminal's signals are for us, not for QEMU.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	err := m.runAndClose(cmd)
	if ctx.Err() != nil {
		return 0, fmt.Errorf("the job did not end: %w", ctx.Err())
	}
	code, parseErr := strconv.Atoi(strings.TrimSpace(status.String()))
	if err == nil && parseErr == nil {
		return code, nil
	}
	if err == nil {
		err = errors.New("it said nothing about the job's end")
	}
	return 0, fmt.Errorf("the lab's machine failed: %w\n%s%s", err, complaints.String(), console.text())
}

// runAndClose runs QEMU, and reads to the end what it sends.
func (m *machine) runAndClose(cmd *exec.Cmd) error {
	err := runWithParent(cmd)
	for _, f := range m.writers {
		f.Close()
	}
	m.readers.Wait()
	return err
}

// give passes a file to QEMU, and returns the name that it has there.
func (m *machine) give(f *os.File) string {
	m.files = append(m.files, f)
	return fmt.Sprintf("/proc/self/fd/%d", len(m.files)+2)
}

func (m *machine) disk(f *os.File, options string) {
	m.args = append(m.args, "-drive",
		fmt.Sprintf("if=virtio,format=raw,file=%s,file.locking=off,%s", m.give(f), options))
}

// stream adds a character device whose output goes to w.
func (m *machine) stream(name, option, value string, w io.Writer) error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	m.writers = append(m.writers, theirs)
	m.opened = append(m.opened, ours, theirs)
	m.args = append(m.args, "-chardev", fmt.Sprintf("file,id=%s,path=%s", name, m.give(theirs)), option, value)
	m.readers.Go(func() {
		if _, err := io.Copy(w, ours); err != nil {
			// Whoever reads no more must not stop the machine.
			_, _ = io.Copy(io.Discard, ours)
		}
	})
	return nil
}

func (m *machine) close() {
	for _, f := range m.opened {
		f.Close()
	}
	m.readers.Wait()
}

// unnamed makes a file that is gone as soon as nobody has it open.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "kvmlab-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// tail keeps the last of what the kernel says.
type tail struct {
	to   io.Writer
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const enough = 4096
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - enough; extra > 0 {
		t.kept = t.kept[extra:]
	}
	if t.to == nil {
		return len(p), nil
	}
	return t.to.Write(p)
}

func (t *tail) text() string { return strings.ReplaceAll(string(t.kept), "\r", "") }
