// Package etcd runs the embedded etcd server, in a process of its own: etcd
// ends its process when a write to its log fails, and a full disk must not
// take the node's daemon with it.
//
// The daemon writes the configuration; this package obeys it. A member that
// has been started before never bootstraps a cluster again, whatever is
// missing from its disk.
package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"argosy/internal/cluster"
)

// State says whether a member founds its cluster or joins one that exists.
type State string

// The states of a cluster that a member starts into.
const (
	New      State = "new"
	Existing State = "existing"
)

// Config is a member's configuration, kept in a file.
type Config struct {
	Name            string `json:"name"` // the node's ID
	Dir             string `json:"dir"`  // data folder
	ListenPeer      string `json:"listenPeer"`
	ListenClient    string `json:"listenClient"`
	AdvertisePeer   string `json:"advertisePeer"`
	AdvertiseClient string `json:"advertiseClient"`
	InitialCluster  string `json:"initialCluster"` // name=peerURL,…
	State           State  `json:"state"`
	Token           string `json:"token"` // the cluster's ID
	CertFile        string `json:"certFile"`
	KeyFile         string `json:"keyFile"`
	CAFile          string `json:"caFile"`
	// Started is a file outside the data folder that says that the member has
	// run before.
	Started string `json:"started"`
	// NoFsync trades durability for speed. For tests only: a power cut then
	// loses acknowledged writes.
	NoFsync bool `json:"noFsync,omitempty"`
}

// Limits and rhythms of a member.
const (
	heartbeatMS      = 250 // at 100, etcd's default, an idle member costs half as much again
	electionMS       = 1250
	quotaBytes       = 4 << 30 // twice etcd's default
	requestMax       = 2 << 20 // bytes; our transactions have 1 MiB of values at most
	txnOpsMax        = 512     // ours have store.TxnOpsMax
	streamsMax       = 1000    // concurrent streams of one client
	historyRevisions = "10000" // what a watch that lost its connection can catch up on
	learnersMax      = 2       // two learners become voters together, so that the voting set stays odd
	snapshotEntries  = 10000
	keepAliveMin     = time.Second // clients ping every 2 s
	progressEvery    = 5 * time.Second
	compactHashEvery = time.Minute
)

// Load reads a configuration and checks it.
func Load(path string) (Config, error) {
	var cfg Config
	text, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("etcd's configuration: %w", err)
	}
	if err := json.Unmarshal(text, &cfg); err != nil {
		return cfg, cluster.Errorf(cluster.Invalid, "%s: %w", path, err)
	}
	return cfg, cfg.Check()
}

// Check returns an Invalid error if something is missing.
func (c Config) Check() error {
	for name, value := range map[string]string{
		"name": c.Name, "dir": c.Dir, "listenPeer": c.ListenPeer, "listenClient": c.ListenClient,
		"advertisePeer": c.AdvertisePeer, "advertiseClient": c.AdvertiseClient, "initialCluster": c.InitialCluster,
		"token": c.Token, "certFile": c.CertFile, "keyFile": c.KeyFile, "caFile": c.CAFile, "started": c.Started,
	} {
		if value == "" {
			return cluster.Errorf(cluster.Invalid, "etcd's configuration has no %s", name)
		}
	}
	if c.State != New && c.State != Existing {
		return cluster.Errorf(cluster.Invalid, "etcd's configuration: state %q is neither new nor existing", c.State)
	}
	return nil
}

// Run serves until ctx ends or etcd does, and calls ready once it is a working
// member.
func Run(ctx context.Context, cfg Config, ready func()) error {
	if err := refuseLostData(cfg); err != nil {
		return err
	}
	settings, err := cfg.embed()
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(settings)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return fmt.Errorf("etcd: %w", err)
	case <-server.Server.StopNotify():
		return errors.New("etcd stopped before it was ready: was this member removed?")
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := os.WriteFile(cfg.Started, []byte(cfg.Token+"\n"), 0o600); err != nil {
		return fmt.Errorf("note that the member has run: %w", err)
	}
	ready()
	select {
	case err := <-server.Err():
		return fmt.Errorf("etcd: %w", err)
	case <-server.Server.StopNotify():
		return errors.New("etcd stopped: was this member removed?")
	case <-ctx.Done():
		return nil // closing hands the leadership on
	}
}

// refuseLostData refuses to start a member whose data is gone: it would found
// a second cluster, or break its promises to the one it was in.
func refuseLostData(cfg Config) error {
	if _, err := os.Stat(cfg.Started); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "member")); err == nil {
		return nil
	}
	return cluster.Errorf(cluster.Conflict, "the data of this member of cluster %s is gone from %s; it will not start again as the same member", cfg.Token, cfg.Dir).
		WithHint("on another server: argosy node rm; here: argosy reset, then join again")
}

// embed turns our configuration into etcd's.
func (c Config) embed() (*embed.Config, error) {
	e := embed.NewConfig()
	e.Name, e.Dir, e.InitialCluster, e.InitialClusterToken, e.ClusterState = c.Name, c.Dir, c.InitialCluster, c.Token, string(c.State)
	for _, u := range []struct {
		text string
		into *[]url.URL
	}{
		{c.ListenPeer, &e.ListenPeerUrls}, {c.ListenClient, &e.ListenClientUrls},
		{c.AdvertisePeer, &e.AdvertisePeerUrls}, {c.AdvertiseClient, &e.AdvertiseClientUrls},
	} {
		parsed, err := url.Parse(u.text)
		if err != nil {
			return nil, cluster.Errorf(cluster.Invalid, "etcd's configuration: %w", err)
		}
		*u.into = []url.URL{*parsed}
	}
	e.ClientTLSInfo.CertFile, e.ClientTLSInfo.KeyFile, e.ClientTLSInfo.TrustedCAFile, e.ClientTLSInfo.ClientCertAuth = c.CertFile, c.KeyFile, c.CAFile, true
	e.PeerTLSInfo = e.ClientTLSInfo
	e.TlsMinVersion = "TLS1.3"
	e.TickMs, e.ElectionMs, e.PreVote = heartbeatMS, electionMS, true
	e.QuotaBackendBytes, e.MaxRequestBytes, e.MaxTxnOps, e.MaxConcurrentStreams = quotaBytes, requestMax, txnOpsMax, streamsMax
	e.AutoCompactionMode, e.AutoCompactionRetention = "revision", historyRevisions
	e.SnapshotCount = snapshotEntries
	e.WatchProgressNotifyInterval, e.GRPCKeepAliveMinTime, e.CompactHashCheckTime = progressEvery, keepAliveMin, compactHashEvery
	e.MaxLearners = learnersMax
	e.EnableGRPCGateway = false
	e.UnsafeNoFsync = c.NoFsync
	gates, ok := e.ServerFeatureGate.(featuregate.MutableFeatureGate)
	if !ok {
		return nil, errors.New("etcd's feature gates are not ours to set")
	}
	// Both are off by default, and both have caught real corruption.
	if err := gates.Set("InitialCorruptCheck=true,CompactHashCheck=true"); err != nil {
		return nil, fmt.Errorf("etcd's feature gates: %w", err)
	}
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(warningsOnly())
	if err := e.Validate(); err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "etcd's configuration: %w", err)
	}
	return e, nil
}

// warningsOnly is a logger to standard error: etcd says much when all is well.
func warningsOnly() *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stderr), zap.WarnLevel))
}
