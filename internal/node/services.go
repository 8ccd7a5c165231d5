package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
	"argosy/internal/wholefile"
)

// The services that a node's own systemd runs for us. Each is a process of its
// own, so that the death of one is not that of another.
const (
	DaemonService cluster.UnitName = "argosy.service"
	EtcdService   cluster.UnitName = "argosy-etcd.service"
	PermitService cluster.UnitName = "argosy-permit.service"
	// ResolveService answers names.
	ResolveService cluster.UnitName = "argosy-resolve.service"
)

// serviceTexts are the unit files, with the binary's path and the timings to
// be filled in.
//
// argosy.service: KillMode=process, because a restart of the daemon must leave
// whatever it started alone. The runtime directory survives a restart, since
// the files of running units lie in it.
//
// argosy-etcd.service: etcd ends its process when a write to its log fails, so
// it gets one of its own; it starts only on a server.
//
// argosy-permit.service: systemd kills it when it falls silent, and with it
// what is bound to it.
//
// argosy-resolve.service: a look-up must not wait for a restart of the daemon; it runs on
// nodes of a cluster only, since it takes the port of names.
const serviceTexts = `{{define "argosy.service"}}[Unit]
Description=Argosy node daemon
Wants=network-online.target argosy-etcd.service argosy-permit.service argosy-resolve.service
After=network-online.target dbus.socket

[Service]
Type=notify
ExecStart={{.Binary}} daemon
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=500ms
KillMode=process
OOMScoreAdjust=-900
LimitNOFILE=65536
TasksMax=infinity
RuntimeDirectory=argosy
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=yes
StateDirectory=argosy
StateDirectoryMode=0700

[Install]
WantedBy=multi-user.target
{{end}}{{define "argosy-etcd.service"}}[Unit]
Description=Argosy store (etcd)
ConditionPathExists={{.Dir}}/etcd.json
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={{.Binary}} etcd --config {{.Dir}}/etcd.json
Restart=always
RestartSec=1s
OOMScoreAdjust=-900
LimitNOFILE=65536
TimeoutStartSec=infinity
{{end}}{{define "argosy-permit.service"}}[Unit]
Description=Argosy permit to run exclusive units

[Service]
Type=notify
ExecStart={{.Binary}} permit
Restart=always
RestartSec=1s
WatchdogSec={{.WatchdogSeconds}}
WatchdogSignal=SIGKILL
OOMScoreAdjust=-1000
LimitMEMLOCK=infinity
{{end}}{{define "argosy-resolve.service"}}[Unit]
Description=Argosy names (DNS)
ConditionPathExists={{.Dir}}/cluster.json
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={{.Binary}} resolve
Restart=always
RestartSec=500ms
OOMScoreAdjust=-900
LimitNOFILE=65536
RuntimeDirectory=argosy
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=yes
{{end}}`

// ServiceConfig is what the unit files of our own services depend on.
type ServiceConfig struct {
	Binary  string // absolute path of argosy
	Dir     string // state folder
	Folder  string // where unit files go; "": /etc/systemd/system
	Timings cluster.Timings
}

// InstallServices writes the unit files of our services and makes the daemon
// start at boot. It reports whether anything changed, which calls for a reload
// of systemd.
func InstallServices(cfg ServiceConfig) (changed bool, err error) {
	if cfg.Folder == "" {
		cfg.Folder = "/etc/systemd/system"
	}
	texts, err := template.New("").Parse(serviceTexts)
	if err != nil {
		return false, fmt.Errorf("templates of our services: %w", err)
	}
	values := struct {
		ServiceConfig
		WatchdogSeconds float64
	}{cfg, cfg.Timings.Watchdog.Seconds()}
	for _, name := range []cluster.UnitName{DaemonService, EtcdService, PermitService, ResolveService} {
		var text bytes.Buffer
		if err := texts.ExecuteTemplate(&text, string(name), values); err != nil {
			return changed, fmt.Errorf("text of %s: %w", name, err)
		}
		wrote, err := wholefile.Update(filepath.Join(cfg.Folder, string(name)), text.Bytes(), 0o644)
		if err != nil {
			return changed, err
		}
		changed = changed || wrote
	}
	link := filepath.Join(cfg.Folder, "multi-user.target.wants", string(DaemonService))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return changed, err
	}
	if err := os.Symlink("../"+string(DaemonService), link); err != nil && !os.IsExist(err) {
		return changed, err
	}
	return changed, nil
}

// services starts and stops our own processes through the node's systemd.
type services struct{ manager systemd.Manager }

func (s services) start(ctx context.Context, name cluster.UnitName) error {
	return s.run(ctx, systemd.Start, name)
}

func (s services) restart(ctx context.Context, name cluster.UnitName) error {
	return s.run(ctx, systemd.Restart, name)
}

func (s services) stop(ctx context.Context, name cluster.UnitName) error {
	return s.run(ctx, systemd.Stop, name)
}

func (s services) run(ctx context.Context, verb systemd.Verb, name cluster.UnitName) error {
	result, err := s.manager.Run(ctx, verb, name)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	if result != "done" && result != "skipped" {
		return cluster.Errorf(cluster.Internal, "%s %s: systemd says %q", verb, name, result).
			WithHint("journalctl -u " + string(name))
	}
	return nil
}

// StartDaemon has systemd start the daemon, after a reload if unit files
// changed, and returns when it is ready.
func StartDaemon(ctx context.Context, manager systemd.Manager, changed bool) error {
	if changed {
		if err := manager.Reload(ctx); err != nil {
			return fmt.Errorf("make systemd read the new services: %w", err)
		}
	}
	return services{manager}.start(ctx, DaemonService)
}
