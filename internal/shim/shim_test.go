package shim

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

func TestSpecSurvivesThePipe(t *testing.T) {
	sent := Spec{
		BoxID: "abc", Dir: "/home/x/boxes/abc", Detached: true, WaitForAttach: true,
		Machine: vmm.Capability{Engine: "qemu", Accelerator: "tcg"},
		VM:      vmm.Spec{Kernel: "k", CPUs: 2, Disks: []vmm.Disk{{Path: "a\nb", Serial: "s", ReadOnly: true}}},
		Container: &boxlitev1.ContainerInitRequest{
			Env: []string{"A=line\nline", "B=\"ü\""}, Main: &boxlitev1.Process{Args: protocol.Bytes([]string{"sh"})},
		},
	}
	var wire bytes.Buffer
	if err := sent.send(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := receiveSpec(&wire)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got.Container, sent.Container) {
		t.Errorf("container %v, want %v", got.Container, sent.Container)
	}
	if got.BoxID != sent.BoxID || !got.Detached || !got.WaitForAttach || got.Machine != sent.Machine ||
		len(got.VM.Disks) != 1 || got.VM.Disks[0] != sent.VM.Disks[0] {
		t.Errorf("got %+v, want %+v", got, sent)
	}
}

func TestSpecTooLarge(t *testing.T) {
	spec := Spec{Dir: "/x", Container: &boxlitev1.ContainerInitRequest{Env: []string{strings.Repeat("x", maxSpec)}}}
	if err := spec.send(io.Discard); !errors.Is(err, protocol.KindInvalidArgument) {
		t.Errorf("error %v, want invalid argument", err)
	}
}

func FuzzReceiveSpec(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"dir":"/x","container":{"env":["A=b"]}}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if spec, err := receiveSpec(bytes.NewReader(line)); err == nil && (spec.Dir == "" || spec.Container == nil) {
			t.Errorf("accepted %q as %+v", line, spec)
		}
	})
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	if err := writeIdentity(dir, os.Getpid(), []string{"/nowhere/boxlite-x"}); err != nil {
		t.Fatal(err)
	}
	id, err := readIdentity(dir)
	if err != nil || id.PID != os.Getpid() || !id.alive() {
		t.Fatalf("identity %+v of this process: %v", id, err)
	}
	id.Start += "0"
	if id.alive() {
		t.Error("a process that started at another time counts as this one")
	}
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := processStart(cmd.Process.Pid)
	if err == nil { // it may have ended already, and be a zombie
		_ = cmd.Wait()
		if (identity{PID: cmd.Process.Pid, Start: start}).alive() {
			t.Error("a process that has ended counts as alive")
		}
	}
}

func TestSocketUnderLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := listenUnix(dir, fileSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(filepath.Join(dir, fileSocket))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v; want mode 0600", info, err)
	}
	conn, err := dialUnix(dir, fileSocket)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestExitRecord(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadExit(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a record: %v", err)
	}
	want := &boxlitev1.ExitRecord{Reason: ReasonExited, Status: &boxlitev1.ExitStatus{Code: 143, Signal: 15}}
	if err := writeExit(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadExit(dir)
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, fileExit), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadExit(dir); !errors.Is(err, protocol.KindStorage) {
		t.Errorf("a damaged record: %v", err)
	}
}

// TestContainerLogKeepsEveryByte puts the lines of a CRI log together again.
func TestContainerLogKeepsEveryByte(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine+5)
	var file bytes.Buffer
	w := &criWriter{w: &file}
	wrote := [2]string{}
	for i, text := range []string{"one\ntw", "error\n", "o\n\n", long, "more\n" + long + "\n", "\x00\xff\nno end"} {
		stream := i % 2
		if i > 1 {
			stream = 0
		}
		if err := w.write(stream, []byte(text)); err != nil {
			t.Fatal(err)
		}
		wrote[stream] += text
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	read := map[string]string{}
	for line := range strings.Lines(file.String()) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		text := fields[3]
		if fields[2] == "F" {
			text += "\n"
		}
		if len(text) > maxLine+1 {
			t.Errorf("a line of %d bytes", len(text))
		}
		read[fields[1]] += text
	}
	for stream, name := range streamNames {
		if read[name] != wrote[stream] {
			t.Errorf("%s: %d bytes came out of %d, or other ones", name, len(read[name]), len(wrote[stream]))
		}
	}
}

// A shim is found by who listens at its socket, whatever its file says.
func TestShimIsFoundBySocket(t *testing.T) {
	for name, content := range map[string]string{
		"no file": "", "damaged": `{"pid": 12`, "of nobody": `{"pid": 999999999, "start": "x", "version": 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if content != "" {
				if err := os.WriteFile(filepath.Join(dir, fileIdentity), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if id, err := findShim(dir); err == nil && id.alive() {
				t.Errorf("found %+v where nobody is", id)
			}
			l, err := listenUnix(dir, fileSocket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if id, err := findShim(dir); err != nil || id.PID != os.Getpid() || !id.alive() {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

// Space for the exit record is set aside when a box starts, and is used for it.
func TestExitRecordHasItsSpace(t *testing.T) {
	dir := t.TempDir()
	if err := reserveExit(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadExit(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is set aside counts as a record: %v", err)
	}
	if err := writeExit(dir, &boxlitev1.ExitRecord{Reason: ReasonVMM}); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadExit(dir); err != nil || got.GetReason() != ReasonVMM {
		t.Errorf("got %v, %v", got, err)
	}
	if names, err := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("there are %v, %v", names, err)
	}
}
