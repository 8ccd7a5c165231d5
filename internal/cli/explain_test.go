package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/place"
)

func TestExplain(t *testing.T) {
	checks := func(metadata, memory string) []place.FilterVerdict {
		return []place.FilterVerdict{
			{Filter: "health", OK: true},
			{Filter: "MachineMetadata", OK: metadata == "", Why: metadata},
			{Filter: "Memory", OK: memory == "", Why: memory},
		}
	}
	f := &fake{explanation: place.Explanation{
		Unit: "web@1.service", Summary: "placed on node-2: the only node that fits",
		Nodes: []place.NodeVerdict{
			{Name: "node-2", Placed: true, OK: true, Checks: checks("", ""), Share: 0.25, Load: 3},
			{Name: "node-1", Checks: checks("lacks disk=ssd", ""), Share: 0.5, Crowd: 1},
			{Name: "node-3", Checks: checks("lacks disk=ssd", "lacks 1G of memory"), Share: 1.5, Load: 12},
		},
		Changes: []place.WouldFit{{Filter: "MachineMetadata", Why: "lacks disk=ssd", Nodes: []string{"node-1"}}},
	}}
	for line, want := range map[string]string{
		"argosy explain web@1": `web@1.service: placed on node-2: the only node that fits

NODE    HERE  FITS  UNITS  WHY NOT
node-2  yes   yes   3      -
node-1  -     no    0      lacks disk=ssd
node-3  -     no    12     lacks disk=ssd; lacks 1G of memory

Would fit, but for one thing:
  node-1: lacks disk=ssd (argosy node label NODE KEY=VALUE)
`,
		"argosy explain -o wide web@1": `web@1.service: placed on node-2: the only node that fits

NODE    HERE  FITS  PREFERRED  CROWD  WISHES  PROMISED  UNITS  HEALTH  MACHINEMETADATA  MEMORY
node-2  yes   yes   0          0      0       25%       3      yes     yes              yes
node-1  -     no    0          1      0       50%       0      yes     lacks disk=ssd   yes
node-3  -     no    0          0      0       150%      12     yes     lacks disk=ssd   lacks 1G of memory

Would fit, but for one thing:
  node-1: lacks disk=ssd (argosy node label NODE KEY=VALUE)
`,
	} {
		got := run(t, f, line)
		if got.code != 0 {
			t.Errorf("%s ends with %d: %s", line, got.code, got.err)
		}
		if diff := cmp.Diff(want, got.out); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}
