package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/render"
	"argosy/internal/render/keeper"
	"argosy/internal/render/target"
)

const templateHelp = `
Templates are those of Go (text/template) with the functions of confd, and
  service NAME    the healthy endpoints: .Addr .Host .Port .Unit .Node
  endpoint NAME   the first of them
  services        the names of all services
  node, nodes     this node, and all: .ID .Name .Address .Away
  getv KEY [ELSE], get, gets, getvs, exists, ls, lsdir
                  keys of the key space of applications (argosy kv)
docs/reference/templates.md has all of them. A template may also be the value of
a key (key:/templates/lb): all nodes have it then, and follow what it says.`

const templateRenderLong = `Fill a template with what the cluster says now, once, and print it or put it
into a file (-o): whole or not at all, with the owner and the mode of the file
before, and only if --check finds it good.
` + templateHelp

const templateRenderExample = `  argosy template render haproxy.cfg.tmpl
  argosy template render web.conf.tmpl -o web.conf --check 'nginx -t -c {{.src}}'`

const templateWatchLong = `Keep a file as a template and the cluster say: it is filled anew when a service
or a key that the template asks for changes. Changes that come together are
taken in one go. What --check does not find good is not put in place; --exec
runs after each change, and is tried again while it fails. While nobody answers,
the file stays what it was. Under systemd, Type=notify is told when the file is
there for the first time.
` + templateHelp

const templateWatchExample = `  argosy template watch web.conf.tmpl -o web.conf --exec 'systemctl reload nginx'
  argosy template watch key:/templates/web -o web.conf`

func newTemplate(a *app) *cobra.Command {
	return newVerbGroup("template", "Fill templates with services and keys", newTemplateRender(a), newTemplateWatch(a))
}

// keyScheme begins the name of a template that is the value of a key.
const keyScheme = "key:"

// templateFlags are those of both verbs.
type templateFlags struct {
	output, mode, check string
}

func (f *templateFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output-file", "o", "", "the file that is filled")
	flags.StringVar(&f.mode, "mode", "", "its mode, as 0640; that of the file before, or 0644, if not given")
	flags.StringVar(&f.check, "check", "", "a shell command that finds the new text good or not; {{.src}} in it is its file")
}

// job puts together what is to be filled.
func (f templateFlags) job(a *app, path string) (keeper.Job, error) {
	job := keeper.Job{Target: target.Target{Path: f.output, Check: f.check}, Env: map[string]string{}}
	if f.mode != "" {
		mode, err := strconv.ParseUint(f.mode, 8, 12)
		if err != nil || mode > 0o777 {
			return job, misuse("%q is no mode: write for instance 0640", f.mode)
		}
		job.Target.Mode = os.FileMode(mode)
	}
	for _, variable := range os.Environ() {
		key, value, _ := strings.Cut(variable, "=")
		job.Env[key] = value
	}
	if key, is := strings.CutPrefix(path, keyScheme); is {
		job.Key = key
		return job, nil
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return job, cluster.Errorf(cluster.NotFound, "there is no file %s", path)
	case err != nil:
		return job, err
	}
	job.Template, err = render.Parse(filepath.Base(path), string(text))
	return job, err
}

// self returns the node that answers: on a node that is itself.
func self(ctx context.Context, a *app, b Backend) (cluster.NodeID, error) {
	ctx, cancel := a.request(ctx)
	defer cancel()
	page, err := b.Status(ctx)
	return page.Node, err
}

func newTemplateRender(a *app) *cobra.Command {
	var f templateFlags
	cmd := &cobra.Command{
		Use:   "render FILE|key:KEY",
		Short: "Fill a template once",
		Long:  templateRenderLong, Example: templateRenderExample,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := f.job(a, args[0])
			if err != nil {
				return err
			}
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			if job.Self, err = self(cmd.Context(), a, b); err != nil {
				return err
			}
			request, cancel := a.request(cmd.Context())
			defer cancel()
			text, err := keeper.Once(request, b, job)
			if err != nil {
				return err
			}
			if f.output == "" {
				a.printf("%s", text)
				return nil
			}
			changed, err := job.Target.Put(cmd.Context(), text)
			if err == nil {
				a.notef("%s  %s", f.output, map[bool]string{true: "changed", false: "unchanged"}[changed])
			}
			return err
		},
	}
	f.bind(cmd)
	return cmd
}

func newTemplateWatch(a *app) *cobra.Command {
	var f templateFlags
	var after string
	every := 500 * time.Millisecond
	cmd := &cobra.Command{
		Use:   "watch FILE|key:KEY -o FILE",
		Short: "Keep a file as a template and the cluster say",
		Long:  templateWatchLong, Example: templateWatchExample,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.output == "" {
				return misuse("-o says which file is to be kept")
			}
			job, err := f.job(a, args[0])
			if err != nil {
				return err
			}
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			log := a.serviceLog()
			job.Target.After, job.Every, job.Log = after, every, log
			if job.Self, err = a.selfPatiently(cmd.Context(), b, log); err != nil {
				return nil //nolint:nilerr // it was interrupted
			}
			job.Ready = func() { a.notifySystemd(log, daemon.SdNotifyReady) }
			if err := keeper.Keep(cmd.Context(), b, job); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("keep %s: %w", f.output, err)
			}
			return nil
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&after, "exec", "", "a shell command that is run after each change of the file")
	cmd.Flags().DurationVar(&every, "every", every, "the least time between two changes of the file")
	return cmd
}

// selfPatiently is self for who starts with its node, whose daemon may start later.
func (a *app) selfPatiently(ctx context.Context, b Backend, log *slog.Logger) (id cluster.NodeID, err error) {
	pace := loop.Pace{Every: watchRetry}
	said := ""
	for {
		if err := pace.Wait(ctx); err != nil {
			return "", err
		}
		if id, err = self(ctx, a, b); err == nil {
			return id, nil
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn("the node does not answer yet", "err", err)
		}
	}
}
