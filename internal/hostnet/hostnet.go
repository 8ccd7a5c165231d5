// Package hostnet drives the network of a host: namespaces, bridges, links and
// packet filters. Every call says what is wanted, and does nothing if that is
// already so.
//
// A namespace is known by its name, as iproute2 knows it (/run/netns/NAME).
package hostnet

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
)

// folder is where namespaces are kept by name.
const folder = "/run/netns"

// Path returns where a namespace can be opened.
func Path(namespace string) string { return filepath.Join(folder, namespace) }

// Namespaces lists the namespaces whose names begin with a prefix, sorted.
func Namespaces(prefix string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// CreateNamespace makes a namespace whose loopback is up.
func CreateNamespace(name string) error {
	if !isNamespace(Path(name)) {
		// A file without a namespace is what a killed process has left.
		if err := os.Remove(Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := onOwnThread(func() error {
			handle, err := netns.NewNamed(name)
			if err != nil {
				return err
			}
			return handle.Close()
		})
		if err != nil {
			return fmt.Errorf("make network namespace %s: %w", name, err)
		}
	}
	return in(name, func(h *netlink.Handle, _ netns.NsHandle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return err
		}
		return h.LinkSetUp(lo)
	})
}

// isNamespace reports whether a namespace is mounted on a file.
func isNamespace(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// onOwnThread runs f on a thread that is given up afterwards, because f changes
// the thread's namespace.
func onOwnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread with the goroutine
		done <- f()
	}()
	return <-done
}

// DeleteNamespace removes a namespace, and with it all links in it once the
// last process has left it.
func DeleteNamespace(name string) error {
	path := Path(name)
	for isNamespace(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	err := os.Remove(path)
	if errors.Is(err, unix.EBUSY) {
		// "ip netns add" mounts the folder on itself; what was in it before lies beneath.
		return cluster.Errorf(cluster.Conflict, "namespace %s is hidden by what is mounted on %s", name, folder).WithHint("umount " + folder + ", and try again")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// in calls f with a handle to the links of a namespace.
func in(name string, f func(*netlink.Handle, netns.NsHandle) error) error {
	ns, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", name, err)
	}
	defer func() { _ = ns.Close() }()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", name, err)
	}
	defer handle.Close()
	return f(handle, ns)
}

// EnsureBridge makes a bridge in a namespace.
func EnsureBridge(namespace, name string) error {
	return in(namespace, func(h *netlink.Handle, _ netns.NsHandle) error {
		if bridge, err := h.LinkByName(name); err == nil {
			return h.LinkSetUp(bridge)
		}
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
		if err := h.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add bridge %s: %w", name, err)
		}
		return h.LinkSetUp(bridge)
	})
}

// Wire is a cable between a bridge and a namespace.
type Wire struct {
	BridgeNamespace, Bridge, Port string // the end at the bridge
	Namespace, Interface          string // the end in the namespace
	Address                       netip.Prefix
}

// EnsureWire lays a cable and gives the far end its address. It completes a
// cable that a killed process has left half-laid.
func EnsureWire(w Wire) error {
	return in(w.BridgeNamespace, func(h *netlink.Handle, _ netns.NsHandle) error {
		return in(w.Namespace, func(far *netlink.Handle, farNS netns.NsHandle) error {
			port, err := ensurePort(h, far, farNS, w)
			if err != nil {
				return err
			}
			if err := h.LinkSetUp(port); err != nil {
				return fmt.Errorf("link %s: %w", w.Port, err)
			}
			return configure(far, w)
		})
	})
}

// ensurePort returns the end at the bridge of a cable that has both ends.
func ensurePort(h, far *netlink.Handle, farNS netns.NsHandle, w Wire) (netlink.Link, error) {
	bridge, err := h.LinkByName(w.Bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", w.Bridge, err)
	}
	if port, err := h.LinkByName(w.Port); err == nil {
		if _, err := far.LinkByName(w.Interface); err == nil {
			return port, nil
		}
		// Its other end is in a namespace of an earlier life.
		if err := h.LinkDel(port); err != nil {
			return nil, fmt.Errorf("remove link %s: %w", w.Port, err)
		}
	}
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: w.Port, MasterIndex: bridge.Attrs().Index},
		PeerName:  w.Interface, PeerNamespace: netlink.NsFd(farNS),
	}
	if err := h.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("add link %s: %w", w.Port, err)
	}
	return veth, nil
}

func configure(h *netlink.Handle, w Wire) error {
	link, err := h.LinkByName(w.Interface)
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{
		IP: w.Address.Addr().AsSlice(), Mask: net.CIDRMask(w.Address.Bits(), w.Address.Addr().BitLen()),
	}}
	if err := h.AddrReplace(link, address); err != nil {
		return fmt.Errorf("address of %s: %w", w.Interface, err)
	}
	return h.LinkSetUp(link)
}

// loopback is the link that is the host's own.
const loopback = "lo"

// EnsureOwnAddress gives the host itself an address, which nobody else can reach.
func EnsureOwnAddress(a netip.Addr) error {
	link, err := netlink.LinkByName(loopback)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, ownAddress(a)); err != nil {
		return fmt.Errorf("address %s of %s: %w", a, loopback, err)
	}
	return nil
}

// RemoveOwnAddress takes it away again; it is no error if there is none.
func RemoveOwnAddress(a netip.Addr) error {
	link, err := netlink.LinkByName(loopback)
	if err != nil {
		return err
	}
	if err := netlink.AddrDel(link, ownAddress(a)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("address %s of %s: %w", a, loopback, err)
	}
	return nil
}

func ownAddress(a netip.Addr) *netlink.Addr {
	bits := a.BitLen()
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, bits)}, Scope: int(netlink.SCOPE_HOST)}
}

// Inside calls f on a thread in a namespace. A socket that f opens stays there.
func Inside(namespace string, f func() error) error {
	return onOwnThread(func() error {
		ns, err := netns.GetFromName(namespace)
		if err != nil {
			return fmt.Errorf("open network namespace %s: %w", namespace, err)
		}
		defer func() { _ = ns.Close() }()
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", namespace, err)
		}
		return f()
	})
}
