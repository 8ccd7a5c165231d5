package node

import (
	"net"
	"testing"
)

func TestAPortIsFreeIfNobodyListensThere(t *testing.T) {
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ports := []uint16{stream.Addr().(*net.TCPAddr).AddrPort().Port(), packets.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
	for _, port := range ports {
		if portFree(port) {
			t.Errorf("%d is free, and somebody listens there", port)
		}
	}
	_, _ = stream.Close(), packets.Close()
	for _, port := range ports {
		if !portFree(port) {
			t.Errorf("%d is not free, and nobody listens there any more", port)
		}
	}
}
