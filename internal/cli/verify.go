package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"argosy/internal/cluster"
)

const verifyLong = `Say everything that is wrong with unit files, with file and line, as the cluster
would at a submission. Nothing is sent anywhere; no cluster is needed. The exit
code is 1 if a file would be refused.`

const verifyExample = `  argosy verify hello.service
  argosy verify units/*.service`

func newVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check unit files without a cluster",
		Long:  verifyLong, Example: verifyExample,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			refused := 0
			for _, path := range args {
				text, err := readSource(path)
				if err != nil {
					return err
				}
				if text == nil {
					return cluster.Errorf(cluster.NotFound, "no file %s", path)
				}
				lines, errors := text.findings(cluster.UnitName(filepath.Base(path)))
				for _, line := range lines {
					a.printf("%s\n", line)
				}
				if errors > 0 {
					refused++
				}
			}
			if refused > 0 {
				return cluster.Errorf(cluster.Invalid, "%d of %d files would be refused", refused, len(args))
			}
			return nil
		},
	}
}
