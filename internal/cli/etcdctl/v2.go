package etcdctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/v2keys"
)

// The exit codes of version 2.
const (
	v2BadArgs       = 1
	v2BadConnection = 2
	v2Refused       = 4
	v2Unhealthy     = 5
)

const v2Long = `Verbs of version 2 of etcd's API: keys and directories, as on CoreOS. Those of
version 3 are there, too: put, del, txn, lease and endpoint are always meant so,
get, watch and member with ETCDCTL_API=3 or a flag that only version 3 has.`

// v2 is the tree of version 2.
func (a *app) v2() *cobra.Command {
	a.badArgs, a.begin = v2BadArgs, "Error:  "
	root := a.newRoot("Keys and directories in the cluster's store", v2Long)
	flags := root.PersistentFlags()
	flags.StringVar(&a.endpoints, "endpoint", a.endpoints, "the same as --endpoints")
	flags.StringVarP(&a.endpoints, "peers", "C", a.endpoints, "the same as --endpoints")
	flags.StringVarP(&a.output, "output", "o", "simple", "the form: `simple`, extended or json")
	flags.DurationVar(&a.timeout, "timeout", 5*time.Second, "give up on a request after this long")
	for _, gone := range []string{"no-sync", "debug"} {
		flags.Bool(gone, false, "means nothing here")
		_ = flags.MarkHidden(gone)
	}
	total := flags.Duration("total-timeout", 0, "the same as --timeout")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if *total > 0 {
			a.timeout = *total
		}
		if a.output != "simple" && a.output != "extended" && a.output != "json" {
			return fmt.Errorf("there is no form %q: simple, extended or json", a.output)
		}
		return nil
	}
	root.AddCommand(
		a.v2Get(), a.v2Ls(), a.v2Write("set", "Set a key"), a.v2Write("mk", "Make a key that there is not yet"), a.v2Write("update", "Set a key that is there"),
		a.v2Dir("mkdir", "Make a directory that there is not yet"), a.v2Dir("setdir", "Make a directory"), a.v2Dir("updatedir", "Set how long a directory lasts"),
		a.v2Rm(), a.v2Rmdir(), a.v2Watch(), a.v2ExecWatch(), a.v2Member(), a.v2Health(),
		a.verb("version", "Print the version", cobra.NoArgs, v2Refused, func(*cobra.Command, []string) error { return a.version(2) }),
	)
	return root
}

// answer is an answer of version 2, with the index of its header.
type answer struct {
	v2keys.Answer
	index string
}

// call asks the endpoints in turn until one answers.
func (a *app) call(ctx context.Context, method, key string, form url.Values) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.stream(ctx, method, key, form)
}

// stream is call without a limit of time.
func (a *app) stream(ctx context.Context, method, key string, form url.Values) (answer, error) {
	path := (&url.URL{Path: "/v2/keys/" + strings.TrimLeft(key, "/")}).EscapedPath()
	text, index, err := a.http(ctx, method, path, form)
	if err != nil {
		return answer{}, err
	}
	out := answer{index: index}
	if err := json.Unmarshal(text, &out.Answer); err != nil || out.Node == nil {
		return out, fmt.Errorf("read the answer %.80q: %w", text, errors.Join(err, errors.New("it is none of version 2's")))
	}
	return out, nil
}

// http asks the endpoints in turn until one answers, and returns the body.
func (a *app) http(ctx context.Context, method, path string, form url.Values) (text []byte, index string, err error) {
	var tried []string
	for _, endpoint := range a.addresses() {
		text, index, err = one(ctx, method, endpoint+path, form)
		if e, ok := errors.AsType[*v2keys.Error](err); err == nil || ok && e.Code != v2keys.RaftInternal {
			return text, index, err
		}
		tried = append(tried, fmt.Sprintf("error #%d: %v", len(tried), err))
	}
	if e, ok := errors.AsType[*v2keys.Error](err); ok {
		return nil, "", e
	}
	return nil, "", &exitError{v2Refused, fmt.Errorf("client: etcd cluster is unavailable or misconfigured; %s", strings.Join(tried, "; "))}
}

