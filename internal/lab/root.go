package lab

import (
	"bufio"
	"context"
	_ "embed"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"argosy/internal/cluster"
)

//go:embed root.sh
var rootScript string

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
	if _, err := cgroupRoot(); err != nil {
		return err
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
	if err := outcome(exec.CommandContext(ctx, "apt-get", "update", "-qq")); err != nil {
		return err
	}
	args := append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qq", "-y", "--no-install-recommends"}, missing...)
	return outcome(exec.CommandContext(ctx, "env", args...))
}

// checkPackages refuses what cannot be packages before anything is built.
func checkPackages(names []string) error {
	packageName := regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`) // Debian Policy 5.6.1
	for _, name := range names {
		if !packageName.MatchString(name) {
			return cluster.Errorf(cluster.Invalid, "%q cannot be the name of a Debian package", name)
		}
	}
	return nil
}

// EnsureRoot builds the root for labs of these extra packages, unless it is
// there, and returns its folder.
func EnsureRoot(ctx context.Context, cacheDir string, extra []string, note func(string, ...any)) (string, error) {
	if cacheDir == "" {
		cacheDir = DefaultCacheDir
	}
	if err := checkPackages(extra); err != nil {
		return "", err
	}
	if err := checkHost(ctx, note); err != nil {
		return "", err
	}
	// A group of its own, so that all of it ends when ctx does.
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-c", rootScript, "root.sh", cacheDir}, extra...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	progress, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	var folder strings.Builder
	cmd.Stdout = &folder
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var wrong []string
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		if reason, bad := strings.CutPrefix(lines.Text(), "E: "); bad {
			wrong = append(wrong, reason)
			continue
		}
		note("%s", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		// The first complaint is apt's; the others follow from it.
		reason := strings.Join(append(wrong, err.Error())[:1], "")
		return "", cluster.Errorf(cluster.Unavailable, "build the root of the nodes: %s", reason)
	}
	return strings.TrimSpace(folder.String()), nil
}
