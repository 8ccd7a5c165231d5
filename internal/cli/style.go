package cli

// The escape sequences in use. Colour repeats what the words say, for those who
// see it; nothing is said by colour alone.
const (
	styleGood  = "\x1b[32m"
	styleBad   = "\x1b[31m"
	styleWarn  = "\x1b[33m"
	styleReset = "\x1b[0m"
	// clearLine goes to the begin of the line and empties it.
	clearLine = "\r\x1b[K"
)

// ansi reports whether escape sequences may be written to a stream.
func (a *app) ansi(stream any) bool {
	return a.env.IsTerminal(stream) && a.env.Getenv("TERM") != "dumb"
}

// colour reports whether a stream may be coloured (no-color.org).
func (a *app) colour(stream any) bool {
	return a.ansi(stream) && a.env.Getenv("NO_COLOR") == ""
}

// paint colours a text for a stream, if that may be.
func (a *app) paint(stream any, style, text string) string {
	if style == "" || !a.colour(stream) {
		return text
	}
	return style + text + styleReset
}

// styleOf returns the style of a word that systemd or the cluster uses for a
// state.
func styleOf(word string) string {
	switch word {
	case "active", "ready", "launched", "healthy":
		return styleGood
	case "failed", "dead", "error":
		return styleBad
	case "pending", "lost", "unknown", "activating", "deactivating", "reloading":
		return styleWarn
	}
	return ""
}
