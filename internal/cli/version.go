package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

const versionExample = `  argosy version`

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    "Print the version of this program, as the version control system stamped it.",
		Example: versionExample,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.fleet() {
				a.printf("%s version %s\n", a.name, buildVersion())
				return nil
			}
			a.printf("%s %s %s/%s\n", a.name, buildVersion(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
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
