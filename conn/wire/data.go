package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/conn"
)

const (
	earlyTimeout = time.Second           // for the reply to a download that was given up
	abortTime    = 30 * time.Millisecond // that Pure-FTPd takes for an ABOR
	copySize     = 512 << 10             // bytes of an upload that are written at a time
)

// dataConn is a data connection. A Read or Write that makes no progress for
// Config.Timeout breaks the session.
type dataConn struct {
	net.Conn
	c        *Control
	warm     bool                     // it was there before it was needed
	transfer atomic.Pointer[transfer] // that uses it; nil before its command. Fail comes from anywhere
	once     sync.Once
	written  atomic.Int64
	read     atomic.Int64
	ended    atomic.Bool // the server closed its side: all is read
	closed   atomic.Bool
	aborted  atomic.Bool
}

// starter is a connection that has something to do as soon as the command is
// on its way, without keeping anybody waiting: a handshake.
type starter interface{ Start() }

// begin is called when the command that uses the connection was sent.
func (d *dataConn) begin() {
	if s, ok := d.Conn.(starter); ok {
		s.Start()
	}
}

// sent returns how much was written, in bytes.
func (d *dataConn) sent() int64 { return d.written.Load() }

// givenUp reports whether the connection was closed before its end was read.
func (d *dataConn) givenUp() bool { return d.closed.Load() && !d.ended.Load() }

// Read reads. At the end of the data the connection is closed at once, which
// is what some servers wait for, and the next one asked for.
func (d *dataConn) Read(p []byte) (int, error) {
	if d.ended.Load() {
		return 0, io.EOF
	}
	d.Conn.SetReadDeadline(time.Now().Add(d.c.timeout))
	n, err := d.Conn.Read(p)
	d.read.Add(int64(n))
	if errors.Is(err, io.EOF) {
		d.ended.Store(true)
		d.Close()
		return n, io.EOF
	}
	return n, d.check(err)
}

func (d *dataConn) Write(p []byte) (int, error) {
	var to io.Writer = steadyConn{d.Conn, d.c.timeout}
	if s, secret := d.Conn.(*secretConn); secret {
		to = s // which has one below
	}
	n, err := to.Write(p)
	d.written.Add(int64(n))
	return n, d.check(err)
}

// ReadFrom sends all of r, in larger pieces than io.Copy does by itself.
func (d *dataConn) ReadFrom(r io.Reader) (int64, error) {
	if d.c.copying == nil {
		d.c.copying = make([]byte, copySize)
	}
	return io.CopyBuffer(struct{ io.Writer }{d}, struct{ io.Reader }{r}, d.c.copying)
}

// check breaks the session if err means that nothing moves. Other errors are
// left to the reply that the server gives about them.
func (d *dataConn) check(err error) error {
	if err != nil && isTimeout(err) {
		d.c.Fail(fmt.Errorf("%w: no progress of the transfer", conn.ErrTimeout))
	}
	if err != nil && d.c.life.Err() != nil {
		return context.Cause(d.c.life)
	}
	return err
}

// Close ends the transfer: for an upload it says that all was sent, and a
// download it gives up, unless that has ended.
func (d *dataConn) Close() error {
	d.once.Do(func() {
		t := d.transfer.Load()
		d.c.mu.Lock()
		if d.c.data == d {
			d.c.data = nil
		}
		d.c.mu.Unlock()
		if t != nil && !t.upload && !d.ended.Load() && !t.final.Load() && t.began.Load() {
			d.c.abort()
		}
		d.closed.Store(true)
		d.end()
		d.c.trace.event("data connection closed, bytes received %d, sent %d", d.read.Load(), d.written.Load())
		if t != nil {
			d.c.prepare(t)
		}
	})
	return nil
}

// abort tells a server that wants to hear of it that the download is given
// up. What it answers to that changes nothing.
func (c *Control) abort() {
	c.mu.Lock()
	wanted := c.manners.Abort && c.life.Err() == nil
	c.mu.Unlock()
	if wanted && c.write([]*debt{{verb: "ABOR", take: func(Reply) error { return nil }}}, "ABOR") == nil {
		time.Sleep(abortTime)
	}
}

// abort resets the connection, so that the server sees an error instead of
// the end of the data.
func (d *dataConn) abort() {
	d.aborted.Store(true)
	dropUnsent(d.Conn)
	d.Close()
}

// dropUnsent makes Close a reset: what the peer's TCP has not got, it never gets.
func dropUnsent(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
}
