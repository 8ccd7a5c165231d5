package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

const versionExample = `  argosy version
  argosy --version`

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    "Print the version of this program, as the version control system stamped it.",
		Example: versionExample,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.printf("%s", a.versionLine())
			return nil
		},
	}
}

// versionLine is what the verb says, and the flag --version of every command line.
func (a *app) versionLine() string {
	if a.fleet() {
		return fmt.Sprintf("%s version %s\n", a.name, buildVersion())
	}
	return fmt.Sprintf("%s %s %s/%s\n", a.name, buildVersion(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion returns the stamp of the build: the tag, or the commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "devel-" + setting.Value[:min(12, len(setting.Value))]
		}
	}
	return "devel"
}
