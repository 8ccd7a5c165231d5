package systemdtest_test

import (
	"testing"

	"argosy/internal/systemd/systemdtest"
)

func TestFakeConforms(t *testing.T) {
	systemdtest.Run(t, func(*testing.T) systemdtest.Node {
		f := systemdtest.NewFake()
		f.AddHost("host.service", "[Service]\nExecStart=/bin/sleep infinity\n")
		f.AddAlias("alias.service", "host.service")
		return systemdtest.Node{Manager: f, Journal: f, Host: "host.service", Alias: "alias.service"}
	})
}
