package wire

import (
	"fmt"
	"slices"
	"strings"

	"ftpfs/conn"
)

// transfers reports whether the command under way uses a data connection.
func (l *library) transfers() bool {
	return l.verb == "RETR" || l.verb == "STOR" || l.verb == "APPE"
}

// transfer sends the command of a transfer, in one packet with what leads to it.
func (l *library) transfer(line string) error {
	c := l.c
	// The mark counts right behind the verb only: file names may hold it.
	if _, arg, _ := strings.Cut(line, " "); strings.HasPrefix(arg, rawMark) {
		line = arg[len(rawMark):]
	}
	l.leads, c.leads = c.leads, nil
	line, refused, err := l.shortenAll(line)
	if refused || err != nil {
		return err
	}
	resumes := slices.ContainsFunc(l.leads, isREST)
	if l.verb != "RETR" {
		if done, err := l.restFirst(); done || err != nil {
			return err
		}
	}
	if c.armed && !resumes {
		if err := c.disarm(); err != nil {
			return err
		}
	}
	t := &transfer{data: c.opened(), upload: l.verb != "RETR"}
	if t.data == nil {
		c.Fail(fmt.Errorf("%w: a transfer without a data connection", conn.ErrProtocol))
		return c.broken(conn.NotExecuted)
	}
	t.local = t.upload && len(l.leads) == 0 && c.takesDataFirst(t.data)
	c.transfer = t
	t.data.transfer.Store(t)
	l.line = line
	err = l.sendTransfer(line)
	t.sent = err == nil || conn.OutcomeOf(err) != conn.NotExecuted
	if err == nil && t.local {
		l.reply(Reply{Code: 150, Lines: []string{"OK"}})
		l.owed, c.armed = completion, false
	}
	return err
}

// shortenAll makes the commands of a transfer as short as the server wants
// them. If a directory on the way refuses, that is the answer.
func (l *library) shortenAll(line string) (short string, refused bool, err error) {
	var r Reply
	for i := range l.leads {
		if l.leads[i].sent, r, refused, err = l.c.shorten(l.leads[i].line); refused || err != nil {
			break
		}
	}
	if !refused && err == nil {
		short, r, refused, err = l.c.shorten(line)
	}
	if refused {
		l.reply(r)
	}
	if err != nil {
		l.c.Fail(err)
	}
	return short, refused, err
}

// restFirst sends a REST before an upload by itself: refused, it would leave
// the whole file to be overwritten. done: it is, and that is the answer.
func (l *library) restFirst() (done bool, err error) {
	i := slices.IndexFunc(l.leads, isREST)
	if i < 0 {
		return false, nil
	}
	rest := l.leads[i]
	r, err := l.c.Command(rest.line)
	if err != nil {
		return false, err
	}
	l.leads = slices.Delete(l.leads, i, i+1)
	if done = !rest.ok(r); done {
		l.reply(r)
	}
	return done, nil
}

// takesDataFirst reports whether an upload to d may begin before the 150: a
// server that has taken one is taken to take the next. With TLS it would be
// the handshake that comes first.
func (c *Control) takesDataFirst(d *dataConn) bool {
	_, clear := d.Conn.(*idleConn)
	return clear && c.DataFirst()
}

// sendTransfer sends l.leads and line for the open transfer.
func (l *library) sendTransfer(line string) error {
	t := l.c.transfer
	var (
		debts []*debt
		lines []string
	)
	for _, lead := range l.leads {
		debts = append(debts, &debt{verb: verbOf(lead.line)})
		lines = append(lines, lead.sent)
	}
	l.asked = l.leads
	debts = append(debts, &debt{verb: l.verb, transfer: t})
	err := l.c.sendFor(debts, append(lines, line)...)
	if err == nil {
		t.data.begin()
	}
	return err
}

func isREST(l lead) bool { return verbOf(l.line) == "REST" }

// disarm takes back a REST that no transfer has used up: most servers keep it
// and would apply it to the next one, of whatever file.
func (c *Control) disarm() error {
	r, err := c.Command("REST 0")
	if err != nil {
		return err
	}
	if r.Code/100 != 3 {
		c.Fail(fmt.Errorf("%w: %q to REST 0", conn.ErrProtocol, r))
		return c.broken(conn.NotExecuted)
	}
	c.armed = false
	return nil
}
