package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"argosy/internal/loop"
)

// receiveBuffer is how much of what comes at once the kernel keeps until it is read: what
// it allows by itself is a few hundred datagrams, of which a burst loses others' too.
const receiveBuffer = 4 << 20

// listener answers at one address, over UDP and TCP.
type listener struct {
	server  *Server
	address netip.AddrPort

	mu      sync.Mutex
	problem string // why it does not answer, "" if it does
	bound   netip.AddrPort
	opened  func() // called each time that it begins to answer; may be nil
}

// step answers until ctx ends or a socket fails. The loop then tries again: who has taken
// the port may give it back.
func (l *listener) step(ctx context.Context) (time.Duration, error) {
	udp, tcp, err := l.open(ctx)
	if err != nil {
		err = l.explain(err)
		l.set(err.Error(), netip.AddrPort{})
		return 0, err
	}
	l.set("", udp.LocalAddr().(*net.UDPAddr).AddrPort())
	if l.opened != nil {
		l.opened()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.server.serveUDP(ctx, udp) })
	group.Go(func() error { return l.server.serveTCP(ctx, tcp) })
	err = group.Wait()
	l.set(fmt.Sprintf("names are not answered at %s: %v", l.address, err), netip.AddrPort{})
	return loop.Never, err
}

// open takes the port for both, or for none.
func (l *listener) open(ctx context.Context) (*net.UDPConn, net.Listener, error) {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.address))
	if err != nil {
		return nil, nil, err
	}
	growBuffer(udp)
	address := netip.AddrPortFrom(l.address.Addr(), udp.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	tcp, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address.String())
	if err != nil {
		_ = udp.Close()
		return nil, nil, err
	}
	return udp, tcp, nil
}

// growBuffer makes room for bursts, as much as root may have, or else as the kernel allows.
func growBuffer(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	forced := errors.New("not tried")
	_ = raw.Control(func(fd uintptr) {
		forced = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	})
	if forced != nil {
		_ = conn.SetReadBuffer(receiveBuffer) // smaller than wanted is no reason not to answer
	}
}

// explain says what an administrator can do about it.
func (l *listener) explain(err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("names are not answered at %s: another program has the port (ss -lunpt 'sport = %d' shows it; see also [Resolve] in argosy help config)",
			l.address, l.address.Port())
	}
	return fmt.Errorf("names are not answered at %s: %w", l.address, err)
}

func (l *listener) set(problem string, bound netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem, l.bound = problem, bound
}

// state returns why the listener does not answer, or where it does.
func (l *listener) state() (problem string, bound netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem, l.bound
}
