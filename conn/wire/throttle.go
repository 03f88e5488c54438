package wire

import (
	"cmp"
	"context"
	"errors"
	"net"

	"golang.org/x/time/rate"
)

// throttleBurst is what a throttled connection reads or writes at a time, in
// bytes: as much as keeps a fast link busy, and little enough for a slow one
// to flow evenly.
const throttleBurst = 32 << 10

// throttle is what all connections to a server may transfer together. A nil
// one is no limit.
type throttle struct{ in, out *rate.Limiter }

// newThrottle limits each direction to limit bytes a second; 0: no limit.
func newThrottle(limit int64) *throttle {
	if limit <= 0 {
		return nil
	}
	burst := int(min(throttleBurst, cmp.Or(limit/4, 1)))
	return &throttle{in: rate.NewLimiter(rate.Limit(limit), burst), out: rate.NewLimiter(rate.Limit(limit), burst)}
}

// wrap returns c with the limit on it.
func (t *throttle) wrap(c net.Conn) net.Conn {
	if t == nil {
		return c
	}
	life, end := context.WithCancel(context.Background())
	return &throttledConn{Conn: c, in: t.in, out: t.out, life: life, end: end}
}

// throttledConn is a connection that waits before it passes on.
type throttledConn struct {
	net.Conn
	in, out *rate.Limiter
	life    context.Context // ends at Close, and with it all waiting
	end     context.CancelFunc
}

func (c *throttledConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.in.Burst())])
	if n > 0 && c.in.WaitN(c.life, n) != nil && err == nil {
		err = net.ErrClosed
	}
	return n, err
}

// Write waits after each part, so that one goes within the deadline in any case.
func (c *throttledConn) Write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		var n int
		n, err = c.Conn.Write(p[written:min(len(p), written+c.out.Burst())])
		written += n
		if c.out.WaitN(c.life, n) != nil {
			err = net.ErrClosed
		}
	}
	return written, err
}

func (c *throttledConn) Close() error {
	c.end()
	return c.Conn.Close()
}

// SetLinger passes on what a reset needs; see dataConn.abort.
func (c *throttledConn) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}

// CloseWrite ends what is sent; see dataConn.drain.
func (c *throttledConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
