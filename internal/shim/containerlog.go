package shim

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// logMain attaches to the main process before it starts, and keeps what it
// writes in the container log.
func (p *process) logMain() error {
	file, err := os.OpenFile(filepath.Join(p.spec.Dir, dirLogs, fileContainerLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return &protocol.Error{Kind: protocol.KindStorage, Op: "open the container's log", Err: err}
	}
	stream, err := boxlitev1.NewExecutionClient(p.guest).Attach(context.Background())
	if err == nil {
		err = stream.Send(&boxlitev1.AttachRequest{Kind: &boxlitev1.AttachRequest_Open{Open: &boxlitev1.AttachOpen{
			Target: &boxlitev1.AttachOpen_Id{Id: protocol.MainExecution},
		}}})
	}
	if err != nil {
		_ = file.Close()
		return protocol.FromStatus(err)
	}
	go func() {
		defer file.Close()
		w := &criWriter{w: bufio.NewWriterSize(file, 64<<10)}
		for {
			response, err := stream.Recv()
			if err != nil {
				break
			}
			switch kind := response.GetKind().(type) {
			case *boxlitev1.AttachResponse_Stdout:
				err = w.write(0, kind.Stdout.GetData())
			case *boxlitev1.AttachResponse_Stderr:
				err = w.write(1, kind.Stderr.GetData())
			case *boxlitev1.AttachResponse_Exited:
				err = w.flush()
				_ = stream.CloseSend() // tells the agent that all has arrived
			}
			if err != nil {
				// A full disk must not stop the command: its output is dropped
				// from the log, not from those who are attached.
				p.log.Error("write the container's log", "error", err)
				w.w.Reset(file)
			}
		}
		_ = w.flush()
	}()
	return nil
}

// criWriter writes lines as the CRI log format has them:
//
//	2026-01-02T03:04:05.000000006Z stdout F text
//
// F stands for a full line; P for one whose rest follows, so that every byte of
// the stream can be had back.
type criWriter struct {
	w    *bufio.Writer
	line [2]bytes.Buffer
}

// maxLine is where longer lines are parted.
const maxLine = 16 << 10

var streamNames = [2]string{"stdout", "stderr"}

func (c *criWriter) write(stream int, p []byte) error {
	line := &c.line[stream]
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		switch {
		case n >= 0 && line.Len()+n <= maxLine:
			line.Write(p[:n])
			p = p[n+1:]
			c.emit(stream, 'F')
		case line.Len()+len(p) > maxLine:
			n = maxLine - line.Len()
			line.Write(p[:n])
			p = p[n:]
			c.emit(stream, 'P')
		default:
			line.Write(p)
			p = nil
		}
	}
	return c.w.Flush()
}

// emit writes the line gathered so far. bufio keeps the first error for Flush.
func (c *criWriter) emit(stream int, tag byte) {
	_, _ = c.w.WriteString(time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z07:00"))
	_ = c.w.WriteByte(' ')
	_, _ = c.w.WriteString(streamNames[stream])
	_, _ = c.w.Write([]byte{' ', tag, ' '})
	_, _ = c.w.Write(c.line[stream].Bytes())
	_ = c.w.WriteByte('\n')
	c.line[stream].Reset()
}

// flush writes lines that have no end yet.
func (c *criWriter) flush() error {
	for stream := range c.line {
		if c.line[stream].Len() > 0 {
			c.emit(stream, 'P')
		}
	}
	return c.w.Flush()
}
