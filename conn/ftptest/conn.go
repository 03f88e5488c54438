package ftptest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
)

// conn is a connection of the server on which gates can be put.
type conn struct {
	net.Conn
	gates  func(Direction) []*gate
	trail  func() string // what to send behind the next write; nil: nothing
	closed func()        // called once by Close; nil: nothing

	once    sync.Once
	done    chan struct{} // closed by Close
	arrived []byte        // read, but not yet let through
}

func newConn(c net.Conn) *conn { return &conn{Conn: c, done: make(chan struct{})} }

// Read holds back at the gates what has come, so that a gate that is put up
// during a Read still catches its bytes.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.arrived) == 0 {
		n, err := c.Conn.Read(p)
		if n == 0 || err != nil {
			return n, err
		}
		c.arrived = bytes.Clone(p[:n])
	}
	n, err := c.pass(FromClient, min(len(p), len(c.arrived)))
	copy(p, c.arrived[:n])
	c.arrived = c.arrived[n:]
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.trail != nil {
		if t := c.trail(); t != "" {
			n, err := c.write(append(bytes.Clone(p), t...))
			return min(n, len(p)), err
		}
	}
	return c.write(p)
}

func (c *conn) write(p []byte) (int, error) {
	for sent := 0; ; {
		n, err := c.pass(ToClient, len(p)-sent)
		if err != nil {
			return sent, err
		}
		n, err = c.Conn.Write(p[sent : sent+n])
		sent += n
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// pass returns how many of n bytes the gates let through, at least one of
// them. It waits at a gate that stalls, and cuts the connection at one that
// cuts.
func (c *conn) pass(d Direction, n int) (int, error) {
	for {
		gates := c.gates(d)
		allowed, shut := n, (*gate)(nil)
		for _, g := range gates {
			if left := g.remaining(); left < allowed {
				allowed, shut = left, g
			}
		}
		switch {
		case allowed > 0 || n == 0:
			for _, g := range gates {
				g.spend(allowed)
			}
			return allowed, nil
		case !shut.stall:
			c.cut(shut.reset)
			return 0, net.ErrClosed
		}
		select {
		case <-shut.removed:
		case <-c.done:
			return 0, net.ErrClosed
		}
	}
}

// cut closes the connection under the server's feet.
func (c *conn) cut(reset bool) {
	if reset {
		c.resetOnClose()
	}
	c.Conn.Close()
}

// resetOnClose makes the end of the connection a reset.
func (c *conn) resetOnClose() {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0) // fails only if the connection has ended already
	}
}

func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		close(c.done)
		if c.closed != nil {
			c.closed()
		}
	})
	return err
}

// gate lets a number of bytes pass; then it stalls until it is removed, or
// cuts.
type gate struct {
	stall   bool
	reset   bool // cut with RST, not FIN
	removed <-chan struct{}

	mu   sync.Mutex
	left int // guarded by mu
}

// remaining returns how many bytes may pass.
func (g *gate) remaining() int {
	select {
	case <-g.removed:
		return int(^uint(0) >> 1)
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.left
}

func (g *gate) spend(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left -= min(n, g.left)
}

// editor changes what is sent on a data connection: it is held until its end.
type editor struct {
	net.Conn
	edit func([]byte) []byte
	held bytes.Buffer
}

func (e *editor) Write(p []byte) (int, error) { return e.held.Write(p) }

// CloseWrite sends the edited bytes. A transfer that fails does not come here.
func (e *editor) CloseWrite() error {
	if _, err := io.Copy(e.Conn, bytes.NewReader(e.edit(e.held.Bytes()))); err != nil {
		return err
	}
	return closeWrite(e.Conn)
}

func closeWrite(c net.Conn) error {
	w, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return w.CloseWrite()
}
