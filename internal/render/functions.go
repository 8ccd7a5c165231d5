package render

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"argosy/internal/cluster"
)

// seqMax bounds what seq counts.
const seqMax = 1 << 20

// plainFunctions are those that look at nothing but their arguments.
func plainFunctions() template.FuncMap {
	return template.FuncMap{
		"base": path.Base, "dir": path.Dir,
		"split": strings.Split, "join": strings.Join, "contains": strings.Contains, "replace": strings.Replace,
		"toUpper": strings.ToUpper, "toLower": strings.ToLower, "trimSuffix": strings.TrimSuffix, "trimPrefix": strings.TrimPrefix, "trim": strings.TrimSpace,
		"hasPrefix": strings.HasPrefix, "hasSuffix": strings.HasSuffix,
		"atoi": strconv.Atoi, "parseBool": strconv.ParseBool,
		"json": object, "jsonArray": array, "toJSON": toJSON,
		"base64Encode": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, "base64Decode": decode,
		"map": pairsOf, "reverse": reverse, "sort": sortedCopy, "sortByLength": byLength, "sortKVByLength": pairsByLength,
		"add": func(a, b int) int { return a + b }, "sub": func(a, b int) int { return a - b }, "mul": func(a, b int) int { return a * b },
		"div": whole(func(a, b int) int { return a / b }), "mod": whole(func(a, b int) int { return a % b }),
		"seq": seq,
	}
}

// whole refuses to divide by nothing.
func whole(divide func(a, b int) int) func(a, b int) (int, error) {
	return func(a, b int) (int, error) {
		if b == 0 {
			return 0, cluster.Errorf(cluster.Invalid, "%d is divided by zero", a)
		}
		return divide(a, b), nil
	}
}

func object(text string) (map[string]any, error) {
	var value map[string]any
	return value, unmarshal(text, &value)
}

func array(text string) ([]any, error) {
	var value []any
	return value, unmarshal(text, &value)
}

func unmarshal(text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return cluster.Errorf(cluster.Invalid, "%.60q is not such JSON: %w", text, err)
	}
	return nil
}

func toJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func decode(text string) (string, error) {
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", cluster.Errorf(cluster.Invalid, "%.60q is no base64: %w", text, err)
	}
	return string(bytes), nil
}

// pairsOf makes a map of keys and values that take turns.
func pairsOf(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, cluster.Errorf(cluster.Invalid, "map wants a value for each key")
	}
	all := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, text := pairs[i].(string)
		if !text {
			return nil, cluster.Errorf(cluster.Invalid, "map: %v is no text, as keys are", pairs[i])
		}
		all[key] = pairs[i+1]
	}
	return all, nil
}

// reverse turns a list of texts or pairs round, as confd does.
func reverse(list any) (any, error) {
	switch l := list.(type) {
	case []string:
		l = slices.Clone(l)
		slices.Reverse(l)
		return l, nil
	case []KVPair:
		l = slices.Clone(l)
		slices.Reverse(l)
		return l, nil
	}
	return nil, cluster.Errorf(cluster.Invalid, "reverse: %T is no list of texts or pairs", list)
}

func sortedCopy(list []string) []string { return slices.Sorted(slices.Values(list)) }

func byLength(list []string) []string {
	return slices.SortedStableFunc(slices.Values(list), func(a, b string) int { return len(a) - len(b) })
}

func pairsByLength(list []KVPair) []KVPair {
	return slices.SortedStableFunc(slices.Values(list), func(a, b KVPair) int { return len(a.Key) - len(b.Key) })
}

// seq counts, both ends included.
func seq(first, last int) ([]int, error) {
	if last > first && uint(last)-uint(first) >= seqMax { //nolint:gosec // the difference of two is never negative here
		return nil, cluster.Errorf(cluster.Invalid, "seq %d %d is too long", first, last)
	}
	var list []int
	for i := first; i <= last; i++ {
		list = append(list, i)
	}
	return list, nil
}

// String is what a template shows of a pair.
func (p KVPair) String() string { return fmt.Sprintf("%s=%s", p.Key, p.Value) }
