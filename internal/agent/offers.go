package agent

import (
	"context"
	"slices"
	"strings"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/systemd"
	"argosy/internal/unitfile"
)

// published is what a unit publishes by one text.
type published struct {
	hash cluster.Hash
	unitfile.Published
}

// published returns what a unit publishes by the text of a hash: the one that is wanted,
// or the one that was before it and still runs. Of another nothing is known.
func (c *converger) published(name cluster.UnitName, hash cluster.Hash) unitfile.Published {
	for _, known := range c.texts[name] {
		if known.hash == hash {
			return known.Published
		}
	}
	want, wanted := c.want[name]
	if !wanted || want.Hash != hash {
		return unitfile.Published{}
	}
	return c.know(name, hash, want.Text)
}

// know takes what a text says, and forgets those that neither are wanted nor run.
func (c *converger) know(name cluster.UnitName, hash cluster.Hash, text string) unitfile.Published {
	p := publishedBy(name, text)
	known := slices.DeleteFunc(c.texts[name], func(old published) bool {
		return old.hash == hash || old.hash != c.want[name].Hash && old.hash != c.seen[name].FileHash
	})
	c.texts[name] = append(known, published{hash, p})
	return p
}

// learn finds out what an earlier daemon knew of units that run: what they publish by a
// text that is not wanted any more, and the ports that were chosen for them. What cannot
// be read is not known. It does not expect the mutex.
func (c *converger) learn(ctx context.Context, units []systemd.Unit) {
	for _, u := range units {
		c.mu.Lock()
		unread := u.Ours && u.FileHash != "" && u.FileHash != c.want[u.Name].Hash && !slices.ContainsFunc(c.texts[u.Name], func(p published) bool { return p.hash == u.FileHash })
		c.mu.Unlock()
		if unread {
			c.learnText(ctx, u)
		}
		c.mu.Lock()
		services := autoServices(c.published(u.Name, u.FileHash).Offers)
		unread = len(services) > 0 && c.ports[u.Name] == nil
		c.mu.Unlock()
		if unread {
			c.learnPorts(ctx, u.Name, services)
		}
	}
}

func (c *converger) learnText(ctx context.Context, u systemd.Unit) {
	text, err := c.a.deps.Manager.Text(ctx, u.Name)
	if err != nil {
		c.a.log.Warn("the file of a unit is not read", "unit", u.Name, "err", err)
		return
	}
	if hash := cluster.HashText(text); hash == u.FileHash {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.know(u.Name, hash, text)
	}
}

func (c *converger) learnPorts(ctx context.Context, name cluster.UnitName, services []string) {
	variables, err := c.a.deps.Manager.Environment(ctx, name)
	if err != nil {
		c.a.log.Warn("the variables of a unit are not read", "unit", name, "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if told := portsIn(variables, services); len(told) > 0 && c.ports[name] == nil {
		c.ports[name] = told
	}
}

// publishedBy reads what a unit publishes. Most publish nothing, and a node may have to
// read a thousand texts at once.
func publishedBy(name cluster.UnitName, text string) unitfile.Published {
	if !strings.Contains(text, unitfile.SectionArgosy) {
		return unitfile.Published{}
	}
	file, err := unitfile.Parse(string(name), []byte(text))
	if err != nil {
		return unitfile.Published{} // its systemd says the same
	}
	p, _ := unitfile.PublishedBy(name, file) // it was checked when it was submitted
	return p
}

// offers returns what is told of what a unit publishes; its status is what is known of
// it but for them.
func (c *converger) offers(s cluster.Status, p unitfile.Published) []cluster.Offer {
	whyNot := c.health.whyNot(s.Unit)
	if w := c.leaving[s.Unit]; w != nil {
		whyNot = "it is about to stop: " + w.reason
	}
	return catalog.Announce(withPorts(p.Offers, c.ports[s.Unit]), s, whyNot)
}

// announced returns those of some units that others may be using. Of one that was not
// shown yet, an earlier daemon may have said so.
func (c *converger) announced(names []cluster.UnitName) map[cluster.UnitName]bool {
	all := map[cluster.UnitName]bool{}
	for _, name := range names {
		w, seen := c.leaving[name], c.seen[name]
		shown, is := c.shown[name]
		switch {
		case w != nil:
			all[name] = !w.over
		case is:
			all[name] = shown.Announces()
		default:
			all[name] = cluster.Works(seen.Active) && len(c.published(name, seen.FileHash).Offers) > 0
		}
	}
	return all
}
