package wire

import (
	"fmt"

	"ftpfs/conn"
)

// debt is an answer that the server has yet to give. It gives them in the
// order of the commands (RFC 959, 5.4).
type debt struct {
	verb     string              // "" for the greeting
	transfer *transfer           // what the command transfers, nil if nothing
	take     func(r Reply) error // called by the reader with the answer; nil: a verb waits for it
	lost     func(err error)     // called by the reader if the answer will not come; nil: nobody
}

// last reports whether r ends the debt. A 1xx does not (RFC 959, 4.2), but for
// the second one to a download that was given up: Pure-FTPd says no more then.
func (d *debt) last(r Reply) bool {
	t := d.transfer
	return !r.Preliminary() || t != nil && !t.upload && t.began.Load() && t.data.givenUp()
}

// changes reports whether the server has something else afterwards.
func (d *debt) changes() bool {
	switch d.verb {
	case "APPE", "DELE", "MDTM", "MFMT", "MKD", "RMD", "RNTO", "SITE", "STOR": // MDTM can set a time
		return true
	}
	return false
}

// readReplies is the one reader of the connection. It never waits for those
// who want the replies, so that a server can always send.
func (c *Control) readReplies(p *replyReader) {
	defer close(c.done)
	defer close(c.replies)
	for {
		r, err := Reply{}, p.Wait()
		asked := c.owes() // when it began: the command that comes next has not asked for the rest of it
		if err == nil {
			r, err = p.Read()
		}
		if err == nil {
			err = c.settle(c.decode(r), asked)
		}
		if err != nil {
			c.readErr = err
			c.giveUpDebts()
			return
		}
	}
}

// giveUpDebts ends the reader: no more answers will come.
func (c *Control) giveUpDebts() {
	c.mu.Lock()
	left := c.debts
	c.debts, c.ended = nil, true
	c.mu.Unlock()
	for _, d := range left {
		if d.lost != nil {
			d.lost(c.endError())
		}
	}
}

// owes tells whether the server owes a reply.
func (c *Control) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.debts) > 0
}

// settle gives a reply to whom it is owed. One that nobody asked for is an
// error.
func (c *Control) settle(r Reply, asked bool) error {
	c.mu.Lock()
	if !asked || len(c.debts) == 0 {
		c.mu.Unlock()
		c.trace.received(r)
		return &saidError{r}
	}
	d := c.debts[0]
	last := d.last(r)
	if last {
		c.debts = c.debts[1:]
	}
	more := len(c.debts) > 0
	c.mu.Unlock()
	if more { // the server may hold it back until we have acknowledged this one
		acknowledge(c.tcp)
	}
	if d.verb == "USER" || d.verb == "PASS" || d.verb == "ACCT" {
		r = c.unsaid(r)
	}
	c.trace.received(r)
	switch t := d.transfer; {
	case t != nil && last:
		t.final.Store(true)
		if t.upload && !r.OK() {
			t.data.Close() // nobody reads the rest
		}
		if r.OK() && t.data.warm {
			c.server.strikes.Store(0)
		}
		c.prepare(t)
	case t != nil && t.began.CompareAndSwap(false, true) && !t.local:
		// the 1xx of a transfer
	case !last:
		return nil // 120 before the greeting, a second 150
	}
	if d.take != nil {
		return d.take(r)
	}
	select {
	case c.replies <- r:
		return nil
	default:
		return fmt.Errorf("%w: %d replies that nobody takes", conn.ErrProtocol, maxQueued)
	}
}

// prepare has the next data connection made as soon as the transfer t allows
// it: when its data has ended, and itself, unless the server answers what
// comes before that in its turn. That is said of downloads, whose data the
// server has ended by then: ProFTPD refuses an EPSV that it reads during an
// upload, and loses bytes of that.
func (c *Control) prepare(t *transfer) {
	c.mu.Lock()
	ahead := c.manners.Ahead
	c.mu.Unlock()
	if t.data.closed.Load() && (t.final.Load() || ahead && !t.upload && !t.data.givenUp() && t.began.Load()) {
		c.warmUp()
	}
}
