package files

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/protocol/archive"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// testRoot is a folder that stands for a container's root.
type testRoot struct {
	dir  string
	open int
}

func (r testRoot) Open(path string, flags int, mode uint32) (int, error) {
	return unix.Openat2(r.open, path, &unix.OpenHow{
		Flags: uint64(flags) | unix.O_CLOEXEC, Mode: uint64(mode), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func (r testRoot) Owner() (uid, gid uint32, err error) {
	return uint32(os.Geteuid()), uint32(os.Getegid()), nil
}

func mustDo(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// newService serves a fresh root. Beside it is a secret that nothing may change.
func newService(t testing.TB, layers Layers) (*Service, testRoot, boxlitev1.FilesClient) {
	t.Helper()
	top := t.TempDir()
	root := testRoot{dir: filepath.Join(top, "root")}
	mustDo(t, os.Mkdir(root.dir, 0o755), os.Mkdir(top+"/secret", 0o755), os.WriteFile(top+"/secret/file", []byte("precious"), 0o644))
	t.Cleanup(func() {
		names, err := os.ReadDir(top + "/secret")
		text, e := os.ReadFile(top + "/secret/file")
		if err != nil || e != nil || len(names) != 1 || string(text) != "precious" {
			t.Errorf("outside are %v, %q, %v, %v", names, text, err, e)
		}
		if names, err := os.ReadDir(top); err != nil || len(names) != 2 {
			t.Errorf("beside the root are %v, %v", names, err)
		}
	})
	var err error
	root.open, err = unix.Open(root.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	mustDo(t, err)
	t.Cleanup(func() { unix.Close(root.open) })
	s := New(layers)
	s.Serve(root)
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	boxlitev1.RegisterFilesServer(server, s)
	go func() { _ = server.Serve(l) }() // until the end of the test
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	mustDo(t, err)
	t.Cleanup(func() { conn.Close() })
	return s, root, boxlitev1.NewFilesClient(conn)
}

// trap fills a root with what leads elsewhere, or blocks.
func trap(t testing.TB, root testRoot) {
	t.Helper()
	dir := root.dir
	mustDo(t, os.Mkdir(dir+"/etc", 0o755), os.WriteFile(dir+"/etc/passwd", []byte("mine"), 0o644),
		os.Symlink("../../../../../etc/passwd", dir+"/up"), os.Symlink("/etc/passwd", dir+"/absolute"),
		os.Symlink("../secret", dir+"/out"), os.Symlink("/proc/self/root", dir+"/magic"), os.Symlink("loop", dir+"/loop"),
		os.Symlink(filepath.Dir(dir)+"/secret", dir+"/full"), unix.Mkfifo(dir+"/fifo", 0o666))
}

// read reads a file as the client does.
func read(t testing.TB, c boxlitev1.FilesClient, path string) (string, error) {
	t.Helper()
	stream, err := c.Open(t.Context())
	mustDo(t, err)
	mustDo(t, stream.Send(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Open{Open: &boxlitev1.FileOpen{Path: []byte(path), Read: true}}}))
	if _, err := stream.Recv(); err != nil {
		return "", rpc.FromStatus(err)
	}
	mustDo(t, stream.Send(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Read{Read: &boxlitev1.FileRead{Length: 1 << 40}}}))
	var b strings.Builder
	for {
		r, err := stream.Recv()
		mustDo(t, err)
		b.Write(r.GetData())
		if r.GetEnd() {
			mustDo(t, stream.CloseSend())
			return b.String(), nil
		}
	}
}

func TestReadingStaysInside(t *testing.T) {
	_, root, c := newService(t, Layers{})
	trap(t, root)
	for path, want := range map[string]any{
		"/etc/passwd": "mine", "/up": "mine", "/absolute": "mine", "/../../etc/passwd": "mine",
		"/out/file": fs.ErrNotExist, "/full/file": fs.ErrNotExist, "/fifo": protocol.KindUnsupported,
		"/magic/etc/passwd": fs.ErrNotExist, "/loop": unix.ELOOP, "/etc": unix.EISDIR, "etc/passwd": unix.EINVAL,
		"": unix.EINVAL, "/a\x00b": unix.EINVAL, "/" + strings.Repeat("n", 5000): unix.ENAMETOOLONG, "/etc/passwd/": unix.ENOTDIR,
	} {
		got, err := read(t, c, path)
		wantErr, fails := want.(error)
		if fails && !errors.Is(err, wantErr) || !fails && (err != nil || got != want) {
			t.Errorf("%.40q: %q, %v, want %v", path, got, err, want)
		}
	}
	r, err := c.Stat(t.Context(), &boxlitev1.FileStatRequest{Path: []byte("/up"), Follow: true})
	if err != nil || string(r.GetResolved()) != "/etc/passwd" || string(r.GetInfo().GetName()) != "passwd" {
		t.Errorf("got %v, %v", r, err)
	}
	r, err = c.Stat(t.Context(), &boxlitev1.FileStatRequest{Path: []byte("/out")})
	if err != nil || string(r.GetInfo().GetTarget()) != "../secret" || len(r.GetResolved()) > 0 {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestChangesStayInside(t *testing.T) {
	_, root, c := newService(t, Layers{})
	trap(t, root)
	for _, r := range []*boxlitev1.FileChangeRequest{
		{Path: []byte("/out/new"), Kind: &boxlitev1.FileChangeRequest_Mkdir{Mkdir: 0o755}},
		{Path: []byte("/full/new/er"), Kind: &boxlitev1.FileChangeRequest_MkdirAll{MkdirAll: 0o755}},
		{Path: []byte("/out/file"), Kind: &boxlitev1.FileChangeRequest_Remove{Remove: true}},
		{Path: []byte("/out/file"), Kind: &boxlitev1.FileChangeRequest_Chmod{Chmod: 0o777}},
		{Path: []byte("/full/file"), Kind: &boxlitev1.FileChangeRequest_Truncate{Truncate: 1}},
		{Path: []byte("/fifo"), Kind: &boxlitev1.FileChangeRequest_Truncate{Truncate: 1}},
		{Path: []byte("/etc/passwd"), Kind: &boxlitev1.FileChangeRequest_Rename{Rename: []byte("/out/file")}},
		{Path: []byte("/x"), Kind: &boxlitev1.FileChangeRequest_Link{Link: []byte("/out/file")}},
		{Path: []byte("/out/x"), Kind: &boxlitev1.FileChangeRequest_Symlink{Symlink: []byte("y")}},
		{Path: []byte("/.."), Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}},
		{Path: []byte("/"), Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}},
		{Path: []byte("/etc/."), Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}},
		{Path: []byte("/etc/passwd")},
	} {
		if _, err := c.Change(t.Context(), r); err == nil {
			t.Errorf("%v was done", r)
		}
	}
	// To remove a link leaves what it points to.
	for _, path := range []string{"/out", "/full", "/magic", "/loop"} {
		_, err := c.Change(t.Context(), &boxlitev1.FileChangeRequest{Path: []byte(path), Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}})
		mustDo(t, err)
	}
	mustDo(t, os.MkdirAll(root.dir+"/tree/"+strings.Repeat("d/", 100), 0o755), os.Symlink("../../secret", root.dir+"/tree/out"))
	for i := range 1000 {
		mustDo(t, os.WriteFile(root.dir+"/tree/d/"+strings.Repeat("n", i%200)+string(rune('a'+i%26)), nil, 0o644))
	}
	_, err := c.Change(t.Context(), &boxlitev1.FileChangeRequest{Path: []byte("/tree"), Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}})
	mustDo(t, err)
	if _, err := os.Lstat(root.dir + "/tree"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// upload sends data in pieces.
func upload(t testing.TB, c boxlitev1.FilesClient, o *boxlitev1.UploadOpen, data []byte, end bool) error {
	t.Helper()
	stream, err := c.Upload(t.Context())
	mustDo(t, err)
	err = stream.Send(&boxlitev1.UploadRequest{Kind: &boxlitev1.UploadRequest_Open{Open: o}})
	for len(data) > 0 && err == nil {
		n := min(len(data), 1000)
		err = stream.Send(&boxlitev1.UploadRequest{Kind: &boxlitev1.UploadRequest_Data{Data: data[:n]}})
		data = data[n:]
	}
	if end && err == nil {
		err = stream.Send(&boxlitev1.UploadRequest{Kind: &boxlitev1.UploadRequest_End{End: true}})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	return rpc.FromStatus(err)
}

func TestUpload(t *testing.T) {
	_, root, c := newService(t, Layers{})
	trap(t, root)
	source := t.TempDir()
	mustDo(t, os.WriteFile(source+"/file", bytes.Repeat([]byte("content"), 1000), 0o644))
	dir, err := unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	mustDo(t, err)
	defer unix.Close(dir)
	var tar bytes.Buffer
	mustDo(t, archive.Pack(t.Context(), &tar, dir, "file", "passwd", archive.PackOptions{}))
	into := &boxlitev1.UploadOpen{Path: []byte("/etc")}
	if err := upload(t, c, into, tar.Bytes()[:4000], false); err == nil {
		t.Error("half a tar is taken for a whole")
	}
	// A tar that seems to be complete is not, without the word for it.
	if err := upload(t, c, into, tar.Bytes()[:0], false); err == nil {
		t.Error("nothing is taken for a tar")
	}
	if got, err := os.ReadFile(root.dir + "/etc/passwd"); err != nil || string(got) != "mine" {
		t.Errorf("got %.20q, %v", got, err)
	}
	if names, err := os.ReadDir(root.dir + "/etc"); err != nil || len(names) != 1 {
		t.Errorf("got %v, %v", names, err)
	}
	mustDo(t, upload(t, c, into, tar.Bytes(), true))
	if got, err := os.ReadFile(root.dir + "/etc/passwd"); err != nil || len(got) != 7000 {
		t.Errorf("got %.20q, %v", got, err)
	}
	for _, path := range []string{"/out", "/full", "/magic", "/nosuch", "/fifo", "etc"} {
		if err := upload(t, c, &boxlitev1.UploadOpen{Path: []byte(path)}, tar.Bytes(), true); err == nil {
			t.Errorf("%s was unpacked into", path)
		}
	}
}

// When the container ends, nothing stays open, whatever the clients do.
func TestEnd(t *testing.T) {
	s, root, c := newService(t, Layers{})
	mustDo(t, os.WriteFile(root.dir+"/file", nil, 0o644))
	open, err := c.Open(t.Context())
	mustDo(t, err)
	mustDo(t, open.Send(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Open{Open: &boxlitev1.FileOpen{Path: []byte("/file"), Write: true}}}))
	_, err = open.Recv()
	mustDo(t, err)
	watch, err := c.Watch(t.Context(), &boxlitev1.FileWatchRequest{Path: []byte("/")})
	mustDo(t, err)
	_, err = watch.Recv()
	mustDo(t, err)
	s.End(t.Context())
	if _, err := open.Recv(); !errors.Is(rpc.FromStatus(err), protocol.KindStopped) {
		t.Errorf("got %v", err)
	}
	if _, err := watch.Recv(); !errors.Is(rpc.FromStatus(err), protocol.KindStopped) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Stat(t.Context(), &boxlitev1.FileStatRequest{Path: []byte("/")}); !errors.Is(rpc.FromStatus(err), protocol.KindStopped) {
		t.Errorf("got %v", err)
	}
	s.active.Wait()
}

// FuzzPaths: no path, whatever it is made of, leads out.
func FuzzPaths(f *testing.F) {
	for _, path := range []string{"/up", "/out/file", "/magic", "/etc/../../secret/file", "/full/x", "//", "/./..", ""} {
		f.Add(path, "/etc/x")
	}
	f.Fuzz(func(t *testing.T, path, other string) {
		_, root, c := newService(t, Layers{})
		trap(t, root)
		if text, err := read(t, c, path); err == nil && strings.Contains(text, "precious") {
			t.Errorf("%q is read", path)
		}
		for _, r := range []*boxlitev1.FileChangeRequest{
			{Kind: &boxlitev1.FileChangeRequest_Symlink{Symlink: []byte(other)}},
			{Kind: &boxlitev1.FileChangeRequest_Truncate{Truncate: 1}},
			{Kind: &boxlitev1.FileChangeRequest_Rename{Rename: []byte(other)}},
			{Kind: &boxlitev1.FileChangeRequest_MkdirAll{MkdirAll: 0o755}},
			{Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}},
		} {
			r.Path = []byte(path)
			_, _ = c.Change(t.Context(), r) // what is outside is looked at in the end
		}
	})
}
