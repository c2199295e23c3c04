package boxlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite"
)

func Example() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Create(ctx, boxlite.BoxSpec{Image: "debian:12", CPUs: 2, MemoryMiB: 1024})
	if err != nil {
		log.Fatal(err)
	}
	out, err := box.Command("cat", "/etc/os-release").Output(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(out))
}

func ExampleRuntime_GetOrCreate() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	// The same box each time the program runs, with what it left on its disk.
	box, created, err := rt.GetOrCreate(ctx, boxlite.BoxSpec{Name: "workspace"})
	if err != nil {
		log.Fatal(err)
	}
	if created {
		err = box.Command("sh", "-c", "date > /root/made").Run(ctx)
	} else {
		err = box.Command("cat", "/root/made").Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleBox_Command() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Get(ctx, "workspace")
	if err != nil {
		log.Fatal(err)
	}
	c := box.Command("sort", "-u")
	c.Dir = "/tmp"
	c.Env = []string{"LC_ALL=C"}
	c.Stdin = strings.NewReader("b\na\nb\n")
	c.Stdout = os.Stdout
	c.Stderr = os.Stderr
	err = c.Run(ctx)
	var exit *boxlite.ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Println("sort failed with code", exit.Code)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("this image has no sort")
	case err != nil:
		log.Fatal(err)
	}
}

// Code that nobody has read yet is bounded in time, memory and processes.
func ExampleCommand_timeout() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Get(ctx, "sandbox")
	if err != nil {
		log.Fatal(err)
	}
	c := box.Command("python3", "untrusted.py")
	c.Timeout = 10 * time.Second
	c.Limits = boxlite.Limits{MemoryMiB: 256, CPUs: 0.5, Processes: 20}
	out, err := c.Output(ctx)
	switch exit, ok := errors.AsType[*boxlite.ExitError](err); {
	case ok && exit.TimedOut:
		fmt.Println("it took too long")
	case ok && exit.OutOfMemory:
		fmt.Println("it wanted too much memory")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Printf("%s (%v of CPU time)\n", out, c.Usage().UserTime)
}

// A command is started by one program, and joined by another.
func ExampleBox_AttachExecution() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Get(ctx, "dev")
	if err != nil {
		log.Fatal(err)
	}
	running, err := box.Executions(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range running {
		fmt.Println(e.ID, e.Args, e.CPUTime)
		c := box.AttachExecution(e.ID)
		c.Stdout, c.StdoutOffset = os.Stdout, e.StdoutBytes-1000 // the end of it, and what follows
		if err := c.Run(ctx); err != nil {
			log.Print(err)
		}
	}
}

func ExampleCommand_Signal() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Get(ctx, "workspace")
	if err != nil {
		log.Fatal(err)
	}
	c := box.Command("sleep", "1000")
	if err := c.Start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Wait()) // ended by SIGTERM
}

func ExampleBox_Wait() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	// A box that runs one command, as a container does.
	box, err := rt.Create(ctx, boxlite.BoxSpec{Cmd: []string{"sh", "-c", "echo working; sleep 1; exit 3"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Start(ctx); err != nil {
		log.Fatal(err)
	}
	exit, err := box.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("it ended with code", exit.Code)
	for line, err := range box.Logs(ctx, boxlite.LogOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(line.Text)
	}
}

func ExampleImages_Pull() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{Mirrors: map[string][]string{"docker.io": {"mirror.example.com"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	image, err := rt.Images().Pull(ctx, "alpine:3.20", boxlite.PullOptions{
		Progress: func(p boxlite.Progress) { fmt.Println(p.Phase, p.Layer, p.Done, p.Total) },
	})
	if errors.Is(err, boxlite.ErrImage) {
		log.Fatal(err, boxlite.HintOf(err))
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Digest)
}

func ExampleBox_FS() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Create(ctx, boxlite.BoxSpec{})
	if err != nil {
		log.Fatal(err)
	}
	files := box.FS(ctx)
	if err := files.WriteFile("root/main.py", []byte("print(6*7)\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	matches, err := fs.Glob(files, "etc/*.conf")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(matches)
}

func ExampleBox_CopyOut() {
	ctx := context.Background()
	rt, err := boxlite.Open(boxlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Get(ctx, "build")
	if err != nil {
		log.Fatal(err)
	}
	// What is in the folder, without the folder itself.
	if err := box.CopyOut(ctx, "/work/dist/.", "dist", boxlite.CopyOptions{}); err != nil {
		log.Fatal(err)
	}
}
