package wire

import (
	"cmp"
	"context"
	"net"

	"golang.org/x/time/rate"

	"ftpfs/conn"
)

// throttleBurst is what a throttled connection reads or writes at a time, in
// bytes: as much as keeps a fast link busy, and little enough for a slow one
// to flow evenly.
const throttleBurst = 32 << 10

// throttled returns cfg with a Dial whose connections together transfer at
// most cfg.Bandwidth bytes a second in each direction; 0: no limit.
func throttled(cfg conn.Config) conn.Config {
	if cfg.Bandwidth <= 0 {
		return cfg
	}
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	burst := int(min(throttleBurst, cmp.Or(cfg.Bandwidth/4, 1)))
	in, out := rate.NewLimiter(rate.Limit(cfg.Bandwidth), burst), rate.NewLimiter(rate.Limit(cfg.Bandwidth), burst)
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		life, end := context.WithCancel(context.Background())
		return &throttledConn{Conn: raw, in: in, out: out, life: life, end: end}, nil
	}
	return cfg
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

func (c *throttledConn) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := min(len(p), c.out.Burst())
		if c.out.WaitN(c.life, n) != nil {
			return written, net.ErrClosed
		}
		n, err = c.Conn.Write(p[:n])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
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
