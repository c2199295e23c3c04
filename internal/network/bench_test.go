package network

import (
	"io"
	"net"
	"testing"
)

const benchBlock = 1 << 20

// BenchmarkUpload is TCP from a guest's stack through ours to a socket of the host.
func BenchmarkUpload(b *testing.B) {
	done := make(chan int64, 1)
	port := listen(b, func(conn net.Conn) {
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, benchBlock))
		done <- n
	})
	g := boot(b, allowHost(port))
	conn := g.mustDial(b, alias(port))
	block := make([]byte, benchBlock)
	b.SetBytes(benchBlock)
	for b.Loop() {
		if _, err := conn.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	conn.CloseWrite()
	<-done
}

// BenchmarkDownload is the other direction.
func BenchmarkDownload(b *testing.B) {
	port := listen(b, func(conn net.Conn) {
		block := make([]byte, benchBlock)
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	})
	g := boot(b, allowHost(port))
	conn := g.mustDial(b, alias(port))
	block := make([]byte, benchBlock)
	b.SetBytes(benchBlock)
	for b.Loop() {
		if _, err := io.ReadFull(conn, block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnect is a short connection: made, used, closed.
func BenchmarkConnect(b *testing.B) {
	port := listen(b, echoServer)
	g := boot(b, allowHost(port))
	for b.Loop() {
		conn, err := g.dial(b, alias(port))
		if err != nil {
			b.Fatal(err)
		}
		io.WriteString(conn, "x")
		io.ReadFull(conn, make([]byte, 1))
		conn.Close()
	}
}
