package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"ftpfs/conn"
)

// shortLife is how soon a warm connection must end for us to think that the
// server dislikes it.
const shortLife = 10 * time.Second

// An opener is a way to data connections. It belongs to one Control.
type opener interface {
	// ask returns the command that asks the server for the next connection.
	ask() (line string, err error)

	// open makes the connection that the server's answer r speaks of, within
	// ctx. A refusal is a *refusedError.
	open(ctx context.Context, r Reply) (net.Conn, error)

	// fallBack is called after a refusal. It reports whether ask returns
	// another command from now on.
	fallBack() bool

	// close is called when no more is asked.
	close()
}

// opener returns the way to data connections beside the control connection tcp.
func (s *Server) opener(tcp net.Conn) (opener, error) {
	if s.cfg.Active {
		return newActive(s, tcp, cmp.Or(s.cfg.ConnectTimeout, conn.DefaultConnectTimeout))
	}
	o := &passive{server: s, host: s.cfg.Host}
	if peer := addressOf(tcp.RemoteAddr()); peer.IsValid() && s.cfg.Proxy == "" {
		o.host = peer.String()
		o.pasv = s.cfg.TrustPassive && peer.Is4()
	}
	o.trust = o.pasv
	return o, nil
}

// refusedError says that the server does not open data connections the way it
// was asked to.
type refusedError struct{ Reply }

func (e *refusedError) Error() string {
	return fmt.Sprintf("no data connection: the server said %q", e.Reply.String())
}

// passive connects to a port of the server: EPSV (RFC 2428), where that is
// refused PASV (RFC 959). The connections go to the server of the control
// connection whatever host it names, so that it cannot send us elsewhere, unless
// it is trusted.
type passive struct {
	server *Server
	host   string
	pasv   bool // EPSV was refused, or is not wanted
	trust  bool // the host that PASV names
}

func (o *passive) ask() (string, error) {
	if o.pasv {
		return "PASV", nil
	}
	return "EPSV", nil
}

func (o *passive) fallBack() bool {
	again := !o.pasv
	o.pasv = true
	return again
}

func (o *passive) open(ctx context.Context, r Reply) (net.Conn, error) {
	if !r.OK() {
		return nil, &refusedError{r}
	}
	host, port, err := passiveAddress(r)
	if err != nil {
		return nil, err
	}
	if !o.trust || host == "" {
		host = o.host
	}
	raw, err := o.server.dial(ctx, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return watch(raw), nil
}

func (o *passive) close() {}

// passiveAddress returns the address of an answer to EPSV, "(|||port|)" with
// any delimiter and without a host, or to PASV: six numbers, parentheses or not
// (RFC 1123, 4.1.2.6). Some servers give one for the other.
func passiveAddress(r Reply) (host string, port int, err error) {
	wrong := fmt.Errorf("%w: %q names no port", conn.ErrProtocol, r)
	text := r.Text()
	switch r.Code {
	case 229:
		_, rest, _ := strings.Cut(text, "(")
		inner, _, ok := strings.Cut(rest, ")")
		if !ok || inner == "" {
			return "", 0, wrong
		}
		f := strings.Split(inner, inner[:1])
		if len(f) != 5 {
			return "", 0, wrong
		}
		n, err := strconv.ParseUint(f[3], 10, 16)
		if err != nil || n == 0 {
			return "", 0, wrong
		}
		return "", int(n), nil
	case 227:
		numbers := strings.FieldsFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != ',' })
		for _, s := range numbers {
			f := strings.Split(s, ",")
			if len(f) != 6 {
				continue
			}
			high, err1 := strconv.ParseUint(f[4], 10, 8)
			low, err2 := strconv.ParseUint(f[5], 10, 8)
			if n := int(high)<<8 | int(low); err1 == nil && err2 == nil && n != 0 {
				host := strings.Join(f[:4], ".")
				if _, err := netip.ParseAddr(host); err != nil {
					host = ""
				}
				return host, n, nil
			}
		}
	}
	return "", 0, wrong
}

// promise is a data connection in the making.
type promise struct {
	ahead bool      // it was asked for before it was needed
	since time.Time // when that was
	once  sync.Once
	done  chan struct{} // closed when it is kept or broken
	conn  net.Conn      // set before that, or
	err   error         // why there is none
}

// settle keeps the promise, or breaks it with err.
func (p *promise) settle(c net.Conn, err error) {
	p.once.Do(func() {
		p.conn, p.err = c, err
		close(p.done)
	})
}

// settled reports whether the promise is kept or broken.
func (p *promise) settled() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// alive reports whether the connection is there to be used.
func (p *promise) alive() bool {
	if !p.settled() || p.err != nil {
		return false
	}
	w, watched := p.conn.(interface{ alive() bool })
	return !watched || w.alive()
}

