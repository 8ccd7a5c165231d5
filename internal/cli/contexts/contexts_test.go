package contexts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
)

func lab(name string) Context { return Context{Name: name, Socket: "/labs/" + name + "/argosy.sock"} }

func TestWhatIsSavedIsLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "contexts.json")
	var f File
	for _, c := range []Context{lab("b"), lab("a"), {Name: "far", Addresses: []string{"h:7500"}, CA: "ca", Certificate: "c", Key: "k"}} {
		if err := f.Set(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := Save(path, f); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if f.Current != "b" {
		t.Errorf("the first context set is the current one, not %q", f.Current)
	}
}

func TestAFileThatIsNotThereIsEmpty(t *testing.T) {
	f, err := Load(filepath.Join(t.TempDir(), "none"))
	if err != nil || f.Current != "" || len(f.Contexts) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	for name, text := range map[string]string{"no JSON": "{", "an unknown key": `{"curent":"lab","contexts":[]}`} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "contexts.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path); cluster.KindOf(err) != cluster.Invalid || !strings.Contains(err.Error(), path) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	cases := map[string]struct {
		change func(*File) error
		want   string
	}{
		"a context of the same name is replaced": {func(f *File) error { return f.Set(Context{Name: "a", Socket: "/new"}) }, "a* b"},
		"another one becomes current":            {func(f *File) error { return f.Use("b") }, "a b*"},
		"local can be current":                   {func(f *File) error { return f.Use(Local) }, "a b local*"},
		"an unknown one cannot":                  {func(f *File) error { return f.Use("c") }, "no context \"c\""},
		"the current one removed leaves none":    {func(f *File) error { return f.Remove("a") }, "b"},
		"an unknown one cannot be removed":       {func(f *File) error { return f.Remove("c") }, "no context \"c\""},
		"local is no name for another":           {func(f *File) error { return f.Set(Context{Name: Local, Socket: "/x"}) }, `the name "local" is that of this machine's own daemon`},
		"a context leads somewhere":              {func(f *File) error { return f.Set(Context{Name: "c"}) }, "context c has neither a socket nor addresses"},
		"addresses need an identity":             {func(f *File) error { return f.Set(Context{Name: "c", Addresses: []string{"h:1"}}) }, "context c needs the files of an authority, a certificate and a key to reach its addresses"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := File{Current: "a", Contexts: []Context{lab("a"), lab("b")}}
			got := ""
			if err := c.change(&f); err != nil {
				got = err.Error()
			} else {
				got = picture(f)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func picture(f File) string {
	var all []string
	seen := false
	for _, c := range f.Contexts {
		name := c.Name
		if name == f.Current {
			name, seen = name+"*", true
		}
		all = append(all, name)
	}
	if f.Current != "" && !seen {
		all = append(all, f.Current+"*")
	}
	return strings.Join(all, " ")
}

func TestUpdatesAtOnceAreAllKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := Update(path, func(f *File) error { return f.Set(lab(fmt.Sprintf("lab-%02d", i))) }); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	f, err := Load(path)
	if err != nil || len(f.Contexts) != 20 {
		t.Errorf("%d contexts, %v", len(f.Contexts), err)
	}
}

func TestAnUpdateThatFailsSavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	no := errors.New("no")
	err := Update(path, func(f *File) error {
		f.Current = "x"
		return no
	})
	if f, loadErr := Load(path); !errors.Is(err, no) || loadErr != nil || f.Current != "" {
		t.Errorf("%v, %v, %+v", err, loadErr, f)
	}
}

func TestWhereTheFileIs(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		want string
	}{
		"at home":                              {map[string]string{"HOME": "/home/a"}, "/home/a/.config/argosy/contexts.json"},
		"where XDG says":                       {map[string]string{"HOME": "/home/a", "XDG_CONFIG_HOME": "/cfg"}, "/cfg/argosy/contexts.json"},
		"a relative XDG folder does not count": {map[string]string{"HOME": "/home/a", "XDG_CONFIG_HOME": "cfg"}, "/home/a/.config/argosy/contexts.json"},
		"nowhere without a home":               {nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Path(func(name string) string { return c.env[name] })
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
