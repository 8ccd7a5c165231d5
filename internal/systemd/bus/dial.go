package bus

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// Where systemd listens.
const (
	privateSocket = "unix:path=/run/systemd/private"
	systemSocket  = "unix:path=/run/dbus/system_bus_socket"
)

// dial connects to systemd: directly, or else over the system bus.
func dial(ctx context.Context) (*dbus.Conn, error) {
	conn, direct := connect(ctx, privateSocket)
	if direct == nil {
		if direct = knock(ctx, conn); direct == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
	conn, err := connect(ctx, systemSocket)
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w; over the system bus: %w", direct, err)
	}
	if err := conn.Hello(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("greet the system bus: %w", err)
	}
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchInterface(managerIface), dbus.WithMatchObjectPath(managerPath)},
		{dbus.WithMatchInterface(propsIface), dbus.WithMatchPathNamespace(managerPath + "/unit")},
	} {
		if err := conn.AddMatchSignalContext(ctx, rule...); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("ask for systemd's signals: %w", err)
		}
	}
	return conn, nil
}

// connect connects and proves who we are. Signals are delivered in order and
// none is dropped: a lost JobRemoved would leave its caller waiting.
func connect(ctx context.Context, address string) (*dbus.Conn, error) {
	conn, err := dbus.Dial(address, dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// knock returns once systemd answers. A message that reaches its private
// socket together with the end of the authentication lies there until the next
// one arrives (seen with systemd 257), so that the first may need a second.
func knock(ctx context.Context, conn *dbus.Conn) error {
	var err error
	for wait := 10 * time.Millisecond; wait < 10*time.Second; wait *= 2 {
		ping, cancel := context.WithTimeout(ctx, wait)
		err = conn.Object(busName, managerPath).CallWithContext(ping, "org.freedesktop.DBus.Peer.Ping", 0).Err
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}
