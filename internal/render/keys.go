package render

import (
	"path"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// KVPair is a key with its value, as confd has it.
type KVPair struct{ Key, Value string }

// want notes that a template asks for all keys with a beginning, and reports whether
// they are known.
func (f *filling) want(beginning string) bool {
	note(&f.keys, beginning)
	known := slices.ContainsFunc(f.data.Known, func(k string) bool { return strings.HasPrefix(beginning, k) })
	if !known {
		note(&f.missing, beginning)
	}
	return known
}

func (f *filling) get(key string) (KVPair, error) {
	if !f.want(key) {
		return KVPair{}, nil
	}
	value, there := f.data.Keys[key]
	if !there {
		return KVPair{}, noKey(key)
	}
	return KVPair{key, value}, nil
}

// getv returns a value, or the other one that is given if the key is not there.
func (f *filling) getv(key string, other ...string) (string, error) {
	pair, err := f.get(key)
	if err != nil && len(other) > 0 {
		return other[0], nil
	}
	return pair.Value, err
}

func (f *filling) exists(key string) bool {
	_, there := f.data.Keys[key]
	return f.want(key) && there
}

// gets returns the pairs whose keys match a pattern (path.Match), by key.
func (f *filling) gets(pattern string) ([]KVPair, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "%q is no pattern", pattern).WithHint(`patterns know * ? [a-z] and \ before a character that stands for itself`)
	}
	var pairs []KVPair
	if f.want(literal(pattern)) {
		for key, value := range f.data.Keys {
			if match, _ := path.Match(pattern, key); match {
				pairs = append(pairs, KVPair{key, value})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b KVPair) int { return strings.Compare(a.Key, b.Key) })
	return pairs, nil
}

// literal is the part of a pattern before the first character with a meaning.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

func (f *filling) getvs(pattern string) ([]string, error) {
	pairs, err := f.gets(pattern)
	var values []string
	for _, p := range pairs {
		values = append(values, p.Value)
	}
	return values, err
}

// ls returns the names in a folder; lsdir only those under which there is more.
func (f *filling) ls(folder string) []string { return f.children(folder, false) }

func (f *filling) lsdir(folder string) []string { return f.children(folder, true) }

func (f *filling) children(folder string, folders bool) []string {
	folder = strings.TrimSuffix(folder, "/") + "/"
	names := map[string]bool{}
	if f.want(folder) {
		for key := range f.data.Keys {
			rest, inside := strings.CutPrefix(key, folder)
			name, _, more := strings.Cut(rest, "/")
			if inside && name != "" && (more || !folders) {
				names[name] = true
			}
		}
	}
	return append([]string{}, sorted(names)...)
}
