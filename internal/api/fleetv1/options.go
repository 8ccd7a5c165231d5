package fleetv1

import (
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// option is one line of a unit file, as fleet's API shows it.
type option struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Value   string `json:"value"`
}

// optionsOf takes the text of a unit apart, in its order. Comments are in the
// text only.
func optionsOf(name cluster.UnitName, text string) ([]option, error) {
	file, err := unitfile.Parse(string(name), []byte(text))
	if err != nil {
		return nil, cluster.Errorf(cluster.Internal, "the stored text of %s: %w", name, err)
	}
	options := []option{}
	for _, a := range file.All() {
		options = append(options, option{a.Section, a.Key, a.Value})
	}
	return options, nil
}

// textOf puts options together into the text of a unit file: their order stays,
// and a section's header is written again when the options come back to it. The
// text is read again: an option that would be read as something else, such as a
// value with a line of its own in it, is refused.
func textOf(name cluster.UnitName, options []option) (string, error) {
	var b strings.Builder
	want := make([]option, 0, len(options))
	for i, o := range options {
		plain, err := plainOption(i, o)
		if err != nil {
			return "", err
		}
		want = append(want, plain)
		if i == 0 || plain.Section != want[i-1].Section {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString("[" + plain.Section + "]\n")
		}
		b.WriteString(plain.Name + "=" + plain.Value + "\n")
		if b.Len() > cluster.UnitTextMax {
			return "", cluster.Errorf(cluster.Invalid, "%s is too long; the limit is %d bytes", name, cluster.UnitTextMax)
		}
	}
	got, err := unitfile.Parse(string(name), []byte(b.String()))
	if err != nil {
		return "", cluster.Errorf(cluster.Invalid, "the options of %s: %w", name, err)
	}
	if all := got.All(); !slices.EqualFunc(all, want, sameOption) {
		return "", cluster.Errorf(cluster.Invalid, "the options of %s would be read as other options", name)
	}
	return b.String(), nil
}

// plainOption checks that an option is one assignment and leaves what comes after
// it alone, and joins the lines of a value that goes on with a backslash: fleetctl
// sends those as they stand in the file.
func plainOption(i int, o option) (option, error) {
	text := "[" + o.Section + "]\n" + o.Name + "=" + o.Value + "\n" + o.Name + "=next"
	file, err := unitfile.Parse("option", []byte(text))
	if err == nil {
		all := file.All()
		if len(all) == 2 && sameOption(all[0], option{o.Section, o.Name, all[0].Value}) && sameOption(all[1], option{o.Section, o.Name, "next"}) {
			return option{o.Section, o.Name, all[0].Value}, nil
		}
	}
	return option{}, cluster.Errorf(cluster.Invalid, "option %d ([%s] %s=%s) is no single line of a unit file",
		i+1, clip(o.Section), clip(o.Name), clip(o.Value))
}

func sameOption(a unitfile.Assignment, o option) bool {
	return option{a.Section, a.Key, a.Value} == o
}
