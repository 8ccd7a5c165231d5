// Package render fills templates with what is found in the cluster: services, where they
// are, and the keys of applications. The language is that of text/template, with the
// functions that confd has, and a few that know of services.
//
// It is pure: what a template is filled with is handed in. Which keys it needs shows
// only while it is filled; a Result says which of them were not there, so that its
// caller can fetch them and fill it once more.
package render

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"argosy/internal/cluster"
)

// Limits.
const (
	TextMax   = 1 << 20  // bytes of a template
	ResultMax = 16 << 20 // bytes of what it is filled to
)

// Data is what a template is filled with.
type Data struct {
	// Keys are those of applications, as far as they were asked for: all that begin
	// with one of Known.
	Keys     map[string]string
	Known    []string
	Services []cluster.Service // by name
	Nodes    []cluster.Whereabouts
	Self     cluster.NodeID // the node on which the template is filled
	Env      map[string]string
	Now      time.Time
}

// Result is a filled template.
type Result struct {
	Text []byte
	// Missing are the beginnings of keys that the template asks for and that are not
	// known: the text is not to be used before they are.
	Missing []string
	// Services are the names of those that it asks for; AllServices is set if it asks
	// which there are. Keys are the beginnings of keys that it asks for.
	Services    []string
	AllServices bool
	Keys        []string
}

// Template is a template that was read. It may be filled concurrently.
type Template struct {
	name string
	tree *template.Template
}

// Parse reads a template. An error is Invalid, and names the file and the line.
func Parse(name, text string) (*Template, error) {
	if len(text) > TextMax {
		return nil, cluster.Errorf(cluster.Invalid, "%s has %d bytes; the limit of a template is %d", name, len(text), TextMax)
	}
	tree, err := template.New(name).Funcs((&filling{}).functions()).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, wrong(name, err)
	}
	for _, t := range tree.Templates() {
		if t.Tree != nil {
			countRounds(t.Root, roundNode())
			t.Root.Nodes = append([]parse.Node{roundNode()}, t.Root.Nodes...) // one that calls itself is a loop, too
		}
	}
	return &Template{name, tree}, nil
}

// Fill fills the template. An error is Invalid: what the template wants is not there,
// or is not as it wants it.
func (t *Template) Fill(d Data) (Result, error) {
	f := &filling{data: d}
	tree, err := t.tree.Clone()
	if err != nil {
		return Result{}, wrong(t.name, err)
	}
	var text limited
	err = tree.Funcs(f.functions()).Execute(&text, nil)
	r := Result{Missing: sorted(f.missing), Services: sorted(f.services), AllServices: f.all, Keys: sorted(f.keys)}
	if err != nil && len(r.Missing) > 0 {
		return r, nil // what failed may be for want of them
	}
	r.Text = text.bytes
	if err != nil {
		return r, wrong(t.name, err)
	}
	return r, nil
}

// wrong makes one sentence of an error of text/template: "haproxy.cfg.tmpl:12: key /a is
// not there".
func wrong(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	if at := regexp.MustCompile(`^` + regexp.QuoteMeta(name) + `:(\d+)(?::\d+)?: `).FindStringSubmatch(text); at != nil {
		text = strings.TrimPrefix(text, at[0])
		name += ":" + at[1]
	}
	// What is wrong stands last, after where in the template that is.
	var own *cluster.Error
	if errors.As(err, &own) {
		return cluster.Errorf(cluster.Invalid, "%s: %s", name, own.Error()).WithHint(cluster.HintOf(own))
	}
	return cluster.Errorf(cluster.Invalid, "%s: %s", name, text)
}

// limited takes what a template is filled to, up to the limit.
type limited struct{ bytes []byte }

func (l *limited) Write(p []byte) (int, error) {
	if len(l.bytes)+len(p) > ResultMax {
		return 0, cluster.Errorf(cluster.Invalid, "it is filled to more than %d bytes", ResultMax)
	}
	l.bytes = append(l.bytes, p...)
	return len(p), nil
}

// filling is one time that a template is filled.
type filling struct {
	data     Data
	missing  map[string]bool
	keys     map[string]bool
	services map[string]bool
	all      bool
	rounds   int
}

