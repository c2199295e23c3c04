package shim

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// TestUnusedConnectionsAreNotWaitedFor: the end of a shim does not depend on
// clients that have connected and never asked.
func TestUnusedConnectionsAreNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	listener, err := listenUnix(dir, fileSocket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	boxlitev1.RegisterShimServer(server, boxlitev1.UnimplementedShimServer{})
	conns := &unusedConns{Listener: listener}
	served := make(chan error)
	go func() { served <- server.Serve(conns) }()

	unused, err := dialUnix(dir, fileSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	used, err := dialUnix(dir, fileSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	client, err := newConn(used, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// The second connection is accepted after the first.
	_, err = boxlitev1.NewShimClient(client).Status(context.Background(), &boxlitev1.StatusRequest{})
	if protocol.KindOf(rpc.FromStatus(err)) != protocol.KindUnsupported {
		t.Fatal(err)
	}

	conns.closeUnused()
	server.GracefulStop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	// It ends after what gRPC says to everyone.
	if _, err := io.Copy(io.Discard, unused); err != nil {
		t.Errorf("read from a connection that was closed: %v", err)
	}
}
