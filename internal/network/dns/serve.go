package dns

import (
	"context"
	"net"
	"sync"
	"time"
)

// Bounds of one flow from the guest.
const (
	idle        = 30 * time.Second
	maxParallel = 32 // questions of one socket
)

// ServeUDP answers the queries of one UDP flow, until ctx or the flow ends, or nothing
// has come for half a minute. It closes conn.
func (s *Server) ServeUDP(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	parallel := make(chan struct{}, maxParallel)
	buffer := make([]byte, maxQuery+1)
	for {
		conn.SetReadDeadline(time.Now().Add(idle))
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		select {
		case parallel <- struct{}{}:
		default:
			continue // datagrams may be lost: the guest asks again
		}
		query := append([]byte(nil), buffer[:n]...)
		wait.Go(func() {
			defer func() { <-parallel }()
			if answer := s.Answer(ctx, query, false); answer != nil {
				conn.Write(answer) // an answer may be lost, too
			}
		})
	}
}

// ServeTCP answers the queries of one TCP connection, one after the other, until ctx or
// the connection ends, or nothing has come for half a minute. It closes conn.
func (s *Server) ServeTCP(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	for {
		conn.SetDeadline(time.Now().Add(idle))
		query, err := readTCP(conn, maxQuery)
		if err != nil {
			return
		}
		answer := s.Answer(ctx, query, true)
		if answer == nil || writeTCP(conn, answer) != nil {
			return
		}
	}
}
