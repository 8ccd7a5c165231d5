package cli

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// filled is a backend with a service and a key.
func filled() *fake {
	return &fake{
		services: [][]wire.Services{{{Full: true, Services: []cluster.Service{{Name: "web", Endpoints: []cluster.Endpoint{{
			Offer: cluster.Offer{Service: "web", Port: 80, Protocol: "tcp", Healthy: true}, Unit: "web.service", Address: netip.MustParseAddr("10.0.0.2"),
		}}}}}}},
		keys: []wire.KeyItem{{Key: wire.BytesOf("/t"), Value: wire.BytesOf(`{{getv "/a" "none"}}`)}},
	}
}

func TestATemplateIsPrintedOrPut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tmpl")
	if err := os.WriteFile(path, []byte(`{{range service "web"}}{{.Addr}}{{end}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, filled(), "argosy template render "+path); got.code != 0 || got.out != "10.0.0.2:80" {
		t.Errorf("printed: %+v", got)
	}
	if got := run(t, filled(), "argosy template render key:/t"); got.code != 0 || got.out != "none" {
		t.Errorf("of a key: %+v", got)
	}
	target := filepath.Join(dir, "x")
	for _, want := range []string{"changed", "unchanged"} {
		if got := run(t, filled(), "argosy template render "+path+" -o "+target+" --mode 0600"); got.code != 0 || got.err != target+"  "+want+"\n" {
			t.Errorf("put: %+v, want %s", got, want)
		}
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "10.0.0.2:80" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestWhatIsWrongWithATemplateIsSaid(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.tmpl")
	if err := os.WriteFile(bad, []byte("a\n{{nosuch}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]struct {
		code int
		says string
	}{
		"argosy template render " + bad:                             {1, `bad.tmpl:2: function "nosuch" not defined`},
		"argosy template render " + filepath.Join(dir, "no"):        {1, "there is no file"},
		"argosy template render key:/no":                            {1, "key /no, which is to hold the template, is not there"},
		"argosy template render key:/t -o " + dir + "/x --mode 999": {2, "no mode"},
		"argosy template watch " + bad:                              {2, "-o says which file"},
		"argosy template":                                           {2, "needs a verb"},
	} {
		if got := run(t, filled(), line); got.code != want.code || !strings.Contains(got.err, want.says) {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
}