func one(ctx context.Context, method, address string, form url.Values) (text []byte, index string, err error) {
	var body io.Reader
	if method == http.MethodPut || method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else if len(form) > 0 {
		address += "?" + form.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err = io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		refusal := &v2keys.Error{}
		if json.Unmarshal(text, refusal) != nil || refusal.Code == 0 {
			return nil, "", fmt.Errorf("%s answers %s: %.200s", address, response.Status, bytes.TrimSpace(text))
		}
		return nil, "", refusal
	}
	return text, response.Header.Get("X-Etcd-Index"), err
}

// show prints an answer about one key.
func (a *app) show(r answer) {
	value := func(n *v2keys.Node) string {
		if n == nil || n.Value == nil {
			return ""
		}
		return *n.Value
	}
	gone := r.Action == "delete"
	switch a.output {
	case "json":
		text, _ := json.Marshal(r.Answer) // of what was JSON before
		a.printf("%s\n", text)
	case "extended":
		a.printf("Key: %s\nCreated-Index: %d\nModified-Index: %d\n", r.Node.Key, r.Node.Created, r.Node.Modified)
		if r.Prev != nil {
			a.printf("PrevNode.Value: %s\n", value(r.Prev))
		}
		a.printf("TTL: %d\nIndex: %s\n", r.Node.TTL, r.index)
		if !gone {
			a.printf("\n%s\n", value(r.Node))
		}
	default:
		if gone {
			a.printf("PrevNode.Value: %s\n", value(r.Prev))
		} else {
			a.printf("%s\n", value(r.Node))
		}
	}
}

func (a *app) v2Get() *cobra.Command {
	cmd := a.verb("get KEY", "Print the value of a key", cobra.ExactArgs(1), v2Refused, func(cmd *cobra.Command, args []string) error {
		r, err := a.call(cmd.Context(), http.MethodGet, args[0], nil)
		if e, ok := errors.AsType[*v2keys.Error](err); ok && e.Code == v2keys.KeyNotFound && !strings.HasPrefix(args[0], "/") {
			return fmt.Errorf("%w\nhint: this is version 2 of the API; ETCDCTL_API=3 reads what put wrote as %q", err, args[0])
		}
		if err != nil {
			return err
		}
		if r.Node.Dir {
			fmt.Fprintf(a.env.Stderr, "%s: is a directory\n", r.Node.Key)
			return &exitError{code: v2BadArgs}
		}
		a.show(r)
		return nil
	})
	cmd.Flags().Bool("sort", false, "what is printed is sorted")
	cmd.Flags().BoolP("quorum", "q", false, "every read is one of the quorum")
	return cmd
}

func (a *app) v2Ls() *cobra.Command {
	var recursive, slash bool
	cmd := a.verb("ls [KEY]", "List a directory", cobra.MaximumNArgs(1), v2Refused, func(cmd *cobra.Command, args []string) error {
		r, err := a.call(cmd.Context(), http.MethodGet, strings.Join(args, ""), url.Values{"recursive": {strconv.FormatBool(recursive)}, "sorted": {"true"}})
		if err != nil {
			return err
		}
		if a.output != "simple" {
			a.show(r)
			return nil
		}
		if !r.Node.Dir {
			a.printf("%s\n", r.Node.Key)
			return nil
		}
		a.list(r.Node.Nodes, slash)
		return nil
	})
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "all that is below, too")
	cmd.Flags().BoolVarP(&slash, "p", "p", false, "print directories with a slash")
	cmd.Flags().Bool("sort", false, "what is printed is sorted")
	cmd.Flags().BoolP("quorum", "q", false, "every read is one of the quorum")
	return cmd
}

func (a *app) list(nodes []*v2keys.Node, slash bool) {
	for _, n := range nodes {
		if n.Dir && slash {
			a.printf("%s/\n", n.Key)
		} else {
			a.printf("%s\n", n.Key)
		}
		a.list(n.Nodes, slash)
	}
}

