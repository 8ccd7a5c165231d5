package node

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
)

func TestWhatAReloadTakesOver(t *testing.T) {
	was := Config{
		Name: "node-1", Address: netip.MustParseAddr("10.0.0.1"), Labels: map[string]string{"disk": "ssd"},
		Sockets: []string{"/run/a"}, Dir: "/var/lib/a", Timings: cluster.DefaultTimings(), NodeCert: time.Hour,
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		labels map[string]string
		says   string
	}{
		{"nothing has changed", func(*Config) {}, map[string]string{"disk": "ssd"}, `labels="as before"`},
		{"an address that was found is none that was set", func(c *Config) { c.Address = netip.Addr{} }, map[string]string{"disk": "ssd"}, `labels="as before"`},
		{"labels count at once", func(c *Config) { c.Labels = map[string]string{"disk": "hdd"} }, map[string]string{"disk": "hdd"}, "labels=map[disk:hdd]"},
		{"so does their absence", func(c *Config) { c.Labels = nil }, nil, "labels=map[]"},
		{
			"what else changes counts later", func(c *Config) {
				c.Name, c.NodeCert, c.Timings = "node-2", time.Minute, cluster.FastTimings()
				c.Labels = map[string]string{"disk": "hdd"}
			}, map[string]string{"disk": "hdd"}, `keys="CertificateLife Name [Timings]"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			d := &Daemon{cfg: was, deps: Deps{Log: slog.New(slog.NewTextHandler(&log, nil))}}
			next := was
			tt.change(&next)
			d.Reload(next)
			got := d.config()
			if len(got.Labels) != len(tt.labels) || got.Labels["disk"] != tt.labels["disk"] || got.Name != was.Name || !strings.Contains(log.String(), tt.says) {
				t.Errorf("%+v, and the log says\n%s", got, &log)
			}
		})
	}
}
