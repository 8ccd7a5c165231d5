package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// The recipe of the root that nodes share.
const (
	recipe = "1" // grows when anything below changes what is built
	suite  = "trixie"
)

// rootPackages are what every node has.
func rootPackages() []string {
	return []string{
		"systemd", "systemd-sysv", "dbus", "iproute2", "nftables", "podman", "crun", "netavark", "aardvark-dns",
		"ca-certificates", "curl", "procps", "bash-completion",
	}
}

// masked are services that have nothing to do on a lab node, or cannot do it.
func masked() []string {
	return []string{
		"systemd-modules-load.service", "netavark-dhcp-proxy.service", "netavark-dhcp-proxy.socket", "ldconfig.service",
		"systemd-journal-catalog-update.service", "systemd-firstboot.service", "systemd-update-done.service",
		"getty@.service", "console-getty.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
		"e2scrub_all.timer", "fstrim.timer",
	}
}

// hostTools are what a lab needs on its host: the program and its package.
func hostTools() [][2]string {
	return [][2]string{
		{"systemd-nspawn", "systemd-container"}, {"mmdebstrap", "mmdebstrap"}, {"nft", "nftables"},
		{"mkfs.ext4", "e2fsprogs"}, {"nsenter", "util-linux"}, {"mount", "mount"},
	}
}

// checkHost installs what is missing on a Debian host, and says what is
// missing elsewhere.
func checkHost(ctx context.Context, note func(string, ...any)) error {
	if os.Geteuid() != 0 {
		return cluster.Errorf(cluster.Denied, "a lab makes namespaces and mounts, which takes root").WithHint("run it as root")
	}
	var missing []string
	for _, tool := range hostTools() {
		if _, err := exec.LookPath(tool[0]); err != nil && !slices.Contains(missing, tool[1]) {
			missing = append(missing, tool[1])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return cluster.Errorf(cluster.Unavailable, "this host lacks %s, and has no apt-get to install them with", list).
			WithHint("install them by the means of this distribution")
	}
	note("installing %s", list)
	if err := run(ctx, "apt-get", "update", "-qq"); err != nil {
		return err
	}
	args := append([]string{"install", "-qq", "-y", "--no-install-recommends"}, missing...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return cluster.Errorf(cluster.Unavailable, "install %s: %v: %s", list, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// EnsureRoot builds the root for labs of these extra packages, unless it is
// there, and returns its folder.
func EnsureRoot(ctx context.Context, cacheDir string, extra []string, note func(string, ...any)) (string, error) {
	if cacheDir == "" {
		cacheDir = DefaultCacheDir
	}
	if err := checkHost(ctx, note); err != nil {
		return "", err
	}
	return ensureRoot(ctx, cacheDir, extra, note)
}

// ensureRoot builds the root in a folder beside and renames it when it is
// whole. Builders of the same root wait for each other.
func ensureRoot(ctx context.Context, cacheDir string, extra []string, note func(string, ...any)) (string, error) {
	packages := append(rootPackages(), extra...)
	slices.Sort(packages)
	packages = slices.Compact(packages)
	sum := sha256.Sum256([]byte(recipe + "\n" + suite + "\n" + strings.Join(append(packages, masked()...), "\n")))
	root := filepath.Join(cacheDir, "root-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(root + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	note("building the Debian root of the nodes (once, about half a minute)")
	start := time.Now()
	half := root + ".half"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	if err := buildRoot(ctx, half, packages); err != nil {
		return "", err
	}
	if err := os.Rename(half, root); err != nil {
		return "", err
	}
	note("root built after %s", time.Since(start).Round(time.Second))
	return root, nil
}

func buildRoot(ctx context.Context, dir string, packages []string) error {
	err := run(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+strings.Join(packages, ","),
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		suite, dir)
	if err != nil {
		return fmt.Errorf("build the root of the nodes: %w", err)
	}
	for _, unit := range masked() {
		if err := os.Symlink("/dev/null", filepath.Join(dir, "etc/systemd/system", unit)); err != nil {
			return err
		}
	}
	// Logs in memory only, and bounded: a node's disk is for its state.
	files := map[string]string{
		"etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\nRateLimitBurst=0\n",
		// Without controllers of version 2, podman cannot limit processes.
		"etc/containers/containers.conf": "[containers]\npids_limit = 0\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
