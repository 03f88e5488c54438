package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"ftpfs/conn"
)

// rawMark before a path tells the library's facade that the rest is a whole
// command, see Raw.
const rawMark = "\x01"

// maxDiscard is how much of a transfer that nobody wants is read, in bytes,
// before its connection is closed.
const maxDiscard = 64 << 10

// Raw returns the path to call the library's Retr (or Stor) with so that
// command is sent instead of RETR (STOR): any command that transfers data the
// same way, such as MLSD or LIST.
func Raw(command string) (path string) { return rawMark + command }

// transfer is a command that uses a data connection.
type transfer struct {
	data   *dataConn
	upload bool
	local  bool        // the library was not kept waiting for the 150
	sent   bool        // its command was written; owned by the verb
	began  atomic.Bool // its 1xx has come
	final  atomic.Bool // its last reply has come
}

// Sent reports whether the open verb has sent the command of its transfer.
func (c *Control) Sent() bool { return c.transfer != nil && c.transfer.sent }

// lead is a command that is sent before that of a transfer.
type lead struct {
	line string
	sent string // line, or what it was shortened to
	ok   func(Reply) bool
}

// Lead has a command sent in one packet with the next transfer's command,
// before it: a CWD. If ok says no to its answer, nothing is transferred: what
// comes is thrown away, nothing is sent, and the library gets that answer.
func (c *Control) Lead(line string, ok func(Reply) bool) {
	c.leads = append(c.leads, lead{line: line, sent: line, ok: ok})
}

// opened returns the data connection of the open verb, nil if there is none.
func (c *Control) opened() *dataConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// DialFunc is for the library's DialWithDialFunc: the first call returns the
// library's end of the control connection, the others the data connection
// that the answer to its EPSV or PASV stood for.
func (c *Control) DialFunc(_, _ string) (net.Conn, error) {
	if !c.lib.taken {
		c.lib.taken = true
		return c.lib, nil
	}
	if d := c.opened(); d != nil {
		c.lib.lent = &lentConn{d}
		return c.lib.lent, nil
	}
	return nil, fmt.Errorf("%w: no data connection was asked for", conn.ErrProtocol)
}

// lentConn is the data connection that the library has. It may become
// another one before anything was transferred.
type lentConn struct{ *dataConn }

// owed is what the library may read next.
type owed uint8

const (
	nothing    owed = iota
	greeting        // 220
	answer          // to a command
	completion      // of a transfer whose 1xx was handed out
)

// library is the control connection as the library sees it: whole commands
// in, exactly one reply out for each, and one more when a transfer ends.
type library struct {
	c     *Control
	taken bool
	lent  *lentConn // of the transfer under way
	line  string    // which has this command
	verb  string    // of the command under way; RETR, STOR or APPE also if another is sent in its place
	owed  owed
	leads []lead // commands sent before that of the transfer
	asked []lead // those of them that are not yet answered
	out   []byte // of a command, until its end comes
	in    []byte // of a reply, not yet read
}

var _ net.Conn = (*library)(nil)

func (l *library) Write(p []byte) (int, error) {
	l.out = append(l.out, p...)
	for {
		line, rest, whole := bytes.Cut(l.out, []byte("\r\n"))
		if !whole {
			return len(p), nil
		}
		l.out = rest
		if err := l.command(string(line)); err != nil {
			return 0, err
		}
	}
}

// command sends what the library wants to say. An error ends the library's
// use of the connection, since its writer never recovers.
func (l *library) command(line string) error {
	l.verb, l.owed = verbOf(line), answer
	if err := checkLine(line); err != nil {
		l.c.Fail(err)
		return err
	}
	switch {
	case l.verb == "PRET": // costs a round trip and no server here needs it
		l.reply(Reply{Code: 200, Lines: []string{"OK"}})
		return nil
	case l.verb == "EPSV" || l.verb == "PASV":
		return l.open()
	case l.verb == "REST":
		// It goes out with the transfer's command, and is answered there.
		l.c.Lead(line, func(r Reply) bool { l.c.armed = r.Code/100 == 3; return l.c.armed })
		l.reply(Reply{Code: 350, Lines: []string{"OK"}})
		return nil
	case l.transfers():
		return l.transfer(line)
	}
	short, r, refused, err := l.c.shorten(line)
	switch {
	case err != nil:
		l.c.Fail(err) // the library's writer never recovers
	case refused:
		l.reply(r)
	default:
		_, err = l.c.say([]string{short})
	}
	return err
}

// reply has the library read an answer of our own.
func (l *library) reply(r Reply) { l.in, l.owed = r.wire(), nothing }

// open answers EPSV or PASV: with an address that DialFunc does not look at.
func (l *library) open() error {
	_, err := l.c.openData()
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		l.c.note(l.verb, refused.Reply)
		l.reply(refused.Reply)
	case err != nil:
		return err
	case l.verb == "EPSV":
		l.reply(Reply{Code: 229, Lines: []string{"(|||1|)"}})
	default:
		l.reply(Reply{Code: 227, Lines: []string{"(127,0,0,1,0,1)"}})
	}
	return nil
}

