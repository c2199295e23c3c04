package shim

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/boxlite-go/boxlite/internal/logfile"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// maxContainerLog is how large a file of the container log may get.
	maxContainerLog = 10 << 20
	// OlderContainerLogs is how many files are kept beside the current one.
	OlderContainerLogs = 2
)

// logMain attaches to the main process before it starts, and keeps what it
// writes in the container log.
func (p *process) logMain() error {
	files := logfile.Files{Path: filepath.Join(p.spec.Dir, dirLogs, fileContainerLog), Older: OlderContainerLogs}
	file, err := logfile.OpenWriter(files, maxContainerLog)
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
		return rpc.FromStatus(err)
	}
	go func() {
		defer file.Close()
		w := &criWriter{w: file}
		failing := false // a full disk is told of once, not with each line
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
				if !failing {
					p.log.Error("write the container's log", "error", err)
				}
				failing = true
				continue
			}
			failing = false
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
	w    io.Writer // gets whole lines
	out  []byte    // lines for w
	line [2]bytes.Buffer
}

const (
	// maxLine is where longer lines are parted.
	maxLine = 16 << 10
	// maxBatch is how much is written at once.
	maxBatch = 64 << 10
)

var streamNames = [2]string{"stdout", "stderr"}

func (c *criWriter) write(stream int, p []byte) error {
	line := &c.line[stream]
	var failed error
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		tag := byte('F')
		switch {
		case n >= 0 && line.Len()+n <= maxLine:
			line.Write(p[:n])
			p = p[n+1:]
		case line.Len()+len(p) > maxLine:
			n = maxLine - line.Len()
			line.Write(p[:n])
			p = p[n:]
			tag = 'P'
		default:
			line.Write(p)
			return cmp.Or(c.send(), failed)
		}
		if err := c.emit(stream, tag); err != nil {
			failed = err
		}
	}
	return cmp.Or(c.send(), failed)
}

// emit adds the line gathered so far to what is to be written.
func (c *criWriter) emit(stream int, tag byte) error {
	c.out = time.Now().UTC().AppendFormat(c.out, "2006-01-02T15:04:05.000000000Z07:00")
	c.out = append(c.out, ' ')
	c.out = append(c.out, streamNames[stream]...)
	c.out = append(c.out, ' ', tag, ' ')
	c.out = append(c.out, c.line[stream].Bytes()...)
	c.out = append(c.out, '\n')
	c.line[stream].Reset()
	if len(c.out) < maxBatch-maxLine {
		return nil
	}
	return c.send()
}

// send writes what there is. What can't be written is dropped.
func (c *criWriter) send() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.w.Write(c.out)
	c.out = c.out[:0]
	return err
}

// flush writes lines that have no end yet.
func (c *criWriter) flush() error {
	var failed error
	for stream := range c.line {
		if c.line[stream].Len() > 0 {
			failed = cmp.Or(c.emit(stream, 'P'), failed)
		}
	}
	return cmp.Or(c.send(), failed)
}
