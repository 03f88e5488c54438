package ftptest

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// slowLink makes the loopback network as slow as a link with a round-trip
// time. Behind each real connection it puts one of its own with the delay, the
// handshake's included: as the kernel answers a connect at once, the first
// bytes wait for it instead, which costs the client the same.
type slowLink struct {
	delay time.Duration // one way

	mu    sync.Mutex
	conns map[*net.TCPConn]bool // guarded by mu; nil after close
	wg    sync.WaitGroup
}

func newSlowLink(rtt time.Duration) *slowLink {
	return &slowLink{delay: rtt / 2, conns: map[*net.TCPConn]bool{}}
}

// listen is net.Listen for TCP.
func (s *slowLink) listen(network, address string) (net.Listener, error) {
	inner, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	l := newListener(inner.Addr(), inner.Close)
	s.wg.Go(func() {
		for {
			c, err := inner.Accept()
			if err != nil {
				return
			}
			tcp, ok := c.(*net.TCPConn)
			if !ok || !s.keep(tcp) {
				c.Close()
				return
			}
			near, far := pipe(s.delay, c.RemoteAddr(), c.LocalAddr())
			if !l.offer(arrival{far, time.Now().Add(3 * s.delay)}) {
				near.Abort()
			}
			s.wg.Go(func() { s.join(tcp, near) })
		}
	})
	return l, nil
}

// keep notes a connection for close; false if that has been called.
func (s *slowLink) keep(c *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = true
	return true
}

// join copies between a real connection and the slow one until both
// directions have ended, and passes on how they ended.
func (s *slowLink) join(c *net.TCPConn, near *vConn) {
	var both sync.WaitGroup
	both.Go(func() { forward(near, c) })
	both.Go(func() { forward(c, near) })
	both.Wait()
	near.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.Close()
}

// end is what forward needs of both kinds of connections.
type end interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// forward copies from src to dst: an end of file becomes one, an error a reset
// of both.
func forward(dst, src end) {
	_, err := io.Copy(struct{ io.Writer }{dst}, struct{ io.Reader }{src})
	if err == nil {
		err = dst.CloseWrite()
		if err == nil || errors.Is(err, syscall.ENOTCONN) {
			return
		}
	}
	for _, c := range []end{dst, src} {
		_ = c.SetLinger(0) // fails only if it is closed already
		_ = c.Close()
	}
}

// close ends what is left and waits for it.
func (s *slowLink) close() {
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}
