package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"ftpfs/conn"
)

// secretConn is a data connection in TLS.
type secretConn struct {
	*tls.Conn
	tcp net.Conn
	c   *Control
}

var _ starter = (*secretConn)(nil)

// guard puts TLS on a data connection, if the server was told so.
func (c *Control) guard(tcp net.Conn) net.Conn {
	if c.secret == nil || !c.secret.private {
		return tcp
	}
	return &secretConn{Conn: tls.Client(steadyConn{tcp, c.timeout}, c.secret.data), tcp: tcp, c: c}
}

// Start begins the handshake: whoever reads or writes waits for it. It is
// not answered before the command was sent that uses the connection.
func (s *secretConn) Start() {
	s.c.beside(func() { s.handshake() })
}

// beside runs f beside the verb, unless the connection is broken.
func (c *Control) beside(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.aside.Go(f)
	return true
}

// handshake returns the error of the connection's one handshake.
func (s *secretConn) handshake() error {
	ctx, cancel := context.WithTimeout(s.c.life, s.c.timeout)
	defer cancel()
	return s.Conn.HandshakeContext(ctx)
}

// SetLinger passes on what a reset needs; see dataConn.abort.
func (s *secretConn) SetLinger(sec int) error {
	if l, ok := s.tcp.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}

// end closes the connection. After an upload in TLS the server must find
// close_notify, not only the end of the connection, and a handshake even
// where nothing was sent: vsftpd and Pure-FTPd end the session else. What was
// given up ends without.
func (d *dataConn) end() {
	s, secret := d.Conn.(*secretConn)
	t := d.transfer.Load()
	mayFinish := !d.aborted.Load() && t != nil && t.began.Load() && !t.final.Load()
	switch {
	case !secret:
		if a, ok := d.Conn.(*activeConn); ok && mayFinish {
			a.wait() // ProFTPD and vsftpd take one that is not there yet for cut
		}
		d.Conn.Close()
	case mayFinish && t.upload:
		s.finish()
	case !d.aborted.Load() && d.ended.Load():
		s.Conn.Close()
	default:
		s.tcp.Close()
	}
}

// finish says that all was sent, and reads the other half to its end, beside:
// the server's session tickets are in it. With them unread the kernel would
// reset the connection, and the server could lose what it has not read yet.
func (s *secretConn) finish() {
	if s.handshake() != nil || s.Conn.CloseWrite() != nil {
		s.tcp.Close()
		return
	}
	w, ok := s.tcp.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		s.tcp.Close()
		return
	}
	draining := s.c.beside(func() {
		stop := context.AfterFunc(s.c.life, func() { s.tcp.Close() })
		defer stop()
		s.tcp.SetReadDeadline(time.Now().Add(s.c.timeout))
		io.Copy(io.Discard, s.Conn)
		s.tcp.Close()
	})
	if !draining {
		s.tcp.Close()
	}
}

// resumptionError says that a transfer was refused because its TLS session is
// not that of the control connection, if r says so. Our TLS resumes sessions by
// ticket only, never by their ID.
func (c *Control) resumptionError(r Reply) error {
	if c.transfer == nil || r.Code != 425 && r.Code != 522 {
		return nil
	}
	s, secret := c.transfer.data.Conn.(*secretConn)
	if !secret {
		return nil
	}
	s.tcp.Close() // ends a handshake under way
	if state := s.ConnectionState(); !state.HandshakeComplete || state.DidResume {
		return nil
	}
	return fmt.Errorf("%w (%q): on ProFTPD set \"TLSOptions NoSessionReuseRequired\" or allow TLSv1.3, on vsftpd \"require_ssl_reuse=NO\"", conn.ErrResumption, r)
}
