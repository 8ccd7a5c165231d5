package cluster_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
)

func TestUnitNames(t *testing.T) {
	for _, tt := range []struct {
		name   cluster.UnitName
		reason string // part of the refusal; "" means legal
	}{
		{"web.service", ""},
		{"web@1.service", ""},
		{"web@.service", ""},
		{"a-b_c:d.socket", ""},
		{`dev-disk-by\x2dlabel.mount`, ""},
		{"t.target", ""},
		{"x.slice", ""},
		{"", "needs a name"},
		{"web", "does not end in a unit type"},
		{"web@1.socket", ""},
		{"web@.target", ""},
		{"web@.timer", ""},
		{"web@1.path", ""},
		{"web@1.mount", "systemd loads neither templates nor instances of .mount units"},
		{"web@.automount", "systemd loads neither templates nor instances of .automount units"},
		{"web@1.swap", "systemd loads neither templates nor instances of .swap units"},
		{"web@.slice", "systemd loads neither templates nor instances of .slice units"},
		{"web.scope", "no file makes a scope unit; programs make them"},
		{"web.device", "no file makes a device unit; the kernel has them"},
		{"web@1.device", "no file makes a device unit"},
		{"web.snapshot", "no file makes a snapshot unit; systemd has them no more"},
		{"web.busname", "no file makes a busname unit"},
		{"web.scope.service", ""},
		{"../etc/passwd.service", "'/' is not allowed"},
		{"wéb.service", "'é' is not allowed"},
		{"a b.service", "' ' is not allowed"},
		{"a\x00.service", "is not allowed"},
		{"@1.service", "no name before"},
		{".service", "no name before"},
		{"a@b@c.service", "more than one '@'"},
		{cluster.UnitName(strings.Repeat("x", 300) + ".service"), "the limit is 255"},
	} {
		t.Run(fmt.Sprintf("%.20q", string(tt.name)), func(t *testing.T) {
			err := cluster.CheckUnitName(tt.name)
			switch {
			case tt.reason == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.reason != "" && err == nil:
				t.Errorf("accepted, want a refusal with %q", tt.reason)
			case tt.reason != "" && !strings.Contains(err.Error(), tt.reason):
				t.Errorf("refused with %q, want %q in it", err, tt.reason)
			}
		})
	}
}

