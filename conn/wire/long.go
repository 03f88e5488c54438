package wire

import (
	"fmt"
	"strings"

	"ftpfs/conn"
)

// long reports whether a command is longer than the server takes: some then
// take its end for another command.
func (c *Control) long(line string) bool {
	wire, err := c.OnWire(line)
	c.mu.Lock()
	defer c.mu.Unlock()
	return err == nil && c.manners.MaxLine > 0 && len(wire) > c.manners.MaxLine
}

// shorten makes a long command with an absolute path a short one, by going to
// the path's directory, unless that is the current one. A directory that
// refuses is the command's answer: refused is true then.
//
// Between RNFR and RNTO nothing may be sent, so the second path must be in the
// directory of the first.
func (c *Control) shorten(line string) (short string, refusal Reply, refused bool, err error) {
	i := strings.Index(line, " /")
	slash := strings.LastIndexByte(line, '/')
	if !c.long(line) || i < 0 {
		return line, Reply{}, false, nil
	}
	verb, dir, name := line[:i], line[i+1:max(slash, i+2)], line[slash+1:]
	if dir != c.cwd {
		if verb == "RNTO" {
			return "", Reply{}, false, tooLong(line)
		}
		if refusal, refused, err = c.goTo(dir); refused || err != nil {
			return "", refusal, refused, err
		}
	}
	if short = verb + " ./" + name; c.long(short) {
		return "", Reply{}, false, tooLong(line)
	}
	return short, Reply{}, false, nil
}

// goTo makes dir the current directory, in steps as long as the server takes.
func (c *Control) goTo(dir string) (refusal Reply, refused bool, err error) {
	c.cwd = ""
	var steps []string
	step := "/"
	for _, name := range strings.Split(strings.Trim(dir, "/"), "/") {
		if c.long("CWD " + step + name) {
			steps, step = append(steps, step), "./"
		}
		step += name + "/"
	}
	for _, step := range append(steps, step) {
		if r, err := c.exchange("CWD " + trimSlash(step)); err != nil || !r.OK() {
			return r, err == nil, err
		}
	}
	c.cwd = dir
	return Reply{}, false, nil
}

// trimSlash takes the slash off the end of a directory but the root.
func trimSlash(dir string) string {
	if short := strings.TrimRight(dir, "/"); short != "" {
		return short
	}
	return "/"
}

// tooLong refuses a command.
func tooLong(line string) error {
	return &conn.Error{Op: verbOf(line), Outcome: conn.Refused, Err: fmt.Errorf("%w: the command has %d bytes", conn.ErrNameTooLong, len(line))}
}

// exchange sends a command as it is and returns its answer.
func (c *Control) exchange(line string) (Reply, error) {
	if err := c.send(line); err != nil {
		return Reply{}, err
	}
	return c.answer(line)
}

// went keeps track of the current directory: line was answered with r.
func (c *Control) went(line string, r Reply) {
	if dir, ok := strings.CutPrefix(line, "CWD "); ok {
		c.cwd = ""
		if r.OK() && strings.HasPrefix(dir, "/") {
			c.cwd = dir
		}
	}
}
