package wire

import (
	"strings"

	"ftpfs/conn"
)

// iac is Telnet's "interpret as command" (RFC 854), with which a control
// connection has it that a byte of that value is doubled (RFC 959, 3.1.1.5).
const iac = "\xff"

// OnWire returns a command, or a path, as it is sent: in the server's charset,
// and with the byte 0xFF doubled where it wants that (Manners.Telnet). The
// error wraps conn.ErrEncoding.
func (c *Control) OnWire(line string) (string, error) {
	wire, err := c.server.cfg.Charset.Encode(line)
	if err != nil || strings.IndexByte(wire, iac[0]) < 0 {
		return wire, err
	}
	c.mu.Lock()
	telnet := c.manners.Telnet
	c.mu.Unlock()
	if telnet {
		wire = strings.ReplaceAll(wire, iac, iac+iac)
	}
	return wire, nil
}

// onWire is OnWire of commands.
func (c *Control) onWire(lines []string) ([]string, error) {
	wire := make([]string, len(lines))
	for i, l := range lines {
		var err error
		if wire[i], err = c.OnWire(l); err != nil {
			return nil, &conn.Error{Op: verbOf(l), Outcome: conn.Refused, Err: err}
		}
	}
	return wire, nil
}

// Decode returns a line of the server's, of a reply or a listing, as it is
// shown here. In replies no server has been seen to double 0xFF.
func (c *Control) Decode(line string) string { return c.server.cfg.Charset.Decode(line) }

// decode is Decode of a reply.
func (c *Control) decode(r Reply) Reply {
	for i, l := range r.Lines {
		r.Lines[i] = c.Decode(l)
	}
	return r
}