// v2Write makes set, mk and update.
func (a *app) v2Write(name, short string) *cobra.Command {
	var ttl, index uint64
	var value string
	var inOrder bool
	cmd := a.verb(name+" KEY [VALUE]", short+"; without a value, to the standard input", cobra.RangeArgs(1, 2), v2Refused, func(cmd *cobra.Command, args []string) error {
		text, err := a.valueOf(args)
		if err != nil {
			return err
		}
		form, method := url.Values{"value": {text}}, http.MethodPut
		setTTL(form, ttl)
		switch name {
		case "mk":
			if form.Set("prevExist", "false"); inOrder {
				form.Del("prevExist")
				method = http.MethodPost
			}
		case "update":
			form.Set("prevExist", "true")
		}
		condition(form, value, index)
		r, err := a.call(cmd.Context(), method, args[0], form)
		if err != nil {
			return err
		}
		a.show(r)
		return nil
	})
	cmd.Flags().Uint64Var(&ttl, "ttl", 0, "how many `seconds` it lasts; 0: for good")
	if name == "set" {
		cmd.Flags().StringVar(&value, "swap-with-value", "", "only if it has this `value`")
		cmd.Flags().Uint64Var(&index, "swap-with-index", 0, "only if it was changed last at this `index`")
	}
	if name == "mk" {
		cmd.Flags().BoolVar(&inOrder, "in-order", false, "in the directory KEY, with a name that sorts last")
	}
	return cmd
}

func setTTL(form url.Values, ttl uint64) {
	if ttl > 0 {
		form.Set("ttl", strconv.FormatUint(ttl, 10))
	}
}

func condition(form url.Values, value string, index uint64) {
	if value != "" {
		form.Set("prevValue", value)
	}
	if index > 0 {
		form.Set("prevIndex", strconv.FormatUint(index, 10))
	}
}

// v2Dir makes mkdir, setdir and updatedir.
func (a *app) v2Dir(name, short string) *cobra.Command {
	var ttl uint64
	cmd := a.verb(name+" KEY", short, cobra.ExactArgs(1), v2Refused, func(cmd *cobra.Command, args []string) error {
		form := url.Values{"dir": {"true"}}
		setTTL(form, ttl)
		switch name {
		case "mkdir":
			form.Set("prevExist", "false")
		case "updatedir":
			form.Set("prevExist", "true")
		}
		r, err := a.call(cmd.Context(), http.MethodPut, args[0], form)
		if err == nil && a.output != "simple" {
			a.show(r)
		}
		return err
	})
	cmd.Flags().Uint64Var(&ttl, "ttl", 0, "how many `seconds` it lasts, with all in it; 0: for good")
	return cmd
}

func (a *app) v2Rm() *cobra.Command {
	var dir, recursive bool
	var value string
	var index uint64
	cmd := a.verb("rm KEY", "Remove a key, or a directory", cobra.ExactArgs(1), v2Refused, func(cmd *cobra.Command, args []string) error {
		form := url.Values{"dir": {strconv.FormatBool(dir)}, "recursive": {strconv.FormatBool(recursive)}}
		condition(form, value, index)
		r, err := a.call(cmd.Context(), http.MethodDelete, args[0], form)
		if err == nil && (!r.Node.Dir || a.output != "simple") {
			a.show(r)
		}
		return err
	})
	cmd.Flags().BoolVar(&dir, "dir", false, "a directory, if it is empty")
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "a directory with all in it")
	cmd.Flags().StringVar(&value, "with-value", "", "only if it has this `value`")
	cmd.Flags().Uint64Var(&index, "with-index", 0, "only if it was changed last at this `index`")
	return cmd
}

func (a *app) v2Rmdir() *cobra.Command {
	return a.verb("rmdir KEY", "Remove a key, or a directory that is empty", cobra.ExactArgs(1), v2Refused, func(cmd *cobra.Command, args []string) error {
		r, err := a.call(cmd.Context(), http.MethodDelete, args[0], url.Values{"dir": {"true"}})
		if err == nil && (!r.Node.Dir || a.output != "simple") {
			a.show(r)
		}
		return err
	})
}

// version prints which etcd's API this speaks.
func (a *app) version(api int) error {
	a.printf("etcdctl version: %s (argosy)\nAPI version: %d\n", etcdVersion(), api)
	return nil
}
