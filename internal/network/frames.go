package network

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/boxlite-go/boxlite/internal/network/filter"
	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/network/local"
)

// limiter returns a limit of bytes per second, or nil for none. A tenth of a second's
// worth passes at once, and a frame always can.
func limiter(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(max(perSecond/10, link.MaxFrame)))
}

// wait waits until n bytes may pass.
func wait(ctx context.Context, limit *rate.Limiter, n int) {
	if limit != nil {
		_ = limit.WaitN(ctx, n) // it fails only when the network is closed
	}
}

// receive takes frames from the guest until there are no more.
func (n *Network) receive(endpoint link.Endpoint) {
	for {
		if err := endpoint.Receive(n.frame); err != nil {
			if n.ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				n.log.Error("guest's network link failed", "err", err)
			}
			n.nic.Shutdown()
			endpoint.Close()
			return
		}
		n.capture.Flush()
	}
}

// frame handles one frame from the guest. Waiting here makes the guest wait.
func (n *Network) frame(frame []byte) {
	wait(n.ctx, n.up, len(frame))
	n.counters.UpPackets.Add(1)
	n.counters.UpBytes.Add(int64(len(frame)))
	if n.capture != nil {
		n.capture.Frame(time.Now(), frame)
	}
	class, reason := filter.Judge(frame)
	switch class {
	case filter.Stack:
		n.nic.Deliver(frame)
	case filter.ARP:
		n.answer(local.ARP(frame))
	case filter.DHCP:
		n.answer(n.lease.DHCP(frame))
	case filter.Echo:
		n.echo(frame)
	case filter.Drop:
		n.drop(frame, reason)
	}
}

func (n *Network) answer(frame []byte) {
	if frame != nil {
		n.nic.Inject(frame)
	}
}

// drop counts a frame that goes nowhere, and tells of it unless every system sends such.
func (n *Network) drop(frame []byte, reason filter.Reason) {
	first := n.counters.Drop(string(reason))
	if reason == filter.Chatter || !first {
		return
	}
	addr := filter.Target(frame)
	n.denials.Add(Denial{Kind: "frame", Addr: netip.AddrPortFrom(addr.Addr(), addr.Port()), Rule: "(" + string(reason) + ")"})
}

// transmit passes frames to the guest until the network ends.
func (n *Network) transmit(endpoint link.Endpoint) {
	err := n.nic.Transmit(func(frames []link.Frame) error {
		size := 0
		for _, frame := range frames {
			one := 0
			for _, piece := range frame {
				one += len(piece)
			}
			wait(n.ctx, n.down, one)
			size += one
			if n.capture != nil {
				n.capture.Frame(time.Now(), frame...)
			}
		}
		n.counters.DownPackets.Add(int64(len(frames)))
		n.counters.DownBytes.Add(int64(size))
		n.capture.Flush()
		return endpoint.Send(frames)
	})
	if err != nil && n.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		n.log.Debug("guest takes no more frames", "err", err)
	}
}
