package permit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
)

const (
	// messageMax bounds a message in bytes; an honest one has about 120.
	messageMax = 4096
	// exchangeMax bounds one exchange. They are served one after the other, so
	// it is also how long a hanging peer delays an extension; several of them
	// fit into the shortest validity.
	exchangeMax = 500 * time.Millisecond
)

// message is what the agent says: the renewal that it sent at Sent committed,
// and the permit lasts Valid (nanoseconds) from then.
type message struct {
	Sent  Reading       `json:"sent"`
	Valid time.Duration `json:"valid"`
}

// answer is empty if the permit was taken.
type answer struct {
	Code  string `json:"code,omitempty"` // cluster.Kind
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// Extend tells the permit process that a renewal of the node's session
// committed which was sent when sent was read. When it returns nil, the node
// holds a permit until valid after sent. The error is Unavailable if there is no
// process or it is ending, Conflict if the permit is over already.
func Extend(ctx context.Context, socket string, sent Reading, valid time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 2*exchangeMax)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return cluster.Errorf(cluster.Unavailable, "permit process: %w", err).
			WithHint("systemctl status argosy-permit")
	}
	defer func() { _ = conn.Close() }() // nothing is written that could be lost
	// The context's end closes the exchange, whatever it waits for.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	if err := json.NewEncoder(conn).Encode(message{sent, valid}); err != nil {
		return cluster.Errorf(cluster.Unavailable, "permit process: %w", err)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(conn, messageMax)).Decode(&a); err != nil {
		return cluster.Errorf(cluster.Unavailable, "permit process: answer: %w", err)
	}
	if a.Error != "" {
		return cluster.Errorf(cluster.ParseKind(a.Code), "%s", a.Error).WithHint(a.Hint)
	}
	return nil
}

// listen makes the socket. A file that a killed process left is replaced; a
// process that still answers is not.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	var dialer net.Dialer
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return nil, cluster.Errorf(cluster.Exists, "another permit process serves %s", path)
	}
	if err := removeIfThere(path); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// serveOne answers one connection. Its error is that of the listener: what is
// wrong with a message goes to the one who sent it.
func serveOne(listener *net.UnixListener, offer func(grant) error) error {
	conn, err := listener.AcceptUnix()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is written that could be lost
	if err := conn.SetDeadline(time.Now().Add(exchangeMax)); err != nil {
		return err
	}
	var a answer
	if err := take(conn, offer); err != nil {
		a = answer{cluster.KindOf(err).String(), err.Error(), cluster.HintOf(err)}
	}
	// A peer that does not wait for its answer harms only itself.
	_ = json.NewEncoder(conn).Encode(a)
	return nil
}

// take reads a message and offers its permit.
func take(conn *net.UnixConn, offer func(grant) error) error {
	if err := checkPeer(conn); err != nil {
		return err
	}
	m, err := readMessage(conn)
	if err != nil {
		return err
	}
	return offer(grant{m.Sent, m.Valid})
}

// readMessage reads one message and nothing else: a field that this version
// does not know could mean a permit that is narrower than it looks.
func readMessage(r io.Reader) (message, error) {
	decoder := json.NewDecoder(io.LimitReader(r, messageMax))
	decoder.DisallowUnknownFields()
	var m message
	if err := decoder.Decode(&m); err != nil {
		return message{}, cluster.Errorf(cluster.Invalid, "permit message: %v", err)
	}
	return m, nil
}

// checkPeer refuses everyone but root and the user that the process runs as. The
// mode of the socket says the same; this holds also for the instant before it
// was set.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if peerErr != nil {
		return fmt.Errorf("who is calling: %w", peerErr)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return cluster.Errorf(cluster.Denied, "only root extends a permit, not user %d", peer.Uid)
	}
	return nil
}
