package render_test

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/render"
)

// world is what templates are filled with here.
func world() render.Data {
	endpoint := func(unit cluster.UnitName, address string, healthy bool, parameters map[string]string) cluster.Endpoint {
		return cluster.Endpoint{
			Offer: cluster.Offer{Service: "web", Port: 8080, Protocol: "tcp", Healthy: healthy, Parameters: parameters},
			Unit:  unit, NodeName: "node-2", Address: netip.MustParseAddr(address),
		}
	}
	return render.Data{
		Keys: map[string]string{
			"/app/name": "shop", "/app/port": "80", "/app/hosts/a": "10.0.0.1", "/app/hosts/b": "10.0.0.2", "/app/hosts/deep/c": "10.0.0.3",
			"/app/list": `["x","y"]`, "/app/object": `{"k":{"n":1}}`, "/apple": "fruit",
		},
		Known: []string{"/app"},
		Services: []cluster.Service{{Name: "db"}, {Name: "web", Endpoints: []cluster.Endpoint{
			endpoint("web@1.service", "10.77.0.2", true, map[string]string{"weight": "5"}), endpoint("web@2.service", "fd00::3", true, nil),
			endpoint("web@3.service", "10.77.0.4", false, nil),
		}}},
		Nodes: []cluster.Whereabouts{{ID: "n1", Name: "node-1", Address: netip.MustParseAddr("10.77.0.1")}, {ID: "n2", Name: "node-2", Away: true}},
		Self:  "n1",
		Env:   map[string]string{"HOME": "/root", "EMPTY": ""},
		Now:   time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC),
	}
}

func TestFill(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"plain text", "a\nb", "a\nb"},
		{"the endpoints of a service, those that may be used", `{{range service "web"}}{{.Unit}} {{.Addr}} {{.Host}} {{.Port}} {{.Node}} {{replace .Unit "@" "-" 1}} {{.Instance}};{{end}}`, "web@1.service 10.77.0.2:8080 10.77.0.2 8080 node-2 web-1.service 1;web@2.service [fd00::3]:8080 [fd00::3] 8080 node-2 web-2.service 2;"},
		{"their parameters", `{{range service "web"}}{{or (index .Parameters "weight") "1"}} {{end}}`, "5 1 "},
		{"a service without any", `{{len (service "db")}}{{range service "no"}}x{{else}} none{{end}}`, "0 none"},
		{"the first endpoint", `{{with endpoint "web"}}{{.Addr}}{{end}}`, "10.77.0.2:8080"},
		{"the services", `{{join services ","}}`, "db,web"},
		{"this node", `{{node.Name}} {{node.Address}} {{node.ID}}`, "node-1 10.77.0.1 n1"},
		{"the nodes", `{{range nodes}}{{.Name}} {{.Away}} {{end}}`, "node-1 false node-2 true "},
		{"a value", `{{getv "/app/name"}}`, "shop"},
		{"a value that is not there, and another", `{{getv "/app/no" "other"}}`, "other"},
		{"a pair", `{{with get "/app/name"}}{{.Key}}:{{.Value}}{{end}}`, "/app/name:shop"},
		{"pairs by a pattern, which stops at a slash", `{{range gets "/app/hosts/*"}}{{base .Key}}={{.Value}} {{end}}`, "a=10.0.0.1 b=10.0.0.2 "},
		{"values by a pattern", `{{getvs "/app/hosts/?"}}`, "[10.0.0.1 10.0.0.2]"},
		{"the names in a folder", `{{ls "/app/hosts"}} {{ls "/app/hosts/"}}`, "[a b deep] [a b deep]"},
		{"the folders in a folder", `{{lsdir "/app/hosts"}} {{lsdir "/app/no"}}`, "[deep] []"},
		{"whether a key is there", `{{exists "/app/name"}} {{exists "/app/no"}} {{exists "/app"}}`, "true false false"},
		{"JSON", `{{range jsonArray (getv "/app/list")}}{{.}}{{end}} {{(json (getv "/app/object")).k.n}} {{toJSON (split "a/b" "/")}}`, `xy 1 ["a","b"]`},
		{"the environment", `{{getenv "HOME"}} {{getenv "NO" "else"}} {{getenv "EMPTY" "else"}} {{getenv "NO"}}`, "/root else else "},
		{"numbers", `{{add 1 2}} {{sub 1 2}} {{mul 2 3}} {{div 7 2}} {{mod 7 2}} {{atoi "5"}} {{seq 1 3}}`, "3 -1 6 3 1 5 [1 2 3]"},
		{"texts", `{{toUpper "a"}}{{toLower "B"}} {{replace "aaa" "a" "b" 2}} {{trimSuffix "a.conf" ".conf"}} {{contains "abc" "b"}} {{dir "/a/b"}} {{base64Decode (base64Encode "x")}} {{parseBool "true"}}`, "Ab bba a true /a x true"},
		{"lists", `{{reverse (split "a,b" ",")}} {{sortByLength (split "bb,a" ",")}} {{range reverse (gets "/app/hosts/*")}}{{base .Key}}{{end}}`, "[b a] [a bb] ba"},
		{"a map", `{{with map "a" 1 "b" "c"}}{{.a}}{{.b}}{{end}}`, "1c"},
		{"the time", `{{datetime.Year}}`, "2026"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			template, err := render.Parse("x.tmpl", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			r, err := template.Fill(world())
			if err != nil || string(r.Text) != tt.want || len(r.Missing) > 0 {
				t.Errorf("%q, missing %v, %v; want %q", r.Text, r.Missing, err, tt.want)
			}
		})
	}
}

