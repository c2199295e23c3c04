package peers

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"
)

const (
	magic = "boxlite1"
	// handshakeTimeout bounds how long one who connects may keep its counterpart busy
	// before it has shown who it is.
	handshakeTimeout = 10 * time.Second
	nonceSize        = 16
	maxRequest       = 1 << 10
)

// request is what one who connects asks for.
type request struct {
	// Network is the shared network, From the name of the box that asks, To that of
	// the box that is asked.
	Network string `json:"network"`
	From    string `json:"from"`
	To      string `json:"to"`
	// Protocol is "tcp" or "udp", Port that of the box that is asked.
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

func (r request) valid() bool {
	return namePattern.MatchString(r.Network) && namePattern.MatchString(r.From) && namePattern.MatchString(r.To) &&
		(r.Protocol == "tcp" || r.Protocol == "udp") && r.Port > 0
}

var errStranger = errors.New("the other side does not know the network's key")

// proof shows that a side knows the key, and what it says.
func proof(key []byte, side string, nonces, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s %d\n", side, len(text))
	h.Write(nonces)
	h.Write(text)
	return h.Sum(nil)
}

// ask is the side of who connects. It sends
//
//	magic, length of the request, request, nonce
//
// and gets a nonce and a proof; then it sends its own proof, and gets a byte: 0 if the
// port of the box was reached, else 1.
func ask(conn net.Conn, key []byte, r request) error {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	nonces := make([]byte, 2*nonceSize)
	_, _ = rand.Read(nonces[:nonceSize]) // never fails
	head := append([]byte(magic), 0, 0)
	binary.BigEndian.PutUint16(head[len(magic):], uint16(len(text)))
	head = append(append(head, text...), nonces[:nonceSize]...)
	if _, err := conn.Write(head); err != nil {
		return err
	}
	var answer [nonceSize + sha256.Size]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return errors.Join(errStranger, err)
	}
	copy(nonces[nonceSize:], answer[:])
	if !hmac.Equal(answer[nonceSize:], proof(key, "asked", nonces, text)) {
		return errStranger
	}
	if _, err := conn.Write(proof(key, "asks", nonces, text)); err != nil {
		return err
	}
	var status [1]byte
	if _, err := io.ReadFull(conn, status[:]); err != nil {
		return err
	}
	if status[0] != 0 {
		return errRefused
	}
	return conn.SetDeadline(time.Time{})
}

var errRefused = errors.New("the box refuses connections to that port")

// answer is the side of who is connected to. It returns what is asked for, once that
// is proven; the caller then sends the status. key returns a network's key, or nil.
func answer(conn net.Conn, key func(request) []byte) (request, error) {
	var r request
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return r, err
	}
	head := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return r, err
	}
	length := int(binary.BigEndian.Uint16(head[len(magic):]))
	if string(head[:len(magic)]) != magic || length > maxRequest {
		return r, errStranger
	}
	text, nonces := make([]byte, length), make([]byte, 2*nonceSize)
	if _, err := io.ReadFull(conn, text); err != nil {
		return r, err
	}
	if _, err := io.ReadFull(conn, nonces[:nonceSize]); err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil || !r.valid() {
		return r, errStranger
	}
	k := key(r)
	if k == nil {
		return r, errStranger
	}
	_, _ = rand.Read(nonces[nonceSize:])
	if _, err := conn.Write(append(nonces[nonceSize:len(nonces):len(nonces)], proof(k, "asked", nonces, text)...)); err != nil {
		return r, err
	}
	var theirs [sha256.Size]byte
	if _, err := io.ReadFull(conn, theirs[:]); err != nil {
		return r, err
	}
	if !hmac.Equal(theirs[:], proof(k, "asks", nonces, text)) {
		return r, errStranger
	}
	return r, nil
}
