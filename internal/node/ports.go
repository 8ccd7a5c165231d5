package node

import (
	"net"
	"strconv"
)

// portFree reports whether nobody on this node listens at a port, by TCP or by UDP, on
// any address: nobody else could then listen on all of them.
func portFree(port uint16) bool {
	address := net.JoinHostPort("", strconv.Itoa(int(port)))
	stream, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	_ = stream.Close()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	_ = packets.Close()
	return true
}
