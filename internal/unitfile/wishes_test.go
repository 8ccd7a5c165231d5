package unitfile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

const gib = 1 << 30

func TestWishes(t *testing.T) {
	type placing = unitfile.Placing
	for _, tt := range []struct {
		name string
		unit cluster.UnitName
		text string
		want placing
	}{
		{"replicas of a template", "web@.service", "[X-Argosy]\nReplicas=3", placing{Replicas: 3}},
		{"an instance has its template's text", "web@2.service", "[X-Argosy]\nReplicas=3", placing{Replicas: 3}},
		{"CPU in cores", "a.service", "[X-Argosy]\nCPU=1.5", placing{CPU: 1500}},
		{"CPU in thousandths", "a.service", "[X-Argosy]\nCPU=250m", placing{CPU: 250}},
		{"CPU from the quota", "a.service", "[Service]\nCPUQuota=20%", placing{CPU: 200}},
		{"CPU before the quota", "a.service", "[Service]\nCPUQuota=200%\n[X-Argosy]\nCPU=0.5", placing{CPU: 500}},
		{"no CPU in spite of a quota", "a.service", "[Service]\nCPUQuota=200%\n[X-Argosy]\nCPU=0", placing{}},
		{"the last CPU counts", "a.service", "[X-Argosy]\nCPU=1\nCPU=2", placing{CPU: 2000}},
		{"memory", "a.service", "[X-Argosy]\nMemory=1.5G", placing{Memory: 3 * gib / 2}},
		{"memory from the maximum", "a.service", "[Service]\nMemoryHigh=1G\nMemoryMax=2G", placing{Memory: 2 * gib}},
		{"memory from where it is throttled", "a.service", "[Service]\nMemoryHigh=1G", placing{Memory: gib}},
		{"memory of a socket's section", "a.socket", "[Service]\nMemoryMax=1G\n[Socket]\nMemoryMax=2G\nListenStream=1", placing{Memory: 2 * gib}},
		{"a part of the machine is no request", "a.service", "[Service]\nMemoryMax=10%", placing{}},
		{"no limit is no request", "a.service", "[Service]\nMemoryMax=infinity", placing{}},
		{"requirements of several lines are all demanded", "a.service", "[X-Argosy]\nRequire=zone in (b,a), !gpu\nRequire=disk=ssd", placing{Require: []unitfile.Requirement{
			{Key: "disk", Values: []string{"ssd"}}, {Key: "gpu", Op: unitfile.Absent}, {Key: "zone", Values: []string{"a", "b"}},
		}}},
		{"preferences, weighed or not", "a.service", "[X-Argosy]\nPrefer=10 disk=ssd, !gpu\nPrefer=zone=a", placing{Prefer: []unitfile.Preference{
			{Weight: 10, Labels: []unitfile.Requirement{{Key: "disk", Values: []string{"ssd"}}, {Key: "gpu", Op: unitfile.Absent}}},
			{Weight: 1, Labels: []unitfile.Requirement{{Key: "zone", Values: []string{"a"}}}},
		}}},
		{"spread over several labels, one of them a wish", "a@1.service", "[X-Argosy]\nSpread=zone -rack", placing{Spread: []unitfile.Domain{
			{Label: "zone"}, {Label: "rack", Soft: true},
		}}},
		{"near and away, by demand and by wish", "a@1.service", "[X-Argosy]\nNear=db.service -cache@*.service\nAway=%p@*.service", placing{
			Near: []unitfile.Peers{{Glob: "cache@*.service", Soft: true}, {Glob: "db.service"}},
			Away: []unitfile.Peers{{Glob: "a@*.service"}},
		}},
		{"priority", "a.service", "[X-Argosy]\nPriority=-7", placing{Priority: -7}},
		{"a service that its own policy restarts", "a.service", "[Service]\nRestart=on-failure\nRestartPreventExitStatus=2 SIGTERM\nRestartPreventExitStatus=7", placing{
			Restarts: true, FinalExits: []int{2, 7},
		}},
		{"a service that is restarted when it ends well only", "a.service", "[Service]\nRestart=on-success", placing{}},
		{"an instance has values of its own", "a@7.service", "[X-Argosy]\nPriority=%i\nRequire=slot=%i", placing{
			Priority: 7, Require: []unitfile.Requirement{{Key: "slot", Values: []string{"7"}}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, findings := unitfile.PlacingOf(tt.unit, mustParse(t, tt.text))
			if err := unitfile.Refusal(tt.unit, findings); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWishesThatCannotBe(t *testing.T) {
	for _, tt := range []struct {
		name string
		unit cluster.UnitName
		text string // of [X-Argosy], from line 2 on
		want string
	}{
		{"replicas that are no number", "a@.service", "Replicas=many", "line 2: error: Replicas=many: write a whole number from 0 to 10000"},
		{"too many replicas", "a@.service", "Replicas=10001", "line 2: error: Replicas=10001: write a whole number from 0 to 10000"},
		{"replicas of what is no template", "a.service", "Replicas=3", "line 2: error: Replicas= belongs in a template (submit the file as a@.service)"},
		{"CPU that is no number", "a.service", "CPU=lots", `line 2: error: CPU=: "lots" is not a number of cores (write for instance 2, 0.5 or 500m)`},
		{"negative CPU", "a.service", "CPU=-1", `line 2: error: CPU=: "-1" is not a number of cores (write for instance 2, 0.5 or 500m)`},
		{"more CPU than there is", "a.service", "CPU=10001", `line 2: error: CPU=: "10001" is not a number of cores (write for instance 2, 0.5 or 500m)`},
		{"memory that is no number", "a.service", "Memory=10 apples", `line 2: error: Memory=: "10 apples" is not a number (write for instance 512M, 1.5G or 4096)`},
		{"negative memory", "a.service", "Memory=-1G", "line 2: error: Memory=: no machine has -1G of memory"},
		{"more memory than there is", "a.service", "Memory=2E", "line 2: error: Memory=: no machine has 2E of memory"},
		{"a requirement that is none", "a.service", "\nRequire=disk~ssd", `line 3: error: Require=: "disk~ssd" is no label expression: the key is followed by nothing that is known (write for instance disk=ssd, zone!=a, zone in (a, b), zone not in (a, b), gpu, !gpu or mem>=32G, and a comma between several)`},
		{"a weight that is none", "a.service", "Prefer=0 disk=ssd", "line 2: error: Prefer=0 disk=ssd: a weight is from 1 to 100"},
		{"a label that is none", "a.service", "Spread=zo=ne", "line 2: error: Spread=zo=ne: a label's key has letters, digits and _ . - / (write for instance Spread=zone)"},
		{"a glob that is none", "a.service", "Near=-web[", `line 2: error: Near="web[" is not a glob (globs know * ? [a-z] and \ before a character that stands for itself)`},
		{"a priority beyond the limit", "a.service", "Priority=1001", "line 2: error: Priority=1001: write a whole number from -1000 to 1000"},
		{"near and away of the same", "a.service", "Near=db.service\nAway=db*", "line 3: error: Near=db.service is matched by the unit's own Away=db* (take one of them out)"},
		{"a global unit that is spread", "a.service", "Spread=zone\n[X-Fleet]\nGlobal=yes", "line 4: error: Global= cannot be combined with Spread=: a global unit takes every node that it may (take one of them out)"},
		{"a key that is not known", "a.service", "Replica=3", "line 2: error: unknown key Replica= in [X-Argosy] (did you mean Replicas=?)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "[X-Argosy]\n" + tt.text + "\n[Service]\nExecStart=/bin/true\n"
			if diff := cmp.Diff([]string{tt.want}, lines(unitfile.Check(tt.unit, text))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
