package ftptest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes can be under way in one direction, sent and not yet
// read: about what Linux allows on a fast path. A writer waits beyond it.
const window = 1 << 20

// link is what the two ends of a connection share. Everything that happens on
// one end reaches the other after delay.
type link struct {
	delay time.Duration

	mu      sync.Mutex
	changed chan struct{} // guarded by mu; closed and replaced at each change
}

// vConn is one end of a connection in memory; see Network. Its fields are
// guarded by link.mu, but for peer and the addresses, which do not change.
type vConn struct {
	link          *link
	peer          *vConn
	local, remote net.Addr

	arriving      []packet // bytes under way to this end or waiting to be read
	unread        int      // bytes in arriving
	fin           time.Time
	reset         time.Time // fin, reset: when the peer's reach this end; zero: not sent
	closed        bool      // Close was called
	finished      bool      // CloseWrite was called
	lingers       bool      // Close is orderly
	readDeadline  time.Time
	writeDeadline time.Time
	sends         func() // called when it sends data or its end; nil: nobody wants to know
}

type packet struct {
	data []byte
	at   time.Time // when it arrives
}

// pipe returns the two ends of a new connection.
func pipe(delay time.Duration, a, b net.Addr) (*vConn, *vConn) {
	l := &link{delay: delay, changed: make(chan struct{})}
	ca := &vConn{link: l, local: a, remote: b, lingers: true}
	cb := &vConn{link: l, local: b, remote: a, lingers: true, peer: ca}
	ca.peer = cb
	return ca, cb
}

// changedLocked wakes all who wait on the link.
func (l *link) changedLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// waitLocked lets go of the lock until something changes or the first of the
// times has come; zero times never come.
func (l *link) waitLocked(times ...time.Time) {
	changed := l.changed
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	if first.IsZero() {
		<-changed
		return
	}
	wait(time.Until(first), changed)
}

// due reports whether t is set and has come.
func due(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *vConn) Read(p []byte) (int, error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		var next time.Time
		if len(c.arriving) > 0 {
			next = c.arriving[0].at
		}
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case due(c.readDeadline):
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case due(next):
			n := copy(p, c.arriving[0].data)
			if c.arriving[0].data = c.arriving[0].data[n:]; len(c.arriving[0].data) == 0 {
				c.arriving = c.arriving[1:]
			}
			c.unread -= n
			l.changedLocked()
			return n, nil
		case due(c.reset):
			return 0, c.fail("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case due(c.fin) && next.IsZero():
			return 0, io.EOF
		}
		l.waitLocked(next, c.reset, c.fin, c.readDeadline)
	}
}

func (c *vConn) Write(p []byte) (n int, err error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case c.closed:
			return n, c.fail("write", net.ErrClosed)
		case c.finished:
			return n, c.fail("write", os.NewSyscallError("write", syscall.EPIPE))
		case due(c.writeDeadline):
			return n, c.fail("write", os.ErrDeadlineExceeded)
		case due(c.reset):
			return n, c.fail("write", os.NewSyscallError("write", syscall.ECONNRESET))
		case len(p) == 0:
			return n, nil
		case c.peer.closed:
			// Nobody takes it: the answer is a reset, a round trip from now.
			c.resetLocked(time.Now().Add(2 * l.delay))
			return n + len(p), nil
		}
		if room := window - c.peer.unread; room > 0 {
			c.sendsLocked()
			part := p[:min(room, len(p))]
			c.peer.arriving = append(c.peer.arriving, packet{append([]byte(nil), part...), time.Now().Add(l.delay)})
			c.peer.unread += len(part)
			l.changedLocked()
			n, p = n+len(part), p[len(part):]
			continue
		}
		l.waitLocked(c.reset, c.writeDeadline)
	}
}

// resetLocked lets a reset reach c at t, unless one comes earlier.
func (c *vConn) resetLocked(t time.Time) {
	if c.reset.IsZero() || t.Before(c.reset) {
		c.reset = t
	}
	c.link.changedLocked()
}

// CloseWrite sends FIN; reading goes on.
func (c *vConn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.finishLocked()
	return nil
}

// sendsLocked tells whoever counts that the connection sends something.
func (c *vConn) sendsLocked() {
	if c.sends != nil {
		c.sends()
	}
}

func (c *vConn) finishLocked() {
	if !c.finished {
		c.sendsLocked()
		c.finished = true
		c.peer.fin = time.Now().Add(c.link.delay)
	}
	c.link.changedLocked()
}

// SetLinger makes Close abort the connection if seconds is 0, as in
// net.TCPConn; other values mean an orderly end.
func (c *vConn) SetLinger(seconds int) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.lingers = seconds != 0
	return nil
}

// Abort closes the connection with a reset: the peer sees ECONNRESET.
func (c *vConn) Abort() error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// Close ends the connection. As with TCP, the peer is reset if data that it
// sent will not be read.
func (c *vConn) Close() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	now := time.Now()
	switch {
	case !c.lingers:
		c.sendsLocked()
		c.peer.resetLocked(now.Add(c.link.delay))
	case len(c.arriving) > 0:
		c.finishLocked()
		refused := now // or, if nothing has come yet, when the first of it comes
		if at := c.arriving[0].at; at.After(refused) {
			refused = at
		}
		c.peer.resetLocked(refused.Add(c.link.delay))
	default:
		c.finishLocked()
	}
	c.arriving, c.unread = nil, 0
	c.link.changedLocked()
	return nil
}

func (c *vConn) LocalAddr() net.Addr  { return c.local }
func (c *vConn) RemoteAddr() net.Addr { return c.remote }

func (c *vConn) SetDeadline(t time.Time) error {
	return c.set(func() { c.readDeadline, c.writeDeadline = t, t })
}
func (c *vConn) SetReadDeadline(t time.Time) error {
	return c.set(func() { c.readDeadline = t })
}
func (c *vConn) SetWriteDeadline(t time.Time) error {
	return c.set(func() { c.writeDeadline = t })
}

func (c *vConn) set(f func()) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.fail("set", net.ErrClosed)
	}
	f()
	c.link.changedLocked()
	return nil
}

func (c *vConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
