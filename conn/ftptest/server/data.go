package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// acceptTimeout is how long a transfer command waits for its data connection.
const acceptTimeout = 30 * time.Second

// An opener holds the promise of a data connection.
type opener interface {
	// open waits for the connection or makes it. It gives up when ctx ends,
	// and keeps nothing open but what it returns.
	open(ctx context.Context) (net.Conn, error)
	close()
}

// passive waits for the client (EPSV, PASV). It takes nobody but the peer of
// the control connection.
type passive struct {
	listener net.Listener
	peer     netip.Addr
}

func (p *passive) open(ctx context.Context) (net.Conn, error) {
	stop := context.AfterFunc(ctx, p.close)
	defer stop()
	defer p.close()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return nil, err
		}
		if addrPort(c.RemoteAddr()).Addr() == p.peer {
			return c, nil
		}
		c.Close()
	}
}

func (p *passive) close() { p.listener.Close() }

// active connects to the client (EPRT, PORT) once the transfer begins.
type active struct {
	local, remote netip.AddrPort
}

func (a *active) open(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(a.local)}
	return d.DialContext(ctx, "tcp", a.remote.String())
}

func (a *active) close() {}

// setData makes o the way to the next data connection.
func (s *session) setData(o opener) {
	s.dropData()
	s.data = o
}

// dropData closes what EPSV or PASV opened and nobody used.
func (s *session) dropData() {
	if s.data != nil {
		s.data.close()
		s.data = nil
	}
}

// listen opens the listener of a passive data connection and returns its port.
func (s *session) listen() (uint16, error) {
	host := addrPort(s.conn.LocalAddr()).Addr()
	l, err := s.srv.cfg.Listen("tcp", netip.AddrPortFrom(host, 0).String())
	if err != nil {
		s.log.Warn("ftp server: passive data connection", "err", err)
		return 0, err
	}
	s.setData(&passive{l, addrPort(s.conn.RemoteAddr()).Addr()})
	return addrPort(l.Addr()).Port(), nil
}

// cmdEpsv opens a passive connection (RFC 2428, section 3). Which protocol the
// argument asks for makes no difference to the reply.
func (s *session) cmdEpsv() Reply {
	switch strings.ToUpper(s.arg) {
	case "", "1", "2":
	case "ALL":
		s.onlyE = true
		return Reply{Code: 200, Text: "EPSV ALL command successful"}
	default:
		return wrongProtocol()
	}
	port, err := s.listen()
	if err != nil {
		return replyf(425, "Unable to build data connection: %s", reason(err))
	}
	return replyf(229, "Entering Extended Passive Mode (|||%d|)", port)
}

func (s *session) cmdPasv() Reply {
	host := addrPort(s.conn.LocalAddr()).Addr()
	switch {
	case s.onlyE:
		return Reply{Code: 500, Text: "Illegal PASV command, EPSV ALL in effect"}
	case !host.Is4():
		return Reply{Code: 501, Text: "PASV needs IPv4, use EPSV"}
	}
	port, err := s.listen()
	if err != nil {
		return replyf(425, "Unable to build data connection: %s", reason(err))
	}
	b := host.As4()
	return replyf(227, "Entering Passive Mode (%d,%d,%d,%d,%d,%d)", b[0], b[1], b[2], b[3], port>>8, port&0xff)
}

// cmdEprt takes "|1|192.0.2.1|5000|" (RFC 2428, section 2).
func (s *session) cmdEprt() Reply {
	f := strings.Split(s.arg, s.arg[:1])
	if len(f) != 5 || f[1] != "1" && f[1] != "2" {
		return wrongProtocol()
	}
	return s.setActive(net.JoinHostPort(f[2], f[3]))
}

// cmdPort takes "h1,h2,h3,h4,p1,p2" (RFC 959, section 4.1.2).
func (s *session) cmdPort() Reply {
	if s.onlyE {
		return Reply{Code: 500, Text: "Illegal PORT command, EPSV ALL in effect"}
	}
	f := strings.Split(s.arg, ",")
	var n [6]uint64
	if len(f) != len(n) {
		return Reply{Code: 501, Text: "Illegal PORT command"}
	}
	for i := range f {
		var err error
		if n[i], err = strconv.ParseUint(f[i], 10, 8); err != nil {
			return Reply{Code: 501, Text: "Illegal PORT command"}
		}
	}
	return s.setActive(fmt.Sprintf("%d.%d.%d.%d:%d", n[0], n[1], n[2], n[3], n[4]<<8|n[5]))
}

// setActive refuses every address but the client's own and the ports below
// 1024, so that nobody is attacked from here (RFC 2577, section 3).
func (s *session) setActive(address string) Reply {
	remote, err := netip.ParseAddrPort(address)
	if err != nil || remote.Addr() != addrPort(s.conn.RemoteAddr()).Addr() || remote.Port() < 1024 {
		return replyf(500, "Illegal %s command", s.verb)
	}
	local := addrPort(s.conn.LocalAddr()).Addr()
	s.setData(&active{netip.AddrPortFrom(local, 0), remote})
	return replyf(200, "%s command successful", s.verb)
}

func wrongProtocol() Reply {
	return Reply{Code: 522, Text: "Network protocol not supported, use (1,2)"}
}

// addrPort returns a TCP address, an IPv4 one never in its IPv6 form; the
// zero value for an address of another kind.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