func note(set *map[string]bool, what string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[what] = true
}

func sorted(set map[string]bool) []string {
	var list []string
	for what := range set {
		list = append(list, what)
	}
	slices.Sort(list)
	return list
}

// Endpoint is where a service is reached, as templates see it: in plain texts, which
// all functions take.
type Endpoint struct {
	Service, Unit, Instance string
	Node, NodeID            string // the node's name, and its ID
	Address                 string
	Host                    string // the address, in brackets if it is one of IPv6
	Port                    int
	Addr                    string // host and port
	Protocol                string
	Parameters              map[string]string
}

// Node is where a node is, as templates see it.
type Node struct {
	Name, ID, Address string
	Away              bool
}

// service returns the endpoints of a service that may be used, in a fixed order.
func (f *filling) service(name string) []Endpoint {
	note(&f.services, name)
	var list []Endpoint
	for _, s := range f.data.Services {
		for _, e := range s.Endpoints {
			if s.Name == name && e.Healthy {
				list = append(list, endpointOf(e))
			}
		}
	}
	return list
}

func endpointOf(e cluster.Endpoint) Endpoint {
	host := e.Address.String()
	if e.Address.Is6() {
		host = "[" + host + "]"
	}
	return Endpoint{
		Service: e.Service, Unit: string(e.Unit), Instance: e.Unit.Instance(), Node: e.NodeName, NodeID: string(e.Node),
		Address: e.Address.String(), Host: host, Port: int(e.Port), Addr: host + ":" + strconv.Itoa(int(e.Port)),
		Protocol: e.Protocol, Parameters: e.Parameters,
	}
}

// endpoint returns the first endpoint of a service; there must be one.
func (f *filling) endpoint(name string) (Endpoint, error) {
	list := f.service(name)
	if len(list) == 0 {
		return Endpoint{}, cluster.Errorf(cluster.Invalid, "service %s has no healthy endpoint", name).WithHint("service " + strconv.Quote(name) + " returns a list, which may be empty")
	}
	return list[0], nil
}

func (f *filling) serviceNames() []string {
	f.all = true
	names := []string{}
	for _, s := range f.data.Services {
		names = append(names, s.Name)
	}
	return names
}

// node returns where the node is on which the template is filled.
func (f *filling) node() (Node, error) {
	for _, n := range f.nodes() {
		if n.ID == string(f.data.Self) {
			return n, nil
		}
	}
	return Node{}, cluster.Errorf(cluster.Invalid, "where this node is, is not known yet")
}

// nodes returns where all nodes are.
func (f *filling) nodes() []Node {
	var list []Node
	for _, n := range f.data.Nodes {
		list = append(list, Node{n.Name, string(n.ID), n.Address.String(), n.Away})
	}
	return list
}

// Functions returns the names of all functions that templates can call.
func Functions() []string {
	var names []string
	for name := range (&filling{}).functions() {
		if name != roundName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// functions are those that templates can call. confd's are called and behave as there
// (its docs/templates.md), but for those that ask the network.
func (f *filling) functions() template.FuncMap {
	all := template.FuncMap{
		"service": f.service, "endpoint": f.endpoint, "services": f.serviceNames,
		"node": f.node, "nodes": f.nodes,
		"get": f.get, "gets": f.gets, "getv": f.getv, "getvs": f.getvs, "exists": f.exists, "ls": f.ls, "lsdir": f.lsdir,
		"getenv":   f.getenv,
		roundName:  f.round,
		"datetime": func() time.Time { return f.data.Now },
	}
	for name, function := range plainFunctions() {
		all[name] = function
	}
	return all
}

func (f *filling) getenv(name string, other ...string) string {
	value := f.data.Env[name]
	if value == "" && len(other) > 0 {
		return other[0]
	}
	return value
}

// noKey says that a key is not there.
func noKey(key string) error {
	return cluster.Errorf(cluster.Invalid, "key %s is not there", key).WithHint(fmt.Sprintf("give it a value, or write getv %q with another argument to be taken instead", key))
}
