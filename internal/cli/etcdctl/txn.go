package etcdctl

import (
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// parseCompare reads a line as mod("KEY") = "7".
func parseCompare(line string) (c clientv3.Cmp, err error) {
	wrong := fmt.Errorf("%.80q is no comparison: mod(\"KEY\") = \"7\" is one", line)
	target, rest, ok := strings.Cut(line, "(")
	key, rest, quoted := quotedWord(rest)
	rest, closed := strings.CutPrefix(strings.TrimSpace(rest), ")")
	rest = strings.TrimSpace(rest)
	if !ok || !quoted || !closed || rest == "" {
		return c, wrong
	}
	operator := rest[:1]
	value, rest, quoted := quotedWord(rest[1:])
	if !strings.Contains("<=>", operator) || !quoted || strings.TrimSpace(rest) != "" {
		return c, wrong
	}
	number, err := strconv.ParseInt(value, 10, 64)
	switch target = strings.TrimSpace(target); target {
	case "value", "val":
		return clientv3.Compare(clientv3.Value(key), operator, value), nil
	case "lease":
		number, err = strconv.ParseInt(value, 16, 64)
	}
	if err != nil {
		return c, wrong
	}
	switch target {
	case "mod", "mod_revision":
		return clientv3.Compare(clientv3.ModRevision(key), operator, number), nil
	case "create", "c", "create_revision":
		return clientv3.Compare(clientv3.CreateRevision(key), operator, number), nil
	case "version", "ver":
		return clientv3.Compare(clientv3.Version(key), operator, number), nil
	case "lease":
		return clientv3.Compare(clientv3.LeaseValue(key), operator, clientv3.LeaseID(number)), nil
	}
	return c, wrong
}

// quotedWord takes a word in quotes off a line.
func quotedWord(line string) (word, rest string, ok bool) {
	quoted, err := strconv.QuotedPrefix(strings.TrimSpace(line))
	if err != nil {
		return "", line, false
	}
	word, err = strconv.Unquote(quoted)
	return word, strings.TrimSpace(line)[len(quoted):], err == nil
}

// words takes a line apart, at blanks that are not in quotes.
func words(line string) (list []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' || line[0] == '`' {
			word, rest, ok := quotedWord(line)
			if !ok {
				return nil, fmt.Errorf("in %.80q a quote is left open", line)
			}
			list, line = append(list, word), rest
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		list, line = append(list, word), rest
	}
	return list, nil
}

// parseOp reads an operation of a transaction.
func parseOp(line string) (op clientv3.Op, err error) {
	list, err := words(line)
	if err != nil {
		return op, err
	}
	verb := ""
	if len(list) > 0 {
		verb = list[0]
	}
	var args []string
	var opts []clientv3.OpOption
	for _, word := range list[min(1, len(list)):] {
		if verb != "put" && word == "--prefix" {
			opts = append(opts, clientv3.WithPrefix())
			continue
		}
		args = append(args, word)
	}
	switch {
	case verb == "put" && len(args) == 2:
		return clientv3.OpPut(args[0], args[1]), nil
	case verb == "get" && len(args) == 1:
		return clientv3.OpGet(args[0], opts...), nil
	case verb == "del" && len(args) == 1:
		return clientv3.OpDelete(args[0], opts...), nil
	}
	return op, fmt.Errorf("%.80q is no operation: put KEY VALUE, get KEY [--prefix] and del KEY [--prefix] are", line)
}
