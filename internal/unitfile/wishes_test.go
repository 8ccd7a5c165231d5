package unitfile_test

import (
	"strings"
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
		{"near and away of what one glob covers", "a.service", "Near=db@*.service\nAway=db*", "line 3: error: Near=db@*.service is matched by the unit's own Away=db* (take one of them out)"},
		{"near what must be elsewhere", "a.service", "Near=db.service\n[X-Fleet]\nConflicts=d?.service", "line 4: error: Near=db.service is matched by the unit's own Conflicts=d?.service (take one of them out)"},
		{"near what is replaced", "a.service", "Near=db.service\n[X-Fleet]\nReplaces=*", "line 4: error: Near=db.service is matched by the unit's own Replaces=* (take one of them out)"},
		{"near itself", "a@1.service", "\nNear=%n", "line 3: error: Near=a@1.service is the unit itself, which does not count (name the unit that it is to be near to)"},
		{"near a template", "a.service", "Near=db@.service", "line 2: error: Near=db@.service is a template, which is never placed (for any instance of it, write db@*.service)"},
		{"a label that is there and not", "a.service", "Require=gpu, !gpu", "line 2: error: no node can meet both Require=gpu and Require=!gpu (take one of them out)"},
		{"a label that has a value and is not there", "a.service", "Require=!disk\nRequire=zone=a\nRequire=disk=ssd", "line 4: error: no node can meet both Require=!disk and Require=disk=ssd (take one of them out)"},
		{"two values of one label", "a.service", "Require=disk=ssd\nRequire=disk=hdd", "line 3: error: no node can meet both Require=disk=ssd and Require=disk=hdd (for either of them, write Require=disk in (a, b))"},
		{"a number above and below", "a.service", "Require=mem>=64G, mem<=32G", "line 2: error: no node can meet both Require=mem>=64G and Require=mem<=32G (take one of them out)"},
		{"three lists without a common value", "a.service", "Require=z in (1, 2), z in (2, 3), z in (1, 3)", "line 2: error: no node can meet Require=z in (1, 2) and Require=z in (2, 3) and Require=z in (1, 3) (take one of them out)"},
		{"another value than fleet's option demands", "a.service", "Require=disk=hdd\n[X-Fleet]\nMachineMetadata=disk=ssd disk=nvme", "line 4: error: no node can meet both MachineMetadata=disk in (nvme, ssd) and Require=disk=hdd (for either of them, write Require=disk in (a, b))"},
		{"a number without an end", "a.service", "Require=x>1" + strings.Repeat("0", 300) + "E", "line 2: error: no node can meet Require=x>1" + strings.Repeat("0", 57) + "… (take one of them out)"},
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

// What only looks as if it could not be obeyed is taken.
func TestWishesThatCanBe(t *testing.T) {
	for _, tt := range []struct {
		name string
		unit cluster.UnitName
		text string
	}{
		{"near one instance of those that it keeps away", "a.service", "Near=db@*.service\nAway=db@?.service"},
		{"globs of which neither covers the other", "a.service", "Near=db@[12].service\nAway=*1*"},
		{"a wish to be near what must be elsewhere", "a.service", "Near=-db.service\nAway=db.service"},
		{"near what should be elsewhere", "a.service", "Near=db.service\nAway=-db.service"},
		{"near the other instances", "a@1.service", "Near=a@*.service"},
		{"a template whose instances will differ", "a@.service", "Near=a@1%i.service\nRequire=slot=1%i, slot=11"},
		{"numbers that leave one", "a.service", "Require=mem>=32G, mem<=32768M"},
		{"a number that can be written otherwise", "a.service", "Require=n>=1, n<=1, n!=1"},
		{"all but some", "a.service", "Require=zone, zone!=a, zone not in (b, c)"},
		{"not there, and not of a value", "a.service", "Require=!zone, zone!=a"},
		{"a list that fleet's option cuts", "a.service", "Require=disk in (ssd, hdd)\n[X-Fleet]\nMachineMetadata=disk=ssd disk=nvme"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := unitfile.Check(tt.unit, "[X-Argosy]\n"+tt.text+"\n[Service]\nExecStart=/bin/true\n"); len(got) > 0 {
				t.Errorf("%v", got)
			}
		})
	}
}

// As many demands as a file may have are judged as fast as a few.
func TestManyDemandsOnOneLabel(t *testing.T) {
	line := "Require=" + strings.TrimSuffix(strings.Repeat("a!=b, ", 80), ", ") + "\n"
	text := "[X-Argosy]\n" + strings.Repeat(line, 63) + "Require=!a, a\n[Service]\nExecStart=/bin/true\n"
	want := []string{"line 65: error: no node can meet both Require=!a and Require=a (take one of them out)"}
	if diff := cmp.Diff(want, lines(unitfile.Check("a.service", text))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
