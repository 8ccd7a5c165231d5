package node

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"argosy/internal/cluster"
)

// machineID returns the host's machine ID, which is the node's ID: old unit
// files name it in MachineID=.
func machineID() (cluster.NodeID, error) {
	text, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return "", cluster.Errorf(cluster.Invalid, "this host has no machine ID: %w", err).
			WithHint("run: systemd-machine-id-setup")
	}
	id := cluster.NodeID(strings.TrimSpace(string(text)))
	if err := cluster.CheckNodeID(id); err != nil {
		return "", cluster.Errorf(cluster.Invalid, "/etc/machine-id: %w", err).WithHint("run: systemd-machine-id-setup")
	}
	return id, nil
}

// ownAddress returns the address that other nodes reach this host at: that of
// the way out, or, on a host without one, the first that is not local to it.
func ownAddress() (netip.Addr, error) {
	// Connecting a datagram socket sends nothing; it only asks the routing
	// table. The address is one that is reserved for documentation.
	if conn, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		defer func() { _ = conn.Close() }()
		return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Addr().Unmap().IsGlobalUnicast() {
			return prefix.Addr().Unmap(), nil
		}
	}
	return netip.Addr{}, cluster.Errorf(cluster.Invalid, "this host has no address that others could reach").
		WithHint("set Address= in /etc/argosy/argosy.conf")
}

// bootID is the kernel's name for this boot.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// report is what this host says of itself.
func report(id cluster.NodeID, cfg Config, version string) cluster.Report {
	return cluster.Report{
		Node: id, Address: cfg.Address, Labels: cfg.Labels, Version: version,
		Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Memory: memory("/proc", "MemTotal"),
	}
}
