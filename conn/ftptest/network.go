package ftptest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// firstEphemeral is the first port that a Network gives by itself.
const firstEphemeral = 32768

// Network is a TCP network in memory with a round-trip time. Under
// testing/synctest (call NewNetwork within the bubble) its delays are virtual,
// so that the cost of a session can be asserted to the nanosecond.
//
// Connections behave like those of the net package: buffers, orderly and
// abortive ends, deadlines, *net.OpError around the errno. Every address is on
// this one host: listeners are told apart by address and port only. Bandwidth
// is unlimited and nothing is lost.
type Network struct {
	delay time.Duration // one way

	mu        sync.Mutex
	port      uint16                        // guarded by mu; last one given
	flights   []time.Time                   // guarded by mu; see Flights
	listeners map[netip.AddrPort]*vListener // guarded by mu
}

// NewNetwork returns a network on which a packet and its answer take rtt.
func NewNetwork(rtt time.Duration) *Network {
	return &Network{delay: rtt / 2, port: firstEphemeral, listeners: map[netip.AddrPort]*vListener{}}
}

// Listen is net.Listen for "tcp" and literal addresses with a host. An
// address in use is EADDRINUSE.
func (n *Network) Listen(network, address string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp" {
		return nil, &net.OpError{Op: "listen", Net: network, Err: &net.AddrError{Err: "not a literal TCP address", Addr: address}}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if ap.Port() == 0 {
		ap = netip.AddrPortFrom(ap.Addr(), n.nextPortLocked())
	}
	if n.listeners[ap] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := newListener(net.TCPAddrFromAddrPort(ap), func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.listeners, ap)
		return nil
	})
	n.listeners[ap] = l
	return l, nil
}

// Dial is net.Dialer.DialContext for the addresses of Listen. It takes one
// round trip, also to be refused.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp" {
		return fail(&net.AddrError{Err: "not a literal TCP address", Addr: address})
	}
	n.sends()
	if err := sleep(ctx, n.delay); err != nil { // SYN
		return fail(err)
	}
	n.mu.Lock()
	l := n.listeners[ap]
	local := netip.AddrPortFrom(ap.Addr(), n.nextPortLocked())
	n.mu.Unlock()
	client, server := pipe(n.delay, net.TCPAddrFromAddrPort(local), net.TCPAddrFromAddrPort(ap))
	client.sends = n.sends
	// The server can accept when the client's ACK has come.
	connected := l != nil && l.offer(arrival{server, time.Now().Add(2 * n.delay)})
	if err := sleep(ctx, n.delay); err != nil { // SYN and ACK, or RST
		client.Abort()
		return fail(err)
	}
	if !connected {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	return client, nil
}

// sends notes that a client sends something now.
func (n *Network) sends() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := time.Now(); len(n.flights) == 0 || !n.flights[len(n.flights)-1].Equal(now) {
		n.flights = append(n.flights, now)
	}
}

// Flights returns the moments of virtual time from start to before end at
// which clients sent something: SYN, data, FIN or RST. What they send without
// waiting for the server goes out at the same moment, so that this is the
// number of times that they waited.
func (n *Network) Flights(start, end time.Time) (at []time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.flights {
		if !t.Before(start) && t.Before(end) {
			at = append(at, t)
		}
	}
	return at
}

// nextPortLocked returns a port that no listener has.
func (n *Network) nextPortLocked() uint16 {
	for {
		n.port = max(n.port+1, firstEphemeral)
		free := true
		for ap := range n.listeners {
			free = free && ap.Port() != n.port
		}
		if free {
			return n.port
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if !wait(d, ctx.Done()) {
		return ctx.Err()
	}
	return nil
}

// wait waits for d, or until something is sent on done or it is closed; then
// it returns false. It makes no timer that is due already: in a synctest
// bubble the goroutine itself would run it, in the race context that is the
// bubble's only one, and two that do so at once end the process with SIGSEGV
// (Go 1.26, -race).
func wait[T any](d time.Duration, done <-chan T) bool {
	if d <= 0 {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// arrival is a connection that can be accepted from a moment on.
type arrival struct {
	conn *vConn
	at   time.Time
}

// vListener is a listener whose connections are put in with offer.
type vListener struct {
	addr    net.Addr
	forget  func() error // called once by Close
	backlog chan arrival

	mu   sync.Mutex // orders offer and Close
	done chan struct{}
}

func newListener(addr net.Addr, forget func() error) *vListener {
	return &vListener{addr: addr, forget: forget, backlog: make(chan arrival, 128), done: make(chan struct{})}
}

// offer queues a connection; false if the listener is closed or its backlog full.
func (l *vListener) offer(a arrival) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return false
	default:
	}
	select {
	case l.backlog <- a:
		return true
	default:
		return false
	}
}

func (l *vListener) Accept() (net.Conn, error) {
	closed := &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	select {
	case <-l.done:
		return nil, closed
	case a := <-l.backlog:
		if !wait(time.Until(a.at), l.done) {
			a.conn.Abort()
			return nil, closed
		}
		return a.conn, nil
	}
}

// Close resets the connections that nobody has accepted, as TCP does.
func (l *vListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	default:
	}
	close(l.done)
	errs := []error{l.forget()}
	for {
		select {
		case a := <-l.backlog:
			errs = append(errs, a.conn.Abort())
		default:
			return errors.Join(errs...)
		}
	}
}

func (l *vListener) Addr() net.Addr { return l.addr }
