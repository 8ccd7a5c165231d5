package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"argosy/internal/api/client"
	"argosy/internal/cli/contexts"
	"argosy/internal/etcd"
	"argosy/internal/hostdns"
	"argosy/internal/hostnet"
	"argosy/internal/node"
	"argosy/internal/permit"
	"argosy/internal/resolve"
	"argosy/internal/systemd/bus"
)

// The processes of a node. systemd runs them; nobody types these.

const daemonLong = `The node's daemon: it keeps the units that are placed on this machine running
through systemd, and on servers it leads and serves the API. It is started by
argosy.service. Ending it stops no unit.`

func newDaemon(a *app) *cobra.Command {
	config := node.ConfigPath
	cmd := &cobra.Command{
		Use:    "daemon",
		Short:  "Run the node's daemon (systemd does)",
		Long:   daemonLong,
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := node.LoadConfig(config)
			if err != nil {
				return err
			}
			log := a.serviceLog()
			manager := bus.New(bus.Config{Log: log})
			d, err := node.New(cfg, node.Deps{
				Manager: manager, Journal: bus.Journal{}, Log: log,
				Ready: func() { a.notifySystemd(log, daemon.SdNotifyReady) }, Version: buildVersion(), Group: user.LookupGroup,
			})
			if err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(cmd.Context())
			group.Go(func() error { return manager.Keep(ctx) })
			group.Go(func() error { return d.Run(ctx) })
			group.Go(func() error { return onHangup(ctx, func() { reload(d, config, log) }) })
			if err := group.Wait(); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", config, "read this `file`, if it exists")
	return cmd
}

// onHangup calls f at each SIGHUP, until ctx ends. The daemon has no terminal that
// could go away: the signal asks it to read its configuration again.
func onHangup(ctx context.Context, f func()) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-hangups:
			f()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reload has a daemon take over what its configuration says now. One that is
// refused changes nothing.
func reload(d *node.Daemon, path string, log *slog.Logger) {
	cfg, err := node.LoadConfig(path)
	if err != nil {
		log.Error("the configuration is refused, that of before counts", "err", err)
		return
	}
	d.Reload(cfg)
}

func newEtcd(a *app) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:    "etcd",
		Short:  "Run the store of a server (systemd does)",
		Long:   "The store of a server, in a process of its own. It is started by argosy-etcd.service\nwith a configuration that the daemon has written.",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := etcd.Load(config)
			if err != nil {
				return err
			}
			log := a.serviceLog()
			signal.Ignore(syscall.SIGHUP) // there is nothing to read again
			return etcd.Run(cmd.Context(), cfg, func() { a.notifySystemd(log, daemon.SdNotifyReady) })
		},
	}
	cmd.Flags().StringVar(&config, "config", "/var/lib/argosy/etcd.json", "the configuration `file` that the daemon wrote")
	return cmd
}

func newPermit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "permit",
		Short:  "Hold this node's permit to run exclusive units (systemd does)",
		Long:   "The process that ends exclusive units when the node's permit does. It is started by\nargosy-permit.service, whose watchdog kills it when it falls silent.",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := a.serviceLog()
			signal.Ignore(syscall.SIGHUP) // there is nothing to read again
			cfg := permit.Config{Socket: node.PermitSocket, Marker: node.PermitMarker, Watchdog: a.watchdog()}
			err := permit.Run(cmd.Context(), cfg, permit.Deps{Log: log, Notify: func(state string) error {
				_, err := daemon.SdNotify(false, state)
				return err
			}})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
}

func newResolve(a *app) *cobra.Command {
	config := node.ConfigPath
	cmd := &cobra.Command{
		Use:    "resolve",
		Short:  "Answer names on this node (systemd does)",
		Long:   "The process that answers names of the cluster and of others (DNS). It is started by\nargosy-resolve.service, and goes on with what it knows while the daemon is away.",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := node.LoadConfig(config)
			if err != nil {
				return err
			}
			names, err := node.NamesConfig(cfg)
			if err != nil {
				return err
			}
			log := a.serviceLog()
			signal.Ignore(syscall.SIGHUP) // what it is told counts from its next start
			err = a.resolve(cmd.Context(), names, client.New(client.Config{Socket: cfg.Sockets[0]}), log)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().StringVar(&config, "config", config, "read this `file`, if it exists")
	return cmd
}

// resolve answers names until ctx ends. The connection to systemd lasts longer: at the
// end resolved is told.
func (a *app) resolve(ctx context.Context, cfg resolve.Config, source *client.Client, log *slog.Logger) error {
	manager := bus.New(bus.Config{Log: log})
	keep, done := context.WithCancel(context.WithoutCancel(ctx))
	var kept errgroup.Group
	kept.Go(func() error { return manager.Keep(keep) })
	defer func() { done(); _ = kept.Wait() }() // that it was ended is no news
	return resolve.Run(ctx, cfg, resolve.Deps{
		Source: source, Host: hostdns.Host{Root: "/", Manager: manager}, Log: log,
		Address:       func() error { return hostnet.EnsureOwnAddress(resolve.OwnAddress()) },
		RemoveAddress: func() error { return hostnet.RemoveOwnAddress(resolve.OwnAddress()) },
		Ready:         func() { a.notifySystemd(log, daemon.SdNotifyReady) },
	})
}

// serviceLog logs to standard error, which systemd keeps with its own time.
func (a *app) serviceLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		},
	}))
}

// notifySystemd tells systemd about this process, if it was started by it.
func (a *app) notifySystemd(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "err", err)
	}
}

// watchdog returns the interval in which systemd wants to hear of us, 0 if it
// does not say.
func (a *app) watchdog() time.Duration {
	usec, err := strconv.ParseInt(a.env.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// ensureDaemon has this machine's daemon installed and started, if none listens:
// so that "argosy init" needs nothing but the binary.
func (a *app) ensureDaemon(ctx context.Context) error {
	if a.env.Install == nil {
		return nil
	}
	_, named, err := a.namedTarget()
	if err != nil || named {
		return err // another daemon was named; it is not ours to start
	}
	if _, err := os.Stat(contexts.LocalSocket); err == nil {
		return nil
	}
	a.notef("installing and starting argosy.service")
	return a.env.Install(ctx, a.serviceLog())
}

// InstallDaemon writes the services of a node into the host's systemd and starts
// the daemon. It changes the machine it runs on; only main hands it to Run.
func InstallDaemon(ctx context.Context, log *slog.Logger) error {
	cfg, err := node.LoadConfig(node.ConfigPath)
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	changed, err := node.InstallServices(node.ServiceConfig{Binary: binary, Dir: cfg.Dir, Timings: cfg.Timings})
	if err != nil {
		return fmt.Errorf("install the services: %w", err)
	}
	manager := bus.New(bus.Config{Log: log})
	group, ctx := errgroup.WithContext(ctx)
	ctx, done := context.WithCancel(ctx)
	group.Go(func() error { return manager.Keep(ctx) })
	err = node.StartDaemon(ctx, manager, changed)
	done()
	_ = group.Wait() // the connection's end is ours
	return err
}
