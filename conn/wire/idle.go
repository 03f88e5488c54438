package wire

import (
	"errors"
	"net"
)

// watchSize is how much of its first read a watched connection keeps, in bytes.
const watchSize = 4 << 10

// idleConn is a connection that waits for its use. It is read from the
// beginning, for a server sends nothing before it was asked to: so its end
// shows at once.
type idleConn struct {
	net.Conn
	read  chan struct{} // closed after the first read
	first []byte        // what that gave, less what was taken
	err   error         // with which it ended
	taken bool          // the first read was handed out; owned by the reader
}

func watch(raw net.Conn) *idleConn {
	c := &idleConn{Conn: raw, read: make(chan struct{})}
	go func() {
		defer close(c.read)
		buf := make([]byte, watchSize)
		n, err := raw.Read(buf)
		c.first, c.err = buf[:n], err
	}()
	return c
}

// alive reports whether nothing has come yet, not even the end.
func (c *idleConn) alive() bool {
	select {
	case <-c.read:
		return c.err == nil
	default:
		return true
	}
}

// Read gives what the first read gave, then what follows. Its deadline is the
// connection's, in the first read too.
func (c *idleConn) Read(p []byte) (int, error) {
	if c.taken {
		return c.Conn.Read(p)
	}
	<-c.read
	n := copy(p, c.first)
	c.first = c.first[n:]
	if len(c.first) > 0 {
		return n, nil
	}
	c.taken = true
	return n, c.err
}

// Close closes the connection and waits for the first read.
func (c *idleConn) Close() error {
	err := c.Conn.Close()
	<-c.read
	return err
}

// CloseWrite passes on what the end of an upload in TLS needs.
func (c *idleConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetLinger passes on what a reset needs; see dataConn.abort.
func (c *idleConn) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}
