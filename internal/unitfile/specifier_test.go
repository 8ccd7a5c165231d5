package unitfile_test

import (
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestExpand(t *testing.T) {
	const instance = `front-web@srv-a\x2db.service`
	tests := []struct {
		name  cluster.UnitName
		value string
		want  string
	}{
		{instance, "%n", instance},
		{instance, "%N", `front-web@srv-a\x2db`},
		{instance, "%p", "front-web"},
		{instance, "%P", "front/web"},
		{instance, "%i", `srv-a\x2db`},
		{instance, "%I", "srv/a-b"},
		{instance, "%j", "web"},
		{instance, "%J", "web"},
		{"web.service", "%p %j", "web web"},
		{"web.service", "a%ib", "ab"},
		{"web@.service", "[%i] %N", "[] web@"},
		{"web@1.service", "db@%i.service", "db@1.service"},
		{"web@1.service", "100%% %%i", "100% %i"},
		{"web@1.service", "none", "none"},
	}
	for _, tt := range tests {
		if got, err := unitfile.Expand(tt.name, tt.value); got != tt.want || err != nil {
			t.Errorf("Expand(%s, %q) = %q, %v, want %q", tt.name, tt.value, got, err, tt.want)
		}
	}
}

func TestExpandRefusesWhatCannotBeKnownWhenPlacing(t *testing.T) {
	tests := []struct{ value, want string }{
		{"%H", "specifier %H is not known here"},
		{"%m", "specifier %m is not known here"},
		{"%é", "specifier %é is not known here"},
		{"50%", `"50%" ends in a lone %`},
	}
	for _, tt := range tests {
		_, err := unitfile.Expand("web@1.service", tt.value)
		if err == nil || err.Error() != tt.want {
			t.Errorf("Expand(%q): %v, want %s", tt.value, err, tt.want)
		}
		if cluster.HintOf(err) == "" || cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("Expand(%q): %#v, want an Invalid error with a hint", tt.value, err)
		}
	}
}

func TestUnescapeName(t *testing.T) {
	for part, want := range map[string]string{"a-b": "a/b", `a\x2db`: "a-b", "": "", `\xc3\xa4`: "ä", "-": "/"} {
		if got, err := unitfile.UnescapeName(part); got != want || err != nil {
			t.Errorf("UnescapeName(%q) = %q, %v, want %q", part, got, err, want)
		}
	}
	for _, part := range []string{`a\`, `a\x`, `a\x2`, `a\xg0`, `a\n`, `\x00`, `\xff`} {
		if got, err := unitfile.UnescapeName(part); err == nil {
			t.Errorf("UnescapeName(%q) = %q, want an error", part, got)
		}
	}
}

// The table was made with systemd-escape --path of systemd 252.
func TestEscapePath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "-", "/srv/data": "srv-data", "//srv//data/": "srv-data", "/mnt/a-b/.c d": `mnt-a\x2db-.c\x20d`, "/.hidden": `\x2ehidden`,
	} {
		if got := unitfile.EscapePath(path); got != want {
			t.Errorf("EscapePath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestInstantiate(t *testing.T) {
	const text = "[Service]\nExecStart=/bin/echo %i"
	got, err := unitfile.Instantiate("web@.service", text, "web@1.service")
	if err != nil || cluster.HashText(got) != cluster.HashText(text) {
		t.Errorf("Instantiate = %q, %v, want the template's own text and hash", got, err)
	}
	for _, tt := range []struct {
		template, instance cluster.UnitName
		want               string
	}{
		{"web@.service", "db@1.service", "db@1.service is no instance of web@.service"},
		{"web@.service", "web@1.timer", "web@1.timer is no instance of web@.service"},
		{"web@.service", "web@.service", "web@.service is no instance of web@.service"},
		{"web.service", "web@1.service", "web.service is no template"},
		{"web@.service", "web@1", `unit name "web@1" does not end in a unit type`},
	} {
		if _, err := unitfile.Instantiate(tt.template, text, tt.instance); err == nil || err.Error() != tt.want {
			t.Errorf("Instantiate(%s, %s): %v, want %s", tt.template, tt.instance, err, tt.want)
		}
	}
}