func TestWhatIsWrongWithATemplateIsSaidWithItsLine(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a\n{{range}}", "x.tmpl:2: missing value for range"},
		{"{{nosuch}}", `x.tmpl:1: function "nosuch" not defined`},
		{"{{if true}}", "x.tmpl:1: unexpected EOF"},
		{"a\n\n{{getv \"/app/no\"}}", "x.tmpl:3: key /app/no is not there"},
		{`{{endpoint "db"}}`, "x.tmpl:1: service db has no healthy endpoint"},
		{`{{node}}`, "x.tmpl:1: where this node is, is not known yet"},
		{`{{(json "{").a}}`, `x.tmpl:1: "{" is not such JSON: unexpected end of JSON input`},
		{`{{(map "a" 1).b}}`, "no entry for key"},
		{`{{map 1 2}}`, "x.tmpl:1: map: 1 is no text, as keys are"},
		{`{{div 1 0}}`, "x.tmpl:1: 1 is divided by zero"},
		{`{{atoi "x"}}`, `parsing "x": invalid syntax`},
		{`{{seq 1 100000000}}`, "is too long"},
		{`{{gets "["}}`, `"[" is no pattern`},
		{`{{range seq 1 1000000}}aaaaaaaaaaaaaaaaaaaa{{end}}`, "it is filled to more than 16777216 bytes"},
		{`{{range 1000000000000}}{{if true}}{{range 9}}{{end}}{{end}}{{end}}`, "its loops make more than 1000000 rounds"},
		{`{{if true}}{{range 3000000}}{{end}}{{end}}`, "its loops make more than 1000000 rounds"},
		{`{{with true}}{{else}}{{end}}{{define "x"}}{{range 1000000000000}}{{end}}{{end}}{{template "x"}}`, "its loops make more than 1000000 rounds"},
		{`{{define "x"}}{{if gt . 0}}{{template "x" (sub . 1)}}{{template "x" (sub . 1)}}{{end}}{{end}}{{template "x" 21}}`, "its loops make more than 1000000 rounds"},
		{`{{seq -9223372036854775808 9223372036854775807}}`, "is too long"},
		{`{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`, "exceeded maximum template depth"},
		{strings.Repeat("x", render.TextMax+1), "x.tmpl has 1048577 bytes; the limit of a template is 1048576"},
	} {
		template, err := render.Parse("x.tmpl", tt.text)
		if err == nil {
			d := world()
			if tt.text == "{{node}}" {
				d.Self = "other"
			}
			_, err = template.Fill(d)
		}
		if cluster.KindOf(err) != cluster.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// What a template asks for shows while it is filled: one step after the other, until
// nothing is missing.
func TestWhatATemplateAsksForIsNoted(t *testing.T) {
	template, err := render.Parse("x.tmpl", `{{range ls "/other"}}{{getv (printf "/more/%s" .)}}{{end}}{{range gets "/third/x*"}}{{.}}{{end}}{{getv "/app/name"}}{{service "web"}}`)
	if err != nil {
		t.Fatal(err)
	}
	d := world()
	for _, step := range []struct {
		missing []string
		then    map[string]string
	}{
		{[]string{"/other/", "/third/x"}, map[string]string{"/other/a": "1"}},
		{[]string{"/more/a"}, map[string]string{"/more/a": "2"}},
		{nil, nil},
	} {
		r, err := template.Fill(d)
		if err != nil || !cmp.Equal(r.Missing, step.missing) {
			t.Fatalf("missing %v, %v; want %v", r.Missing, err, step.missing)
		}
		d.Known = append(d.Known, r.Missing...)
		for key, value := range step.then {
			d.Keys[key] = value
		}
		if len(r.Missing) == 0 && (!cmp.Equal(r.Services, []string{"web"}) || r.AllServices || !cmp.Equal(r.Keys, []string{"/app/name", "/more/a", "/other/", "/third/x"})) {
			t.Errorf("%+v", r)
		}
	}
}

// The same in another order gives the same text.
func TestFillingDependsOnNothingElse(t *testing.T) {
	template, err := render.Parse("x", `{{range gets "/app/*"}}{{.}}{{end}}{{ls "/app"}}{{services}}`)
	if err != nil {
		t.Fatal(err)
	}
	first, err := template.Fill(world())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if again, err := template.Fill(world()); err != nil || string(again.Text) != string(first.Text) {
			t.Fatalf("%q, %v; want %q", again.Text, err, first.Text)
		}
	}
}

// Whatever a key is called: it is found by exactly those that ask for it.
func TestKeysAreFoundByTheirNames(t *testing.T) {
	ls, err := render.Parse("x", `{{range ls "/a"}}{{.}}|{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-c/]{1,6}`).Draw(t, "key")
		r, err := ls.Fill(render.Data{Keys: map[string]string{"/a/" + name: "", "/ab": "", "/a": ""}, Known: []string{""}})
		child, _, _ := strings.Cut(name, "/")
		want := child + "|"
		if child == "" {
			want = ""
		}
		if err != nil || string(r.Text) != want {
			t.Fatalf("%q: %q, %v; want %q", name, r.Text, err, want)
		}
	})
}

func TestThePageOfTheReferenceNamesEveryFunction(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range render.Functions() {
		if !regexp.MustCompile("`" + name + "[` ]").Match(page) {
			t.Errorf("it does not name %s", name)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`{{range service "web"}}{{.Addr}}{{end}}`, `{{getv "/app/name"}}`, `{{gets "[`, `{{seq -1 5}}`, "{{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := render.Parse("x", text)
		if err == nil {
			_, err = template.Fill(world())
		}
		if err != nil && cluster.KindOf(err) != cluster.Invalid {
			t.Fatalf("%v", err)
		}
	})
}
