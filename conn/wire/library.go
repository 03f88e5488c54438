package wire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"ftpfs/conn"
)

// rawMark before a path tells the library's facade that the rest is a whole
// command, see Raw.
const rawMark = "\x01"

// Raw returns the path to call the library's Retr (or Stor) with so that
// command is sent instead of RETR (STOR): any command that transfers data the
// same way, such as MLSD or LIST.
func Raw(command string) (path string) { return rawMark + command }

// transfer is a command that uses a data connection.
type transfer struct {
	data   *dataConn
	upload bool
	sent   bool // its command was written
}

// Sent reports whether the open verb has sent the command of its transfer.
func (c *Control) Sent() bool { return c.transfer != nil && c.transfer.sent }

// openData returns the open data connection, nil if there is none.
func (c *Control) openData() *dataConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// DialFunc is for the library's DialWithDialFunc: the first call returns the
// library's end of the control connection, the others open data connections.
// Those go to the server of the control connection whatever host the address
// names, so that a server cannot send us elsewhere.
func (c *Control) DialFunc(_, address string) (net.Conn, error) {
	if !c.lib.taken {
		c.lib.taken = true
		return c.lib, nil
	}
	return c.dialData(address)
}

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
	verb  string // of the command under way; RETR, STOR or APPE also if another is sent in its place
	owed  owed
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
	c := l.c
	l.verb, l.owed = verbOf(line), answer
	if l.verb == "PRET" { // costs a round trip and no server here needs it
		l.in, l.owed = Reply{Code: 200, Lines: []string{"OK"}}.wire(), nothing
		return nil
	}
	// The mark counts right behind the verb only: file names may hold it.
	if _, arg, _ := strings.Cut(line, " "); l.transfers() && strings.HasPrefix(arg, rawMark) {
		line = arg[len(rawMark):]
	}
	if err := checkLine(line); err != nil {
		c.Fail(err)
		return err
	}
	if !l.transfers() {
		return c.send(line)
	}
	if c.armed && c.last.verb != "REST" {
		if err := c.disarm(); err != nil {
			return err
		}
	}
	c.transfer = &transfer{data: c.openData(), upload: l.verb != "RETR"}
	err := c.send(line)
	c.transfer.sent = err == nil || conn.OutcomeOf(err) != conn.NotExecuted
	return err
}

// transfers reports whether the command under way uses a data connection.
func (l *library) transfers() bool {
	return l.verb == "RETR" || l.verb == "STOR" || l.verb == "APPE"
}

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
	c, deadline := l.c, time.Now().Add(l.patience())
	if l.owed == nothing {
		c.Fail(fmt.Errorf("%w: the library waits for an answer to nothing", conn.ErrProtocol))
		return Reply{}, c.broken(conn.Unknown)
	}
	for {
		r, err := c.await(deadline, l.verb)
		if err != nil {
			return Reply{}, err
		}
		switch {
		case l.owed == answer && l.transfers() && r.Preliminary():
			l.owed, c.armed = completion, false
			return r, nil
		case l.owed == completion && (!r.Preliminary() || c.transfer.data.givenUp()):
			// Pure-FTPd ends a download that we gave up with a second 150.
			// 225 and 250 end a transfer too (RFC 959, 5.4).
			if r.Preliminary() || r.Code == 225 || r.Code == 250 {
				r.Code = 226
			}
		case r.Preliminary(): // 120 before the greeting, a second 150
			continue
		}
		if l.verb == "REST" && r.Code/100 == 3 {
			c.armed = true
		}
		l.owed = nothing
		return r, nil
	}
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
