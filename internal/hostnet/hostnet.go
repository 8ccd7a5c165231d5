// Package hostnet drives the network of a host: namespaces, bridges, links and
// packet filters. Every call says what is wanted, and does nothing if that is
// already so.
//
// A namespace is known by its name, as iproute2 knows it (/run/netns/NAME).
package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
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
	if handle, err := netns.GetFromName(name); err == nil {
		return handle.Close()
	}
	// A file without a namespace is what a killed process has left.
	_ = os.Remove(Path(name))
	err := onOwnThread(func() error {
		handle, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		defer func() { _ = handle.Close() }()
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	if err != nil {
		return fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return nil
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
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
		if _, err := h.LinkByName(name); err == nil {
			return nil
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

// EnsureWire lays a cable and gives the far end its address.
func EnsureWire(w Wire) error {
	return in(w.BridgeNamespace, func(h *netlink.Handle, _ netns.NsHandle) error {
		if _, err := h.LinkByName(w.Port); err == nil {
			return nil
		}
		return in(w.Namespace, func(far *netlink.Handle, farNS netns.NsHandle) error {
			bridge, err := h.LinkByName(w.Bridge)
			if err != nil {
				return fmt.Errorf("bridge %s: %w", w.Bridge, err)
			}
			veth := &netlink.Veth{
				LinkAttrs: netlink.LinkAttrs{Name: w.Port, MasterIndex: bridge.Attrs().Index},
				PeerName:  w.Interface, PeerNamespace: netlink.NsFd(farNS),
			}
			if err := h.LinkAdd(veth); err != nil {
				return fmt.Errorf("add link %s: %w", w.Port, err)
			}
			if err := h.LinkSetUp(veth); err != nil {
				return err
			}
			return configure(far, w)
		})
	})
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

// Cut is a direction in which a node's packets are lost. They are dropped, not
// refused: a dead line says nothing.
type Cut struct {
	Peer netip.Addr // zero: everybody
	In   bool       // packets from the peer
	Out  bool       // packets to the peer
}

// SetCuts makes the cuts of a namespace exactly these.
func SetCuts(ctx context.Context, namespace string, cuts []Cut) error {
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+Path(namespace), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(cutRules(cuts))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("filter packets in %s: %w: %s", namespace, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// cutRules renders cuts as an nftables script that replaces what was there.
// The loopback is never cut.
func cutRules(cuts []Cut) string {
	var b strings.Builder
	b.WriteString("table inet argosy_lab {}\ndelete table inet argosy_lab\n")
	if len(cuts) == 0 {
		return b.String()
	}
	b.WriteString("table inet argosy_lab {\n")
	for _, hook := range []struct{ name, iface, peer string }{{"input", "iifname", "saddr"}, {"output", "oifname", "daddr"}} {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority -300; policy accept;\n", hook.name, hook.name)
		for _, cut := range cuts {
			if hook.name == "input" && !cut.In || hook.name == "output" && !cut.Out {
				continue
			}
			if cut.Peer.IsValid() {
				fmt.Fprintf(&b, "\t\tip %s %s drop\n", hook.peer, cut.Peer)
			} else {
				fmt.Fprintf(&b, "\t\t%s != \"lo\" drop\n", hook.iface)
			}
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}