func (l *library) Read(p []byte) (int, error) {
	if len(l.in) == 0 {
		r, err := l.next()
		if err != nil {
			return 0, err
		}
		l.in = r.wire()
	}
	n := copy(p, l.in)
	l.in = l.in[n:]
	return n, nil
}

// next waits for the reply that the library is owed.
func (l *library) next() (Reply, error) {
	c := l.c
	if l.owed == nothing {
		c.Fail(fmt.Errorf("%w: the library waits for an answer to nothing", conn.ErrProtocol))
		return Reply{}, c.broken(conn.Unknown)
	}
	if l.transfers() && l.owed == answer {
		if r, refused, err := l.led(); refused || err != nil {
			l.owed = nothing
			return r, err
		}
	}
	r, err := c.await(time.Now().Add(l.patience()), l.verb)
	if err != nil {
		return Reply{}, err
	}
	if l.verb == "PASS" && r.Code == 332 && c.server.cfg.Account != "" {
		if r, err = c.Command("ACCT " + c.server.cfg.Account); err != nil {
			return Reply{}, err
		}
	}
	if err := c.resumptionError(r); err != nil {
		c.Fail(err)
		return Reply{}, c.broken(conn.Unknown)
	}
	switch {
	case r.Code == 425 && l.owed == answer && l.transfers() && c.transfer.data.warm && !(c.transfer.upload && c.armed):
		return l.again()
	case l.owed == answer && l.transfers() && r.Preliminary():
		l.owed, c.armed = completion, false
		return r, nil
	case l.owed == completion && (r.Preliminary() || r.Code == 225 || r.Code == 250):
		// Pure-FTPd ends a download that we gave up with a second 150. 225
		// and 250 end a transfer too (RFC 959, 5.4).
		r.Code = 226
	}
	l.owed = nothing
	return r, nil
}

// again runs the transfer on a new data connection, for the server would not
// use the one that was warm.
func (l *library) again() (Reply, error) {
	c, t := l.c, l.c.transfer
	c.server.strikes.Add(1)
	l.lent.Close()
	d, err := c.openData()
	if err != nil {
		return Reply{}, err
	}
	d.warm = false // it will not be tried again
	c.transfer = &transfer{data: d, upload: t.upload, sent: true}
	d.transfer.Store(c.transfer)
	l.lent.dataConn = d
	if err := l.sendTransfer(l.line); err != nil {
		return Reply{}, err
	}
	return l.next()
}

// led takes the answers to what was sent before the transfer's command. One
// that is refused is the answer to that too: what it transfers is thrown away.
func (l *library) led() (refusal Reply, refused bool, err error) {
	c := l.c
	var verb string
	asked := l.asked
	l.asked = nil
	for _, lead := range asked {
		r, err := c.await(time.Now().Add(c.timeout), verbOf(lead.line))
		if err != nil {
			return Reply{}, false, err
		}
		c.went(lead.line, r)
		if !lead.ok(r) && !refused {
			refusal, refused, verb = r, true, verbOf(lead.line)
		}
	}
	if !refused {
		return Reply{}, false, nil
	}
	r, err := c.await(time.Now().Add(c.timeout), l.verb)
	if err == nil && r.Preliminary() {
		if !c.transfer.upload {
			io.Copy(io.Discard, io.LimitReader(c.transfer.data, maxDiscard))
		}
		c.transfer.data.Close()
		l.owed = completion
		_, err = c.await(time.Now().Add(l.patience()), l.verb)
	}
	c.note(verb, refusal)
	return refusal, true, err
}

// patience is how long the reply may take that the library is owed. After an
// upload the server may still have to write it all out.
func (l *library) patience() time.Duration {
	c := l.c
	if l.owed != completion {
		return c.timeout
	}
	switch {
	case c.transfer.upload:
		return 4*c.timeout + time.Duration(c.transfer.data.sent()/(10<<20))*time.Second
	case c.transfer.data.givenUp():
		return min(c.timeout, earlyTimeout)
	default:
		return c.timeout
	}
}

// Close is called by the library when it cannot use the connection.
func (l *library) Close() error {
	l.c.Fail(net.ErrClosed)
	return nil
}

// RemoteAddr is a *net.TCPAddr, as the library demands, on any network. It
// keeps only the address, which DialFunc does not use.
func (l *library) RemoteAddr() net.Addr {
	if a, ok := l.c.raw.RemoteAddr().(*net.TCPAddr); ok {
		return a
	}
	_, port, _ := net.SplitHostPort(l.c.raw.RemoteAddr().String())
	n, _ := strconv.Atoi(port)
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n}
}

func (l *library) LocalAddr() net.Addr { return l.c.raw.LocalAddr() }

// The deadlines are the Control's own.

func (l *library) SetDeadline(time.Time) error      { return nil }
func (l *library) SetReadDeadline(time.Time) error  { return nil }
func (l *library) SetWriteDeadline(time.Time) error { return nil }

var _ io.Reader = (*library)(nil)
