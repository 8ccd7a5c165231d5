package unitfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

const nodeID = "148a18ff6e954cd892dac9de9bb90d5a"

func TestPlacing(t *testing.T) {
	tests := []struct {
		name string
		unit cluster.UnitName
		text string // of [X-Fleet]
		want unitfile.Placing
	}{
		{"no options ask for nothing", "a.service", "", unitfile.Placing{}},
		{"MachineID in full", "a.service", "MachineID=" + nodeID, unitfile.Placing{MachineID: nodeID}},
		{"MachineID by its first digits", "a.service", "MachineID=148a18ff", unitfile.Placing{MachineID: "148a18ff"}},
		{"an old spelling of MachineID", "a.service", "X-ConditionMachineID=148a18ff", unitfile.Placing{MachineID: "148a18ff"}},
		{"the oldest spelling of MachineID", "a.service", "X-ConditionMachineBootID=148a18ff", unitfile.Placing{MachineID: "148a18ff"}},
		{"the newest spelling of MachineID counts", "a.service", "X-ConditionMachineID=00000000\nMachineID=148a18ff", unitfile.Placing{MachineID: "148a18ff"}},
		{"the first MachineID counts", "a.service", "MachineID=148a18ff\nMachineID=00000000", unitfile.Placing{MachineID: "148a18ff"}},
		{
			"MachineOf names several, sorted, each once", "a.service", "MachineOf=c.service b.service\nX-ConditionMachineOf=c.service",
			unitfile.Placing{MachineOf: []cluster.UnitName{"b.service", "c.service"}},
		},
		{"MachineOf keeps escapes", "a.service", `MachineOf=dev\x2da.mount`, unitfile.Placing{MachineOf: []cluster.UnitName{`dev\x2da.mount`}}},
		{
			"one key several times is a choice, several keys are all demanded", "a.service",
			"MachineMetadata=\"region=us\" \"disk=ssd\"\nMachineMetadata=region=eu\nX-ConditionMachineMetadata=region=eu",
			unitfile.Placing{Metadata: []unitfile.Requirement{{Key: "disk", Values: []string{"ssd"}}, {Key: "region", Values: []string{"eu", "us"}}}},
		},
		{"a quoted pair may hold blanks", "a.service", `MachineMetadata="room=east wing"`, unitfile.Placing{Metadata: []unitfile.Requirement{{Key: "room", Values: []string{"east wing"}}}}},
		{"an empty assignment resets", "a.service", "MachineMetadata=region=us\nMachineMetadata=\nMachineMetadata=disk=ssd", unitfile.Placing{Metadata: []unitfile.Requirement{{Key: "disk", Values: []string{"ssd"}}}}},
		{"Conflicts are globs, sorted, each once", "a.service", "Conflicts=web@*.service db.service\nX-Conflicts=db.service", unitfile.Placing{Conflicts: []string{"db.service", "web@*.service"}}},
		{"Global", "a.service", "Global=true", unitfile.Placing{Global: true}},
		{"the last Global counts", "a.service", "Global=yes\nGlobal=no", unitfile.Placing{}},
		{"no Global combines with everything", "a.service", "Global=no\nMachineID=148a18ff", unitfile.Placing{MachineID: "148a18ff"}},
		{"MachineID with MachineMetadata", "a.service", "MachineID=148a18ff\nMachineMetadata=a=b", unitfile.Placing{MachineID: "148a18ff", Metadata: []unitfile.Requirement{{Key: "a", Values: []string{"b"}}}}},
		{"Global with Conflicts", "a.service", "Global=1\nConflicts=b.service", unitfile.Placing{Global: true, Conflicts: []string{"b.service"}}},
		{"specifiers of an instance", "web@2.service", "MachineOf=db@%i.service\nMachineMetadata=slot=%i\nConflicts=%p@*.service", unitfile.Placing{
			MachineOf: []cluster.UnitName{"db@2.service"}, Metadata: []unitfile.Requirement{{Key: "slot", Values: []string{"2"}}}, Conflicts: []string{"web@*.service"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, findings := unitfile.PlacingOf(tt.unit, mustParse(t, "[X-Fleet]\n"+tt.text))
			if err := unitfile.Refusal(tt.unit, findings); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("PlacingOf, -want +got:\n%s", diff)
			}
		})
	}
}

