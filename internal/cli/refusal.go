package cli

import (
	"path/filepath"
	"strings"

	"argosy/internal/cluster"
)

// refusal returns an error that names everything that keeps a text out of the
// cluster, with file and line; what only deserves a warning is added to
// warnings. The cluster checks the same again; here nothing has been sent yet.
func refusal(name cluster.UnitName, text source, warnings *[]string) error {
	lines, errors := text.findings(name)
	if errors == 0 {
		for _, line := range lines {
			*warnings = append(*warnings, strings.Replace(line, ": warning:", ":", 1))
		}
		return nil
	}
	return cluster.Errorf(cluster.Invalid, "%s cannot be a unit:\n  %s", name, strings.Join(lines, "\n  "))
}

// notFound says where a unit was looked for in vain.
func notFound(unit wanted) error {
	path := filepath.Join(unit.dir, string(unit.name))
	looked := "the cluster has no unit of this name, and there is no file " + path
	if template := unit.name.Template(); template != "" {
		looked += ", nor a template " + string(template) + " in either place"
	}
	hint := "argosy list-unit-files shows what the cluster has"
	if unit.explicit {
		hint = "a path names a unit file on this machine"
	}
	return cluster.Errorf(cluster.NotFound, "%s: %s", unit.name, looked).WithHint(hint)
}

func baseOf(path string) string { return filepath.Base(path) }
