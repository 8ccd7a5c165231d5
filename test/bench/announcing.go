package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/lab"
)

const announcingText = `Four lab nodes, three of them servers. Units that publish a service are started one after the other, and killed or
stopped; the daemon of each node is asked through its own socket. What is shown is the time from when systemd on the
unit's node says so until each other node knows.`

const (
	announcingNodes = 4
	announcingUnits = 100 // a third of them are stopped, the others killed
	announcingUnit  = "[Service]\nExecStart=/bin/sleep infinity\n[X-Argosy]\nPublish=s-%i 80\n"
)

// sighting is when a node first told that a service can be used, or cannot.
type sighting struct {
	node    int
	service string
	healthy bool
	on      string        // the name of the service's node
	at      time.Duration // by the kernel's monotonic clock, which all nodes share
}

func measureAnnouncing(ctx context.Context, opts options, t *table) error {
	b := &bench{ctx: ctx, options: opts, table: &table{}}
	_, err := b.lab("announce", announcingNodes, func(l *lab.Lab, _ time.Duration) error { return b.announce(l, t) })
	return err
}

func (b *bench) announce(l *lab.Lab, t *table) error {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	seen := make(chan sighting, 1000)
	for i := 1; i <= announcingNodes; i++ {
		go b.followOn(ctx, l, i, seen)
	}
	c := b.client(l)
	defer c.Close()
	var started, killed, stopped []time.Duration
	for i := range announcingUnits {
		name := cluster.UnitName(fmt.Sprintf("s@%d.service", i))
		if _, err := c.Submit(ctx, wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: name, Text: announcingUnit, Desired: cluster.Launched}}}); err != nil {
			return err
		}
		lags, home, err := b.lags(l, seen, name, i, true, stamped("ActiveEnterTimestampMonotonic"))
		if err != nil {
			return err
		}
		started = append(started, lags...)
		if i%3 == 0 {
			_, err = c.SetDesired(ctx, wire.DesiredRequest{Names: []cluster.UnitName{name}, Desired: cluster.Loaded})
		} else {
			_, err = b.node(l, home).Exec(ctx, nil, nil, nil, "systemctl", "kill", "--signal=KILL", string(name))
		}
		if err != nil {
			return err
		}
		to, since := &killed, stamped("ActiveExitTimestampMonotonic")
		if i%3 == 0 {
			to, since = &stopped, stopping
		}
		if lags, _, err = b.lags(l, seen, name, i, false, since); err != nil {
			return err
		}
		*to = append(*to, lags...)
	}
	t.row("unit ready until another node knows", spread(started, millis), times(started))
	t.row("process killed until another node knows", spread(killed, millis), times(killed))
	t.row("unit told to stop: from when its systemd begins until another node knows", spread(stopped, millis), times(stopped)+"; less than nothing: withdrawn before the signal")
	return nil
}

func times(all []time.Duration) string { return fmt.Sprintf("%d times", len(all)) }

// lags waits until every node has told of a service, and returns how long that took
// each but its own, and the number of that.
func (b *bench) lags(l *lab.Lab, seen <-chan sighting, name cluster.UnitName, i int, healthy bool, since moment) (lags []time.Duration, home int, err error) {
	service := fmt.Sprintf("s-%d", i)
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	var all []sighting
	for len(all) < announcingNodes {
		select {
		case s := <-seen:
			if s.service == service && s.healthy == healthy {
				all = append(all, s)
			}
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("of %s %d nodes know after a minute", service, len(all))
		}
	}
	if home, err = strconv.Atoi(strings.TrimPrefix(all[0].on, "node-")); err != nil {
		return nil, 0, err
	}
	when, err := since(ctx, b.node(l, home), name)
	if err != nil {
		return nil, 0, fmt.Errorf("when %s changed: %w", name, err)
	}
	for _, s := range all {
		if s.node != home {
			lags = append(lags, s.at-when)
		}
	}
	return lags, home, nil
}

// moment finds out on a unit's node when something happened to it.
type moment func(ctx context.Context, n *lab.Node, name cluster.UnitName) (time.Duration, error)

// stamped asks for a time that systemd notes of a unit.
func stamped(property string) moment {
	return func(ctx context.Context, n *lab.Node, name cluster.UnitName) (time.Duration, error) {
		var out bytes.Buffer
		if _, err := n.Exec(ctx, nil, &out, &out, "systemctl", "show", "--value", "-p", property, string(name)); err != nil {
			return 0, err
		}
		return micros(out.String())
	}
}

// stopping waits until systemd says that it stops a unit, and returns when that was: of
// one that has stopped it notes nothing.
func stopping(ctx context.Context, n *lab.Node, name cluster.UnitName) (at time.Duration, err error) {
	return at, until(ctx, func() (said bool, err error) {
		at, said, err = saidToStop(ctx, n, name)
		return said, err
	})
}

func saidToStop(ctx context.Context, n *lab.Node, name cluster.UnitName) (at time.Duration, said bool, err error) {
	var out bytes.Buffer
	if _, err := n.Exec(ctx, nil, &out, &out, "sh", "-c", "journalctl --sync; journalctl -o json -u "+string(name)); err != nil {
		return 0, false, err
	}
	for decoder := json.NewDecoder(&out); ; {
		var entry struct {
			Message string `json:"MESSAGE"`
			At      string `json:"__MONOTONIC_TIMESTAMP"`
		}
		if err := decoder.Decode(&entry); errors.Is(err, io.EOF) {
			return 0, false, nil // not yet
		} else if err != nil {
			return 0, false, err
		}
		if strings.HasPrefix(entry.Message, "Stopping ") {
			at, err := micros(entry.At)
			return at, true, err
		}
	}
}

func micros(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return time.Duration(n) * time.Microsecond, err
}

// followOn tells what a node tells of services, each time that it tells something else.
func (b *bench) followOn(ctx context.Context, l *lab.Lab, i int, seen chan<- sighting) {
	c := client.New(client.Config{Socket: b.node(l, i).Socket()})
	defer c.Close()
	told := map[string]bool{}
	for ctx.Err() == nil {
		_ = c.FollowServices(ctx, client.ServicesQuery{}, func(m wire.Services) error {
			now := monotonic()
			for _, s := range m.Services {
				e := s.Endpoints[0]
				if was, known := told[s.Name]; e.Healthy != was || !known {
					told[s.Name] = e.Healthy
					seen <- sighting{i, s.Name, e.Healthy, e.NodeName, now}
				}
			}
			return nil
		})
	}
}

func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(now.Nano())
}
