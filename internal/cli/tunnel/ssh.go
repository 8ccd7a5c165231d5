package tunnel

import (
	"strconv"
	"strings"
	"time"
)

// SSH is how a machine is reached by ssh. Of what is zero, ssh decides itself,
// by its own files.
type SSH struct {
	User, Host, Port string
	// ConnectMax is how long connecting may take, in whole seconds.
	ConnectMax time.Duration
	// HostKeys is what to do about an unknown key of the host: one of ssh's own
	// words for StrictHostKeyChecking.
	HostKeys   string
	KnownHosts string // the file of known keys
}

// Socket returns the command that connects its standard input and output with a
// unix socket on the machine. Argosy must be on the path there, and the user
// must be root or in the group argosy.
func (s SSH) Socket(path string) []string {
	return append(s.options(), "--", s.Host, "argosy fd-forward "+quoted(path))
}

// Address returns the command that connects its standard input and output with
// host:port, as the machine reaches it.
func (s SSH) Address(hostPort string) []string {
	return append(s.options(), "-W", hostPort, "--", s.Host)
}

func (s SSH) options() []string {
	command := []string{"ssh", "-T"}
	if s.User != "" {
		command = append(command, "-l", s.User)
	}
	if s.Port != "" {
		command = append(command, "-p", s.Port)
	}
	if s.ConnectMax > 0 {
		seconds := max(1, int(s.ConnectMax/time.Second))
		command = append(command, "-o", "ConnectTimeout="+strconv.Itoa(seconds))
	}
	if s.HostKeys != "" {
		command = append(command, "-o", "StrictHostKeyChecking="+s.HostKeys)
	}
	if s.KnownHosts != "" {
		command = append(command, "-o", "UserKnownHostsFile="+s.KnownHosts)
	}
	return command
}

// quoted returns a word as the far side's shell takes it.
func quoted(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
