//go:build amd64

package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// server speaks with the shim.
type server struct {
	conn *net.UnixConn

	mu sync.Mutex // while a message is written
}

func newServer(file *os.File) (*server, error) {
	conn, err := socketOf(file)
	if err != nil {
		return nil, fmt.Errorf("the control connection: %w", err)
	}
	return &server{conn: conn}, nil
}

// request is a request, with the file that came with it, if one did.
type request struct {
	control.Request
	file *os.File
}

// receive waits for the next request.
func (s *server) receive() (request, error) {
	message, rights := make([]byte, control.MaxMessage), make([]byte, unix.CmsgSpace(4))
	n, nRights, flags, _, err := s.conn.ReadMsgUnix(message, rights)
	if err != nil {
		return request{}, err
	}
	if n == 0 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return request{}, errors.New("the control connection was closed, or a message is too long")
	}
	var r request
	if err := json.Unmarshal(message[:n], &r.Request); err != nil {
		return request{}, fmt.Errorf("read a request: %w", err)
	}
	r.file, err = received(rights[:nRights])
	return r, err
}

// received returns the file that came with a message, or nil.
func received(rights []byte) (*os.File, error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("a request came with more than a descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(errors.New("a request has no descriptor, or too many"), err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "received"), nil
}

// serve does what is asked for, until the shim has gone away: then the machine ends.
func (s *server) serve(m *machine) {
	for {
		r, err := s.receive()
		if err != nil {
			m.vm.Stop(errors.New("the shim has ended"))
			return
		}
		s.answer(r, s.do(m, r))
	}
}

func (s *server) do(m *machine, r request) error {
	switch r.Op {
	case control.OpDial:
		if r.file == nil {
			return errors.New("no descriptor came with the request")
		}
		return m.dial(r.Port, r.file)
	case control.OpPause:
		m.pause()
	case control.OpResume:
		m.resume()
	case control.OpSave:
		if r.file == nil {
			return errors.New("no descriptor came with the request")
		}
		defer r.file.Close()
		return m.save(r.file)
	default:
		return fmt.Errorf("there is no request %q", r.Op)
	}
	return nil
}

// answer says what became of a request. Who doesn't hear it has ended.
func (s *server) answer(r request, err error) {
	a := control.Answer{ID: r.ID}
	if err != nil {
		a.Error = err.Error()
	}
	_ = s.send(a)
}

func (s *server) send(a control.Answer) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.conn.Write(text)
	return err
}
