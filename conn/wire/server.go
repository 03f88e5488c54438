package wire

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"

	"ftpfs/conn"
)

// maxStrikes is how often a warm connection may have been of no use to a
// server before no more are made.
const maxStrikes = 2

// Server is what all connections to one server have in common.
type Server struct {
	cfg     conn.Config
	wayOut  dialFunc
	limit   *throttle
	trace   *trace       // nil: none
	tls     *security    // nil: none
	wrong   error        // with cfg, which every Dial returns
	strikes atomic.Int32 // warm connections in a row that the server would not use
}

// NewServer returns the server of cfg.
func NewServer(cfg conn.Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, limit: newThrottle(cfg.Bandwidth)}
	if cfg.Trace != nil {
		s.trace = &trace{w: cfg.Trace}
	}
	s.wayOut, s.wrong = wayOut(cfg)
	if s.wrong == nil && cfg.TLS.Mode != conn.TLSOff {
		s.tls, s.wrong = newSecurity(cfg)
	}
	return s
}

// dial opens a TCP connection to address.
func (s *Server) dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := s.wayOut(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return s.limit.wrap(c), nil
}

// warm reports whether data connections are made ahead of their use.
func (s *Server) warm() bool { return !s.cfg.NoWarm && s.strikes.Load() < maxStrikes }

// Manners are what a server is known to put up with. The zero value is what
// every server does.
type Manners struct {
	Warm      bool // a data connection may be open before the command that uses it
	Ahead     bool // a command sent at the end of a download's data is answered after the 226, so that it need not wait for it
	DataFirst bool // data may follow STOR at once: what comes before the STOR, now and then, on a connection of its own, is not lost
	Telnet    bool // the byte 0xFF of a name is doubled on its way there
	Abort     bool // a download is given up by ABOR before the connection is closed
	MaxLine   int  // bytes of a command without its end; a longer path is shortened by going to its directory. 0: any
}

// Tune tells what the server puts up with, once that is known.
func (c *Control) Tune(m Manners) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manners = m
}

// Warm has a data connection made for the next transfer, if there is none.
// The user is logged in.
func (c *Control) Warm() { c.warmUp() }

// Ready reports whether nothing has to be done before the next transfer: its
// data connection is there, or none is made ahead of its use.
func (c *Control) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.manners.Warm || !c.server.warm() || c.warm != nil && c.warm.alive()
}

// DataFirst reports whether the data of an upload goes out with its command,
// unless other commands lead to it.
func (c *Control) DataFirst() bool {
	if c.server.cfg.Active || c.secret != nil && c.secret.private {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.manners.DataFirst
}
