package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/wholefile"
)

// disk is the daemon's state folder: everything a node must still know after a
// power cut. Every file is replaced whole or not at all.
//
//	identity/            who the node is (pki.Keeper); written last when a
//	                     cluster is formed or joined, removed first when left
//	cluster.json         the cluster's record
//	servers.json         where servers were last reached
//	member.json          "voter" on a server
//	provisional/         what a node of a static list shows its peers until it
//	                     is in the cluster
//	authority.pem        the cluster's CA with its key; servers only
//	etcd-authority.pem   etcd's own CA with its key; servers only
//	etcd*                the store, its settings and its certificates; servers only
//	events/              what this server saw happen, for a day; servers only
//	slice.json           what is placed here (package agent)
//	catalog.json         what services there are, as far as was heard; workers only
//	names.json           the same, as the process that answers names heard it
//	memory.json          what was started of it in this boot (package agent)
type disk struct{ dir string }

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }
func (d disk) identity() string        { return d.path("identity") }
func (d disk) provisional() string     { return d.path("provisional") }

// save writes a value as JSON.
func (d disk) save(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return wholefile.Write(d.path(name), append(text, '\n'), 0o600)
}

// load reads a value that save wrote; found is false if there is none.
func (d disk) load(name string, value any) (found bool, err error) {
	text, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return false, cluster.Errorf(cluster.Internal, "%s is damaged: %w", d.path(name), err).
			WithHint("if this node's data is lost, run: argosy reset, then join again")
	}
	return true, nil
}

// hasEtcd reports whether etcd is installed here, with a vote or without.
func (d disk) hasEtcd() bool {
	_, err := os.Stat(d.path("etcd.json"))
	return err == nil
}

// etcdStarted reports whether etcd has run here since it was installed.
func (d disk) etcdStarted() bool {
	_, err := os.Stat(d.path("etcd.started"))
	return err == nil && d.hasEtcd()
}

// isServer reports whether the node is a voter.
func (d disk) isServer() bool {
	var state cluster.MemberState
	_, err := d.load("member.json", &state)
	return err == nil && state == cluster.MemberVoter && d.hasEtcd()
}

// saveAuthorities keeps the keys that make a server.
func (d disk) saveAuthorities(ca, etcdCA []byte) error {
	return errors.Join(
		wholefile.Write(d.path("authority.pem"), ca, 0o400),
		wholefile.Write(d.path("etcd-authority.pem"), etcdCA, 0o400))
}

// authorities reads them.
func (d disk) authorities() (ca, etcdCA *pki.Authority, err error) {
	for name, into := range map[string]**pki.Authority{"authority.pem": &ca, "etcd-authority.pem": &etcdCA} {
		text, err := os.ReadFile(d.path(name))
		if err != nil {
			return nil, nil, err
		}
		if *into, err = pki.ParseAuthority(text); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", d.path(name), err)
		}
	}
	return ca, etcdCA, nil
}

// dropServer removes what only a server has.
func (d disk) dropServer() error {
	var errs []error
	// The configuration goes first: without it etcd does not start again.
	for _, name := range []string{
		"etcd.json", "etcd.started", "etcd", "etcd-cert.pem", "etcd-key.pem", "etcd-ca.pem", "authority.pem", "etcd-authority.pem",
		"events",
	} {
		errs = append(errs, os.RemoveAll(d.path(name)))
	}
	return errors.Join(errs...)
}

// drop removes everything: the node belongs to no cluster afterwards. The
// identity goes first, so that a half-done removal is not taken for a node.
func (d disk) drop() error {
	err := errors.Join(pki.Remove(d.identity()), d.dropServer())
	for _, name := range []string{"cluster.json", "servers.json", "member.json", "slice.json", "catalog.json", "names.json", "provisional"} {
		err = errors.Join(err, os.RemoveAll(d.path(name)))
	}
	return err
}
