package wire

import (
	"fmt"
	"io"
	"strings"
	"time"

	"ftpfs/conn"
)

// Bounds of what is sent in one write. Within them a server has all answers
// in its socket buffers, or in our queue, before it needs us to do anything.
const (
	maxPipeline      = 200      // commands; well below maxQueued
	maxPipelineBytes = 32 << 10 // bytes
)

const closing = 421 // RFC 959: service not available, closing control connection

// exchange is a command with its answer.
type exchange struct {
	verb  string // "" for the greeting
	reply Reply
}

// Last returns the command (its first word, in upper case) that was answered
// last, and the answer.
func (c *Control) Last() (verb string, r Reply) { return c.last.verb, c.last.reply }

// Greeting returns the server's first reply.
func (c *Control) Greeting() Reply { return c.greeting }

// Features returns the answer to the FEAT of the login, with any code.
func (c *Control) Features() Reply { return c.features }

func (c *Control) note(verb string, r Reply) {
	c.last = exchange{verb, r}
	switch verb {
	case "":
		c.greeting = r
	case "FEAT":
		c.features = r
	}
}

// Command sends one command and returns its answer, whatever its code.
// A line that cannot be sent is Refused and breaks nothing.
func (c *Control) Command(line string) (Reply, error) {
	rs, err := c.Pipeline(line)
	if err != nil {
		return Reply{}, err
	}
	return rs[0], nil
}

// Patient is Command for one that the server may work on for so long.
func (c *Control) Patient(line string, patience time.Duration) (Reply, error) {
	c.patience = patience
	defer func() { c.patience = 0 }()
	return c.Command(line)
}

// Pipeline sends commands that do not depend on each other's answers in as
// few packets as possible. The i-th reply is the answer to lines[i]. With an
// error come the replies until then. Never RNFR with RNTO, and nothing that
// opens a data connection (FTP.md).
func (c *Control) Pipeline(lines ...string) ([]Reply, error) {
	for _, l := range lines {
		if err := checkLine(l); err != nil {
			return nil, err
		}
	}
	replies := make([]Reply, 0, len(lines))
	for rest := lines; len(rest) > 0; {
		if c.long(rest[0]) {
			r, err := c.longCommand(rest[0])
			if err != nil {
				return replies, err
			}
			replies, rest = append(replies, r), rest[1:]
			continue
		}
		n, err := c.say(rest)
		if err != nil {
			return replies, err
		}
		for _, l := range rest[:n] {
			r, err := c.answer(l)
			if err != nil {
				return replies, err
			}
			c.went(l, r)
			replies = append(replies, r)
		}
		rest = rest[n:]
	}
	return replies, nil
}

// longCommand is Command for a line that must be shortened.
func (c *Control) longCommand(line string) (Reply, error) {
	short, r, refused, err := c.shorten(line)
	if refused || err != nil {
		return r, err
	}
	r, err = c.exchange(short)
	if err == nil {
		c.went(line, r)
	}
	return r, err
}

// packetOf returns how many of the lines go into the next packet.
func (c *Control) packetOf(lines []string) int {
	size := 0
	for n, l := range lines[:min(len(lines), maxPipeline)] {
		size += len(l) + len("\r\n")
		if n > 0 && (size > maxPipelineBytes || c.long(l)) {
			return n
		}
	}
	return min(len(lines), maxPipeline)
}

// checkLine keeps a file name from becoming a second command.
func checkLine(line string) error {
	if line == "" || strings.ContainsAny(line, "\r\n\x00") {
		return &conn.Error{Op: verbOf(line), Outcome: conn.Refused, Err: conn.ErrInvalidName}
	}
	return nil
}

// verbOf returns the first word of a command in upper case.
func verbOf(line string) string {
	verb, _, _ := strings.Cut(line, " ")
	return strings.ToUpper(verb)
}

// send writes commands that a verb waits for, if nothing came since the last
// answer.
func (c *Control) send(lines ...string) error {
	debts := make([]*debt, len(lines))
	for i, l := range lines {
		debts[i] = &debt{verb: verbOf(l)}
	}
	return c.sendFor(debts, lines...)
}

func (c *Control) sendFor(debts []*debt, lines ...string) error {
	if err := c.broken(conn.NotExecuted); err != nil {
		return err
	}
	if err := c.forget(); err != nil {
		return err
	}
	if err := c.unsolicited(); err != nil {
		c.Fail(err)
		return c.broken(conn.NotExecuted)
	}
	return c.write(debts, lines...)
}

// write writes commands for whose answers debts are owed.
func (c *Control) write(debts []*debt, lines ...string) error {
	wire, err := c.onWire(lines)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	ended := c.ended
	if !ended {
		c.debts = append(c.debts, debts...)
	}
	c.mu.Unlock()
	if ended {
		<-c.done
		c.Fail(c.endError())
		return c.broken(conn.NotExecuted)
	}
	c.trace.sent(lines...)
	c.raw.SetWriteDeadline(time.Now().Add(c.timeout))
	n, err := io.WriteString(c.raw, strings.Join(wire, "\r\n")+"\r\n")
	if err == nil {
		return nil
	}
	if isTimeout(err) {
		err = fmt.Errorf("%w: %w", conn.ErrTimeout, err)
	}
	c.Fail(fmt.Errorf("control connection: %w", err))
	if n > len(wire[0]) {
		return c.broken(conn.Unknown)
	}
	return c.broken(conn.NotExecuted)
}

// answer waits for the answer to line, which opens no transfer.
func (c *Control) answer(line string) (Reply, error) {
	return c.await(time.Now().Add(max(c.timeout, c.patience)), verbOf(line))
}

// await returns the next reply. It is that to verb. One that has come counts
// whatever has happened since.
func (c *Control) await(deadline time.Time, verb string) (Reply, error) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case r, ok := <-c.replies:
		return c.take(verb, r, ok)
	case <-t.C:
		c.Fail(fmt.Errorf("%w: no reply to %s", conn.ErrTimeout, verb))
	case <-c.life.Done():
		select {
		case r, ok := <-c.replies:
			return c.take(verb, r, ok)
		default:
		}
	}
	return Reply{}, c.broken(conn.Unknown)
}

// take takes what came for verb: r, unless the reader has ended.
func (c *Control) take(verb string, r Reply, ok bool) (Reply, error) {
	if !ok {
		if c.secret != nil && c.Sent() {
			c.secret.lose()
		}
		c.Fail(c.endError())
		return Reply{}, c.broken(conn.Unknown)
	}
	c.note(verb, r)
	if r.Code == closing {
		// A refusal to go on, or nobody's answer, sent while the command
		// was on its way: pyftpdlib would then still execute it.
		c.Fail(&saidError{r})
		return Reply{}, c.broken(conn.Unknown)
	}
	return r, nil
}
