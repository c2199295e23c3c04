package network

import (
	"bufio"
	"bytes"
	"net/http"
)

// headEnds reports whether the first request's head is complete.
func headEnds(b []byte) bool { return bytes.Contains(b, []byte("\r\n\r\n")) || bytes.Contains(b, []byte("\n\n")) }

// firstHost returns the host of the request that b begins with, or "": then it is none
// that can be judged.
func firstHost(b []byte) string {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return ""
	}
	return request.Host
}