// dead reports whether the connection was there and has ended.
func (p *promise) dead() bool { return p.settled() && p.err == nil && !p.alive() }

// warmUp asks for the next data connection, if there is none and none is in
// use. Nobody waits for it.
func (c *Control) warmUp() {
	c.mu.Lock()
	// pyftpdlib answers EPRT once it has connected, and meanwhile what comes after it.
	wanted := c.manners.Warm && (c.manners.Ahead || !c.server.cfg.Active) && c.server.warm() && c.warm == nil && c.data == nil && c.life.Err() == nil
	p := &promise{ahead: true, since: time.Now(), done: make(chan struct{})}
	if wanted {
		c.warm = p
	}
	c.mu.Unlock()
	if wanted {
		c.request(p)
	}
}

// request sends what asks for p, and has it opened once the server answers.
func (c *Control) request(p *promise) {
	line, err := c.opener.ask()
	if err == nil {
		err = checkLine(line)
	}
	if err == nil {
		take := func(r Reply) error { return c.promised(p, r) }
		lost := func(err error) { p.settle(nil, err) }
		err = c.write([]*debt{{verb: verbOf(line), take: take, lost: lost}}, line)
	}
	if err != nil {
		p.settle(nil, err)
	}
}

// promised takes the answer to what asked for p.
func (c *Control) promised(p *promise, r Reply) error {
	if r.Code == closing || r.OK() && r.Code != 227 && r.Code != 229 && r.Code != 200 {
		err := &saidError{r} // it ends the session, or answers something else
		p.settle(nil, err)
		return err
	}
	c.aside.Go(func() {
		ctx, cancel := context.WithTimeout(c.life, c.connectTimeout)
		defer cancel()
		raw, err := c.opener.open(ctx, r)
		if err != nil {
			c.trace.event("no data connection: %v", err)
		}
		p.settle(raw, err)
		if err == nil && c.life.Err() != nil { // meanwhile; Fail may not have seen the connection
			raw.Close()
		}
	})
	return nil
}

// openData gets the connection for the next transfer: the one that is warm,
// if it still lives, else a new one. A refusal is a *refusedError; any other
// error breaks the session, for the server would go on waiting at its port,
// and speak of it later.
func (c *Control) openData() (*dataConn, error) {
	for {
		c.mu.Lock()
		p := c.warm
		if p == nil {
			p = &promise{done: make(chan struct{})}
			c.warm = p
			c.mu.Unlock()
			c.request(p)
		} else {
			c.mu.Unlock()
		}
		if err := c.wait(p); err != nil {
			return nil, err
		}
		alive := p.alive()
		d := &dataConn{c: c, warm: p.ahead}
		c.mu.Lock()
		c.warm = nil
		if alive {
			d.Conn = c.guard(p.conn)
			c.data = d
		}
		c.mu.Unlock()
		var refused *refusedError
		switch {
		case c.life.Err() != nil:
			if p.err == nil {
				p.conn.Close()
			}
			return nil, c.broken(conn.NotExecuted)
		case alive:
			return d, nil
		case errors.As(p.err, &refused) && p.ahead && refused.Code/100 == 4: // it was too early
		case errors.As(p.err, &refused):
			if !c.opener.fallBack() {
				return nil, refused
			}
		case !p.ahead || p.err != nil && isTimeout(p.err):
			c.Fail(fmt.Errorf("data connection: %w", dialError(c.life, cmp.Or(p.err, io.ErrUnexpectedEOF))))
			return nil, c.broken(conn.NotExecuted)
		default: // it could not be made, or has died since
			c.drop(p)
		}
	}
}

// replaceDead has the next data connection made anew if the server has closed
// the one that waited for its use.
func (c *Control) replaceDead() {
	c.mu.Lock()
	p := c.warm
	dead := p != nil && p.dead()
	if dead {
		c.warm = nil
	}
	c.mu.Unlock()
	if dead {
		c.drop(p)
		c.warmUp()
	}
}

// drop closes a connection that was made ahead and is of no use.
func (c *Control) drop(p *promise) {
	if p.err == nil {
		p.conn.Close()
	}
	if time.Since(p.since) < shortLife {
		c.server.strikes.Add(1)
	}
}

// wait waits until p is kept or broken.
func (c *Control) wait(p *promise) error {
	t := time.NewTimer(c.timeout + c.connectTimeout)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
		c.Fail(fmt.Errorf("%w: no data connection", conn.ErrTimeout))
	case <-c.life.Done():
	}
	return c.broken(conn.NotExecuted)
}