func TestNodeIDsAndNames(t *testing.T) {
	digits := strings.Repeat("0123456789abcdef", 2)
	for id, legal := range map[string]bool{
		digits: true, "": false, digits[1:]: false, digits + "0": false,
		strings.ToUpper(digits): false, "/" + digits[1:]: false, " " + digits[1:]: false,
	} {
		if err := cluster.CheckNodeID(cluster.NodeID(id)); (err == nil) != legal {
			t.Errorf("ID %q: %v", id, err)
		}
	}
	for name, legal := range map[string]bool{
		"node-1": true, "n.example.org": true, "7": true, strings.Repeat("x", 63): true,
		"": false, strings.Repeat("x", 64): false, "-a": false, "a-": false, "a b": false, ".": false, "a.": false, "a..b": false, "a-.b": false, "a.-b": false, "a_b": false, "nöde": false, "a\n": false,
	} {
		err := cluster.CheckNodeName(name)
		if (err == nil) != legal || err != nil && cluster.HintOf(err) == "" {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestPartsOfAUnitName(t *testing.T) {
	type parts struct {
		stem, prefix, instance string
		template               cluster.UnitName
		isTemplate             bool
	}
	for name, want := range map[cluster.UnitName]parts{
		"web.service":     {"web", "web", "", "", false},
		"web@1.service":   {"web@1", "web", "1", "web@.service", false},
		"web@.service":    {"web@", "web", "", "", true},
		"a.b@x.y.service": {"a.b@x.y", "a.b", "x.y", "a.b@.service", false},
	} {
		got := parts{name.Stem(), name.Prefix(), name.Instance(), name.Template(), name.IsTemplate()}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if got := cluster.UnitName("web").WithDefaultType(); got != "web.service" {
		t.Errorf("default type: %s", got)
	}
	for _, typed := range []cluster.UnitName{"t.target", "t.device", "t.scope", "t.snapshot", "t.busname"} {
		if got := typed.WithDefaultType(); got != typed {
			t.Errorf("a name with a type keeps it: %s", got)
		}
	}
	for _, plain := range []cluster.UnitName{"service", "device", "a.b"} {
		if got := plain.WithDefaultType(); got != plain+".service" {
			t.Errorf("a name without a type is a service: %s", got)
		}
	}
}

func TestSiblingsAreInstancesOfOneTemplate(t *testing.T) {
	for _, test := range []struct {
		a, b cluster.UnitName
		want bool
	}{
		{"web@1.service", "web@2.service", true},
		{"web@1.service", "web@1.service", true},
		{"a.b@x.y.service", "a.b@z.service", true},
		{"web@1.service", "web@1.socket", false},
		{"web@1.service", "we@1.service", false},
		{"web@1.service", "web2@1.service", false},
		{"web@1.service", "web@.service", false}, // that is the template
		{"web@.service", "web@.service", false},
		{"web.service", "web.service", false},
		{"web@1.service", "w", false},
	} {
		if test.a.Sibling(test.b) != test.want || test.b.Sibling(test.a) != test.want {
			t.Errorf("%s and %s: want %v", test.a, test.b, test.want)
		}
	}
}

func TestEveryKindSurvivesTheWire(t *testing.T) {
	for k := cluster.Internal; k <= cluster.Unknown; k++ {
		if got := cluster.ParseKind(k.String()); got != k {
			t.Errorf("%v comes back as %v", k, got)
		}
	}
	if got := cluster.ParseKind("nonsense"); got != cluster.Internal {
		t.Errorf("an unknown code is %v, want internal", got)
	}
}

func TestErrorsKeepKindHintAndCauseThroughWrapping(t *testing.T) {
	cause := errors.New("disk on fire")
	err := fmt.Errorf("submit web.service: %w",
		cluster.Errorf(cluster.Unavailable, "no quorum: %w", cause).WithHint("start the other servers"))
	if cluster.KindOf(err) != cluster.Unavailable || cluster.HintOf(err) != "start the other servers" || !errors.Is(err, cause) {
		t.Errorf("kind %v, hint %q, cause kept: %v", cluster.KindOf(err), cluster.HintOf(err), errors.Is(err, cause))
	}
	if cluster.KindOf(cause) != cluster.Internal {
		t.Error("an error without a kind is internal")
	}
}

func TestTokensAdmit(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	token := cluster.Token{ID: "ab12", Expires: now.Add(time.Minute), Uses: 1}
	spent := cluster.Token{ID: "ab12", Expires: now.Add(time.Minute), UsedBy: []cluster.NodeID{"n1"}}
	for _, tt := range []struct {
		name   string
		token  cluster.Token
		at     time.Time
		reason string
	}{
		{"a fresh token", token, now, ""},
		{"at the instant of expiry", token, now.Add(time.Minute), "expired"},
		{"used up by another node", cluster.Token{ID: "x", Expires: now.Add(time.Minute), UsedBy: []cluster.NodeID{"n2"}}, now, "used up"},
		{"a retry by the node that used it up", spent, now, ""},
		{"a retry after expiry", spent, now.Add(time.Hour), "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.token.Admits("n1", tt.at)
			if (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, want reason %q", err, tt.reason)
			}
		})
	}
}

func TestTimingsRefuseEveryUnsafeCombinationWithTheArithmetic(t *testing.T) {
	for name, timings := range map[string]cluster.Timings{
		"default": cluster.DefaultTimings(), "fast": cluster.FastTimings(), "wide": cluster.WideTimings(),
	} {
		if err := timings.Check(); err != nil {
			t.Errorf("profile %s: %v", name, err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*cluster.Timings)
		reason string
	}{
		{"dead one step too early", func(x *cluster.Timings) { x.Dead = x.DeadMin() - 1 }, "x 1.05 / 0.95"},
		{"a longer permit", func(x *cluster.Timings) { x.Valid = 20 * time.Second }, "is unsafe"},
		{"a slower watchdog", func(x *cluster.Timings) { x.Watchdog = 10 * time.Second }, "is unsafe"},
		{"a slower stop", func(x *cluster.Timings) { x.Stop = 10 * time.Second }, "is unsafe"},
		{"renewing too rarely for the permit", func(x *cluster.Timings) { x.Renew = 4 * time.Second }, "3 x Renew"},
		{"lost before a second renewal", func(x *cluster.Timings) { x.Lost = 3 * time.Second }, "2 x Renew"},
		{"lost after dead", func(x *cluster.Timings) { x.Lost = time.Minute }, "longer than Dead"},
		{"zero", func(x *cluster.Timings) { x.Renew = 0 }, "more than zero"},
		{"negative", func(x *cluster.Timings) { x.Stop = -1 }, "more than zero"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			timings := cluster.DefaultTimings()
			tt.change(&timings)
			err := timings.Check()
			if err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, want a refusal with %q", err, tt.reason)
			}
		})
	}
	exact := cluster.DefaultTimings()
	exact.Dead = exact.DeadMin()
	if err := exact.Check(); err != nil {
		t.Errorf("the least safe T_dead is accepted: %v", err)
	}
}

func TestLabelsOfOperatorsMaskThoseOfTheNode(t *testing.T) {
	got := cluster.MergeLabels(
		cluster.Node{Labels: map[string]string{"disk": "hdd", "gpu": ""}},
		cluster.Report{Labels: map[string]string{"disk": "ssd", "gpu": "yes", "zone": "a"}})
	if len(got) != 2 || got["disk"] != "hdd" || got["zone"] != "a" {
		t.Errorf("merged labels: %v", got)
	}
}

// Equal forgets no field, also none that is added.
func TestUnitsDifferInEachField(t *testing.T) {
	whole := func() reflect.Value { return reflect.ValueOf(&cluster.Unit{}).Elem() }
	for i := range whole().NumField() {
		u := whole()
		field := u.Field(i)
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Unix(1, 0)))
		case map[string]map[string]string:
			field.Set(reflect.ValueOf(map[string]map[string]string{"web": {"a": "1"}}))
		default:
			if field.CanInt() {
				field.SetInt(1)
			} else {
				field.SetString("x")
			}
		}
		if changed, ok := u.Interface().(cluster.Unit); !ok || changed.Equal(cluster.Unit{}) || !changed.Equal(changed) {
			t.Errorf("another %s is no difference", u.Type().Field(i).Name)
		}
	}
}
