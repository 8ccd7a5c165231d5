package wire

// Paths of the channel to a process on a node. Both take and answer a stream of
// frames (package channel) in one request of HTTP/2: the client's frames are the
// body of the request, the process's that of the answer.
const (
	PathTerminal    = "/v1/nodes/{id}/terminal"     // POST frames -> frames; passed on to the node
	PathOwnTerminal = "/v1/nodes/{id}/terminal/own" // POST the same, from a server to the node itself; ?by=
)

// Terminal is the first message of a terminal: what is to run on the node, as
// root, in the folder "/".
type Terminal struct {
	// Command is a line for root's shell; "" is the shell itself, as after a
	// login.
	Command string `json:"command,omitempty"`
	// TTY gives the process a terminal; its two outputs are one then.
	TTY bool `json:"tty,omitempty"`
	// Term is the kind of the terminal, and Size its size.
	Term string       `json:"term,omitempty"`
	Size TerminalSize `json:"size,omitzero"`
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// TerminalExit is the last message of a process: its exit code, 128 and the
// signal's number if it was killed.
type TerminalExit struct {
	Code int `json:"code"`
}
