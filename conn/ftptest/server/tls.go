package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
)

// handshakeTimeout is how long a client may take for a TLS handshake.
const handshakeTimeout = acceptTimeout

// cmdAuth answers AUTH TLS (RFC 4217, section 4); the handshake follows the
// reply, see upgrade.
func (s *session) cmdAuth() Reply {
	switch {
	case s.srv.cfg.TLS == nil:
		return replyf(500, "%s not understood", s.verb)
	case s.secret:
		return Reply{Code: 503, Text: "Already in TLS"}
	case !strings.EqualFold(s.arg, "TLS"):
		return replyf(504, "AUTH %s unsupported", s.arg)
	}
	return Reply{Code: 234, Text: "AUTH TLS successful"}
}

func (s *session) cmdPbsz() Reply {
	if !s.secret {
		return Reply{Code: 503, Text: "PBSZ not allowed without TLS"}
	}
	return Reply{Code: 200, Text: "PBSZ 0 successful"}
}

func (s *session) cmdProt() Reply {
	level := strings.ToUpper(s.arg)
	switch {
	case !s.secret:
		return Reply{Code: 503, Text: "PROT not allowed without TLS"}
	case level != "P" && level != "C":
		return replyf(536, "PROT %s unsupported", s.arg)
	case level == "C" && s.srv.cfg.RequirePrivate:
		return Reply{Code: 534, Text: "Unwilling to accept security parameters"}
	}
	s.private = level == "P"
	return Reply{Code: 200, Text: "Protection set to " + level}
}

// upgrade is called when AUTH was answered: the reader waits for what to read
// from next. What the client sent ahead of its handshake is not read at all.
func (s *session) upgrade(r Reply) {
	if s.verb != "AUTH" {
		return
	}
	if r.Code == 234 && !s.secret {
		s.secret = true
		s.conn = tls.Server(s.conn, s.srv.cfg.TLS)
	}
	select {
	case s.upgraded <- s.conn:
	case <-s.ctx.Done():
	}
}

// reread returns the reader of what follows line: of the connection that is
// in TLS after an AUTH.
func (s *session) reread(r *bufio.Reader, line string) *bufio.Reader {
	verb, _, _ := strings.Cut(line, " ")
	if !strings.EqualFold(verb, "AUTH") {
		return r
	}
	select {
	case c := <-s.upgraded:
		if _, secret := c.(*tls.Conn); secret {
			return bufio.NewReaderSize(c, maxLine)
		}
	case <-s.ctx.Done():
	}
	return r
}

// protect does the handshake of a data connection, if it is to be private.
func (s *session) protect(ctx context.Context, c net.Conn) (net.Conn, *Reply) {
	if !s.private {
		return c, nil
	}
	secret := &secretConn{tcp: &endConn{Conn: c}}
	secret.Conn = tls.Server(secret.tcp, s.srv.cfg.TLS)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secret.HandshakeContext(ctx); err != nil {
		s.log.Debug("ftp data connection", "err", err)
		return c, &Reply{Code: 425, Text: "Unable to build data connection: TLS negotiation failed"}
	}
	if s.srv.cfg.RequireReuse && !secret.ConnectionState().DidResume {
		return c, &Reply{Code: 522, Text: "SSL connection failed: session reuse required"}
	}
	return secret, nil
}

// endConn remembers that the client has closed its side.
type endConn struct {
	net.Conn
	ended bool
}

func (c *endConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

// secretConn is a data connection in TLS. Its end counts only with
// close_notify: anybody in between can close a connection.
type secretConn struct {
	*tls.Conn
	tcp *endConn
}

func (c *secretConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) && c.tcp.ended {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