func TestPlacingFindings(t *testing.T) {
	tests := []struct {
		name string
		unit cluster.UnitName
		text string // of [X-Fleet], from line 2 on
		want []string
	}{
		{"MachineID with MachineOf", "a.service", "MachineID=148a18ff\nMachineOf=b.service", []string{
			"line 3: error: MachineID= cannot be combined with MachineOf= (take one of them out)"}},
		{"MachineID with Conflicts", "a.service", "Conflicts=b.service\n\nMachineID=148a18ff", []string{
			"line 4: error: MachineID= cannot be combined with Conflicts= (take one of them out)"}},
		{"MachineID with Global", "a.service", "MachineID=148a18ff\nGlobal=yes", []string{
			"line 3: error: MachineID= cannot be combined with Global= (take one of them out)"}},
		{"MachineID with Replaces", "a.service", "MachineID=148a18ff\nReplaces=b.service", []string{
			"line 3: error: MachineID= cannot be combined with Replaces= (take one of them out)"}},
		{"Global with MachineOf", "a.service", "Global=yes\nMachineOf=b.service", []string{
			"line 3: error: Global= cannot be combined with MachineOf= (take one of them out)"}},
		{"Global with Replaces", "a.service", "Global=yes\nReplaces=b.service", []string{
			"line 3: error: Global= cannot be combined with Replaces= (take one of them out)"}},
		{"Conflicts with Replaces", "a.service", "Conflicts=c.service\nReplaces=b.service", []string{
			"line 3: error: Conflicts= cannot be combined with Replaces= (take one of them out)"}},
		{"old spellings do not combine either", "a.service", "X-ConditionMachineBootID=148a18ff\nX-Conflicts=b.service", []string{
			"line 3: error: MachineID= cannot be combined with Conflicts= (take one of them out)"}},
		{"a peer that is kept away", "a.service", "MachineOf=b.service\nConflicts=?.service", []string{
			"line 3: error: MachineOf=b.service is matched by the unit's own Conflicts=?.service (take one of them out)"}},
		{"a peer that is replaced", "a.service", "Replaces=b*\nMachineOf=b.service", []string{
			"line 3: error: MachineOf=b.service is matched by the unit's own Replaces=b* (take one of them out)"}},
		{"an ID in the form of old manuals", "a.service", "MachineID=148A18FF-6e95-4cd8-92da-c9de9bb90d5a", []string{
			"line 2: error: MachineID=148A18FF-6e95-4cd8-92da-c9de9bb90d5a can be no node's ID (write it without dashes and in lower case: " + nodeID + ")"}},
		{"an ID that is none", "a.service", "MachineID=node1", []string{
			"line 2: error: MachineID=node1 can be no node's ID (write the 32 hexadecimal digits of a node's ID, or the first 8)"}},
		{"two IDs", "a.service", "MachineID=148a18ff 00000000", []string{
			"line 2: warning: MachineID=00000000 does not count: only the first value does, 148a18ff"}},
		{"a peer without its type", "a.service", "MachineOf=b", []string{
			`line 2: error: MachineOf=: unit name "b" does not end in a unit type (write the full name: b.service)`}},
		{"the unit itself as peer", "a.service", "MachineOf=%n", []string{
			"line 2: error: MachineOf=a.service is the unit itself (name the unit that it is to follow)"}},
		{"a template as peer", "a.service", "MachineOf=b@.service", []string{
			"line 2: error: MachineOf=b@.service is a template, which is never placed (name an instance of it)"}},
		{"a pair without '='", "a.service", "MachineMetadata=region=eu\nMachineMetadata=name=two words", []string{
			`line 3: error: MachineMetadata=: "words" is not a pair of key and value (write key=value; with blanks in it, quote the whole pair: "name=two words")`}},
		{"pairs with a half missing, and with three", "a.service", "MachineMetadata=k=\nMachineMetadata==v\nMachineMetadata=k=a=b", []string{
			`line 2: error: MachineMetadata=: "k=" is not a pair of key and value (write key=value; with blanks in it, quote the whole pair: "name=two words")`,
			`line 3: error: MachineMetadata=: "=v" is not a pair of key and value (write key=value; with blanks in it, quote the whole pair: "name=two words")`,
			`line 4: error: MachineMetadata=: "k=a=b" is not a pair of key and value (write key=value; with blanks in it, quote the whole pair: "name=two words")`}},
		{"a glob that is none", "a.service", "Conflicts=web[", []string{
			"line 2: error: Conflicts=\"web[\" is not a glob (globs know * ? [a-z] and \\ before a character that stands for itself)"}},
		{"a name that matches no unit", "a.service", "Conflicts=web", []string{
			"line 2: warning: Conflicts=web matches no unit: unit names have a type (write web.service)"}},
		{"a truth that is none", "a.service", "Global=maybe", []string{
			`line 2: error: Global=: "maybe" is not a boolean (write yes or no)`}},
		{"a quote that is not closed", "a.service", `MachineMetadata="region=eu`, []string{
			`line 2: error: MachineMetadata="region=eu: quote " is not closed`}},
		{"a specifier that depends on the node", "a.service", "MachineMetadata=host=%H", []string{
			"line 2: error: MachineMetadata=host=%H: specifier %H is not known here (placing comes before a node is chosen; only %n %N %p %P %i %I %j %J and %% can be used)"}},
		{"too many values", "a.service", "Conflicts=" + strings.Repeat("b.service ", 65), []string{
			"line 2: error: Conflicts= has 65 values; the limit is 64 (use a glob, or a label)"}},
		{"too long a value", "a.service", "MachineMetadata=k=" + strings.Repeat("x", 600), []string{
			"line 2: error: MachineMetadata= has a value of 602 bytes; the limit is 512"}},
		{"a template is not judged by what its instances will be", "a@.service", "MachineID=%i", nil},
		{"a template is judged by the rest", "a@.service", "MachineMetadata=slot=%i\nMachineMetadata=%p", []string{
			`line 3: error: MachineMetadata=: "a" is not a pair of key and value (write key=value; with blanks in it, quote the whole pair: "name=two words")`}},
		{"an instance is judged as it is", "a@1.service", "MachineID=%i", []string{
			"line 2: error: MachineID=1 can be no node's ID (write the 32 hexadecimal digits of a node's ID, or the first 8)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, findings := unitfile.PlacingOf(tt.unit, mustParse(t, "[X-Fleet]\n"+tt.text))
			if diff := cmp.Diff(tt.want, lines(findings)); diff != "" {
				t.Errorf("PlacingOf, -want +got:\n%s", diff)
			}
		})
	}
}

// lines returns findings as they print.
func lines(findings []unitfile.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, fmt.Sprint(f))
	}
	return all
}
