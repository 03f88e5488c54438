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

const earlyTimeout = 5 * time.Second // for the reply to a download that was given up

// dataConn is a data connection. A Read or Write that makes no progress for
// Config.Timeout breaks the session.
type dataConn struct {
	net.Conn
	c       *Control
	once    sync.Once
	written atomic.Int64
	ended   atomic.Bool // the server closed its side: all is read
	closed  atomic.Bool
}

// dialData opens a data connection to the port of address. A port that does
// not answer breaks the session: the server would go on waiting there, and
// speak of it later.
func (c *Control) dialData(address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		err = c.broken(conn.NotExecuted)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.life, c.connectTimeout)
	defer cancel()
	raw, err := c.dial(ctx, "tcp", net.JoinHostPort(c.host, port))
	if err != nil {
		c.Fail(fmt.Errorf("data connection: %w", dialError(c.life, err)))
		return nil, c.broken(conn.NotExecuted)
	}
	d := &dataConn{Conn: raw, c: c}
	c.mu.Lock()
	c.data = d
	c.mu.Unlock()
	if err := c.broken(conn.NotExecuted); err != nil { // meanwhile; Fail has not seen d
		d.abort()
		return nil, err
	}
	return d, nil
}

// sent returns how much was written, in bytes.
func (d *dataConn) sent() int64 { return d.written.Load() }

// givenUp reports whether the connection was closed before its end was read.
func (d *dataConn) givenUp() bool { return d.closed.Load() && !d.ended.Load() }

func (d *dataConn) Read(p []byte) (int, error) {
	d.Conn.SetReadDeadline(time.Now().Add(d.c.timeout))
	n, err := d.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		d.ended.Store(true)
		return n, io.EOF
	}
	return n, d.check(err)
}

func (d *dataConn) Write(p []byte) (int, error) {
	d.Conn.SetWriteDeadline(time.Now().Add(d.c.timeout))
	n, err := d.Conn.Write(p)
	d.written.Add(int64(n))
	return n, d.check(err)
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

// Close ends the transfer: for an upload it says that all was sent.
func (d *dataConn) Close() error {
	d.once.Do(func() {
		d.closed.Store(true)
		d.c.mu.Lock()
		if d.c.data == d {
			d.c.data = nil
		}
		d.c.mu.Unlock()
		d.Conn.Close()
	})
	return nil
}

// Abort resets the connection, so that the server sees an error instead of
// the end of the data.
func (d *dataConn) abort() {
	if l, ok := d.Conn.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
	d.Close()
}
