package wire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"ftpfs/conn"
)

// active has the server connect to us: EPRT (RFC 2428), where that is refused
// PORT (RFC 959). Only the address of the control connection gets in.
type active struct {
	limit     *throttle
	local     netip.Addr // to listen at
	announced netip.Addr // that the server is told
	peer      netip.Addr
	ports     conn.PortRange
	timeout   time.Duration
	port      bool // EPRT was refused

	mu   sync.Mutex
	next *activeConn // guarded by mu; asked for, and not yet answered
}

// newActive returns the opener of a control connection.
func newActive(s *Server, tcp net.Conn, timeout time.Duration) (*active, error) {
	cfg := s.cfg
	local, peer := addressOf(tcp.LocalAddr()), addressOf(tcp.RemoteAddr())
	if !local.IsValid() || !peer.IsValid() {
		return nil, fmt.Errorf("%w: active mode needs a connection without a proxy", errors.ErrUnsupported)
	}
	o := &active{limit: s.limit, local: local, announced: local, peer: peer, ports: cfg.ActivePorts, timeout: timeout}
	if cfg.ActiveAddress.IsValid() {
		o.announced = cfg.ActiveAddress
	}
	return o, nil
}

// addressOf returns the IP address, an IPv4 one never in its IPv6 form.
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (o *active) ask() (string, error) {
	l, err := o.listen()
	if err != nil {
		return "", err
	}
	c := &activeConn{listener: l, limit: o.limit, peer: o.peer, timeout: o.timeout, accepted: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next.drop() // it was asked for and not answered
	o.next = c
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	host := o.announced.WithZone("")
	if o.port {
		b := host.As4()
		return fmt.Sprintf("PORT %d,%d,%d,%d,%d,%d", b[0], b[1], b[2], b[3], port>>8, port&0xff), nil
	}
	family := 1
	if host.Is6() {
		family = 2
	}
	return fmt.Sprintf("EPRT |%d|%s|%d|", family, host, port), nil
}

// listen listens at any port, or at one of the range that is free.
func (o *active) listen() (net.Listener, error) {
	size := int(o.ports.High) - int(o.ports.Low) + 1
	if o.ports.Low == 0 {
		return net.Listen("tcp", net.JoinHostPort(o.local.String(), "0"))
	}
	first := rand.IntN(size)
	for i := range size {
		port := int(o.ports.Low) + (first+i)%size
		l, err := net.Listen("tcp", net.JoinHostPort(o.local.String(), strconv.Itoa(port)))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
	return nil, fmt.Errorf("%w: all ports from %d to %d are in use", conn.ErrBusy, o.ports.Low, o.ports.High)
}

func (o *active) open(_ context.Context, r Reply) (net.Conn, error) {
	o.mu.Lock()
	c := o.next
	o.next = nil
	o.mu.Unlock()
	if !r.OK() {
		c.drop()
		return nil, &refusedError{r}
	}
	return c, nil
}

// fallBack goes on to PORT, which knows IPv4 only.
func (o *active) fallBack() bool {
	again := !o.port && o.announced.Is4()
	o.port = again || o.port
	return again
}

// close ends what was asked for and will not be answered.
func (o *active) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next.drop()
	o.next = nil
}

// activeConn is a data connection that the server makes. Whoever reads or
// writes waits for it.
type activeConn struct {
	listener net.Listener
	limit    *throttle
	peer     netip.Addr
	timeout  time.Duration

	once     sync.Once
	accepted chan struct{} // closed when conn or err is set
	conn     net.Conn
	err      error

	mu    sync.Mutex
	read  time.Time // guarded by mu; deadlines, until there is a connection
	write time.Time // guarded by mu
}

var _ starter = (*activeConn)(nil)

// Start accepts the connection, within the timeout.
func (c *activeConn) Start() { c.once.Do(func() { go c.accept() }) }

func (c *activeConn) accept() {
	defer close(c.accepted)
	defer c.listener.Close()
	if l, ok := c.listener.(*net.TCPListener); ok {
		l.SetDeadline(time.Now().Add(c.timeout))
	}
	for {
		raw, err := c.listener.Accept()
		if err != nil {
			c.err = err
			return
		}
		if addressOf(raw.RemoteAddr()) == c.peer {
			c.mu.Lock()
			defer c.mu.Unlock()
			raw.SetReadDeadline(c.read)
			raw.SetWriteDeadline(c.write)
			c.conn = c.limit.wrap(raw)
			return
		}
		raw.Close()
	}
}

// wait returns the connection once it is there.
func (c *activeConn) wait() (net.Conn, error) {
	c.Start()
	<-c.accepted
	return c.conn, c.err
}

func (c *activeConn) Read(p []byte) (int, error) {
	conn, err := c.wait()
	if err != nil {
		return 0, err
	}
	return conn.Read(p)
}

func (c *activeConn) Write(p []byte) (int, error) {
	conn, err := c.wait()
	if err != nil {
		return 0, err
	}
	return conn.Write(p)
}

// Close closes the connection, or gives it up if it has not been made yet.
func (c *activeConn) Close() error {
	c.once.Do(func() { // nobody waits for it, and nobody ever will
		c.err = net.ErrClosed
		close(c.accepted)
	})
	c.listener.Close()
	<-c.accepted
	if c.conn != nil {
		return c.conn.Close()
	}
	return nil
}

// drop is Close for a connection that may be nil.
func (c *activeConn) drop() {
	if c != nil {
		c.Close()
	}
}

// CloseWrite and SetLinger pass on what an end needs; see dataConn.
func (c *activeConn) CloseWrite() error {
	conn, err := c.wait()
	if err != nil {
		return err
	}
	if w, ok := conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *activeConn) SetLinger(sec int) error {
	select {
	case <-c.accepted:
	default:
		return nil
	}
	if l, ok := c.conn.(interface{ SetLinger(sec int) error }); ok {
		return l.SetLinger(sec)
	}
	return nil
}

func (c *activeConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read = t; c.conn != nil {
		return c.conn.SetReadDeadline(t)
	}
	return nil
}

func (c *activeConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.write = t; c.conn != nil {
		return c.conn.SetWriteDeadline(t)
	}
	return nil
}

func (c *activeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *activeConn) LocalAddr() net.Addr { return c.listener.Addr() }
func (c *activeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.peer, 0))
}
