package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"ftpfs/conn"
)

const (
	maxQueued     = 512         // replies that wait to be taken; more is a flood
	quitTimeout   = time.Second // to write QUIT at the end
	concludeGrace = time.Second // see Conclude
)

// Control is a control connection and the data connections opened by it.
type Control struct {
	server         *Server
	tcp            net.Conn
	raw            net.Conn // tcp, or TLS on it
	secret         *secrecy // nil in clear text
	trace          *sessionTrace
	timeout        time.Duration
	connectTimeout time.Duration
	opener         opener

	life context.Context // ends when the connection is broken; its cause says why
	kill context.CancelCauseFunc

	replies chan Reply     // those that a verb waits for; closed by the reader, after readErr is set
	readErr error          // why the reader ended
	done    chan struct{}  // closed when the reader is gone
	aside   sync.WaitGroup // data connections being opened, their handshakes and ends

	// Owned by the goroutine of the verb.
	lib      *library
	last     exchange
	greeting Reply
	features Reply         // to FEAT; no Lines if it was not asked
	armed    bool          // REST was accepted and no transfer has used it up
	transfer *transfer     // of the open verb; nil before its command
	leads    []lead        // to be sent with the next transfer's command, before it
	patience time.Duration // more than timeout: with the command under way
	cwd      string        // the current directory, absolute, if this verb went there: later it may have another name
	plan     []string      // see Foretell
	copying  []byte        // what an upload is copied through; nil before the first
	foretold []string      // those of the plan that were sent and not yet asked for

	writing sync.Mutex // holds while commands are written, and is locked before mu

	mu      sync.Mutex
	busy    bool      // guarded by mu; between Begin and its end
	verb    *verb     // guarded by mu; the last one that was begun
	ended   bool      // guarded by mu; no reply will be read any more
	debts   []*debt   // guarded by mu; what the server has yet to answer, in the order of the commands
	manners Manners   // guarded by mu
	data    *dataConn // guarded by mu; of the open transfer
	warm    *promise  // guarded by mu; for the next transfer
}

// Dial opens a control connection, and with it the verb in
// which the library reads the greeting and logs in; end ends it (see Begin).
// The error is ErrHostDown, ErrTimeout, ErrNoTLS, ErrCertificate, ErrProtocol,
// ctx's, or that of conn.TLS.Check, in a *conn.Error with the outcome NotExecuted.
func (s *Server) Dial(ctx context.Context) (c *Control, end func(), err error) {
	if s.wrong != nil {
		return nil, nil, &conn.Error{Op: "connect", Outcome: conn.NotExecuted, Err: s.wrong}
	}
	c = &Control{
		server:         s,
		timeout:        cmp.Or(s.cfg.Timeout, conn.DefaultTimeout),
		connectTimeout: cmp.Or(s.cfg.ConnectTimeout, conn.DefaultConnectTimeout),
		replies:        make(chan Reply, maxQueued),
		done:           make(chan struct{}),
		debts:          []*debt{{}}, // the greeting
	}
	c.trace = s.trace.session()
	dialCtx, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()
	c.tcp, err = s.dial(dialCtx, net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port)))
	if err != nil {
		c.trace.event("no connection: %v", err)
		return nil, nil, &conn.Error{Op: "connect", Outcome: conn.NotExecuted, Err: dialError(ctx, err)}
	}
	c.trace.event("connected to %s from %s", c.tcp.RemoteAddr(), c.tcp.LocalAddr())
	c.raw = c.tcp
	c.opener, err = s.opener(c.tcp)
	var replies *replyReader
	if err == nil {
		replies, err = c.secure(ctx, s.tls)
	}
	if err != nil {
		c.tcp.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, nil, &conn.Error{Op: "connect", Outcome: conn.NotExecuted, Err: err}
	}
	c.life, c.kill = context.WithCancelCause(context.Background())
	c.lib = &library{c: c, owed: greeting}
	go c.readReplies(replies)
	return c, c.beginLocked(ctx), nil
}

// dialError says what a failed dial means. ctx is the caller's, without the
// connect timeout.
func dialError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isTimeout(err):
		return fmt.Errorf("%w: %w", conn.ErrTimeout, err)
	default:
		return fmt.Errorf("%w: %w", conn.ErrHostDown, err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}

// Begin starts a verb: until end is called, the end of ctx breaks the
// connection, so that whatever waits on it returns at once. It fails when the
// connection is broken, ctx has ended, or another verb is open.
func (c *Control) Begin(ctx context.Context) (end func(), err error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, &conn.Error{Op: "session", Outcome: conn.NotExecuted, Err: context.Cause(ctx)}
	}
	c.mu.Lock()
	if c.busy {
		c.mu.Unlock()
		return nil, &conn.Error{Op: "session", Outcome: conn.Refused, Err: conn.ErrBusy}
	}
	end = c.beginLocked(ctx)
	c.mu.Unlock()
	c.replaceDead()
	return end, nil
}

// verb is what Begin starts.
type verb struct {
	concluding bool          // guarded by Control.mu; see Conclude
	givenUp    bool          // guarded by Control.mu; its ctx has ended, and it was not concluding
	over       chan struct{} // closed when it has ended
	cut        chan struct{} // closed when the end of its ctx has had its effect
}

func (c *Control) beginLocked(ctx context.Context) (end func()) {
	c.busy, c.transfer, c.leads, c.plan, c.cwd = true, nil, nil, nil, ""
	v := &verb{over: make(chan struct{}), cut: make(chan struct{})}
	c.verb = v
	stop := context.AfterFunc(ctx, func() {
		if !c.concluded(v) {
			c.Fail(context.Cause(ctx))
		}
		close(v.cut)
	})
	return sync.OnceFunc(func() {
		close(v.over)
		if !stop() {
			<-v.cut // else the verb that comes next would be broken
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.busy = false
	})
}

// Conclude is Command for the one that makes a verb come about. Once it is on
// its way, the end of the verb's ctx breaks the connection only if the verb goes
// on for a second more: the server may carry the command out after what is done
// next over another session, a removal of the same file, say. It is not sent if
// the end of ctx came first.
func (c *Control) Conclude(line string) (Reply, error) {
	c.mu.Lock()
	v := c.verb
	v.concluding = !v.givenUp
	c.mu.Unlock()
	if !v.concluding {
		<-v.cut
		return Reply{}, c.broken(conn.NotExecuted)
	}
	return c.Command(line)
}

// concluded waits, when the ctx of v has ended, for the end of v if it is
// concluding, and reports whether that came.
func (c *Control) concluded(v *verb) bool {
	c.mu.Lock()
	v.givenUp = !v.concluding
	c.mu.Unlock()
	if v.givenUp {
		return false
	}
	t := time.NewTimer(concludeGrace)
	defer t.Stop()
	select {
	case <-v.over:
		return true
	case <-t.C:
		return false
	}
}

// Fail breaks the connection because of cause, unless it is broken already.
// An open data connection is reset, so that the server cannot take what it
// has for the whole. So is the connection itself if a command that changes something is not
// answered: TCP would go on trying to deliver that, and the server carry it
// out when the network is back, after what was done meanwhile over another session.
func (c *Control) Fail(cause error) {
	if c.life.Err() == nil {
		c.trace.event("ended: %v", cause)
	}
	c.kill(cause)
	c.mu.Lock()
	d, warm, changes := c.data, c.warm, slices.ContainsFunc(c.debts, (*debt).changes)
	c.mu.Unlock()
	if d != nil {
		d.abort()
	}
	if warm != nil && warm.alive() {
		warm.conn.Close()
	}
	if changes {
		dropUnsent(c.tcp)
	}
	c.tcp.Close()
}

// Err returns why the connection cannot be used, as a *conn.Error with the
// outcome NotExecuted, or nil. Between verbs it notices what the server said
// or did unasked.
func (c *Control) Err() error {
	c.mu.Lock()
	busy := c.busy
	var stray error
	if !busy {
		stray = c.unsolicited()
	}
	c.mu.Unlock()
	if stray != nil {
		c.Fail(stray)
	}
	return c.broken(conn.NotExecuted)
}

// broken returns the error of a command on a connection that is broken, nil
// if it is not.
func (c *Control) broken(o conn.Outcome) error {
	if c.life.Err() == nil {
		return nil
	}
	e := &conn.Error{Op: "session", Outcome: o, Err: context.Cause(c.life)}
	if said := (*saidError)(nil); errors.As(e.Err, &said) {
		e.Code, e.Msg = said.Code, said.Text()
	}
	return e
}

// unsolicited takes what came without being asked for and says what it was.
func (c *Control) unsolicited() error {
	select {
	case r, ok := <-c.replies:
		if ok {
			return &saidError{r}
		}
		return c.endError()
	default:
		return nil
	}
}

// endError says how the connection ended; the reader is gone.
func (c *Control) endError() error {
	switch {
	case errors.Is(c.readErr, io.EOF):
		return errClosedByServer
	case errors.Is(c.readErr, syscall.ECONNRESET): // as it is closed with commands that the server has not read
		return errResetByServer
	}
	return fmt.Errorf("control connection: %w", c.readErr)
}

var (
	errClosedByServer = fmt.Errorf("the server closed the control connection: %w", io.ErrUnexpectedEOF)
	errResetByServer  = fmt.Errorf("the server reset the control connection: %w", io.ErrUnexpectedEOF)
)

// saidError is a reply that ends the connection: unasked for, or a 421.
type saidError struct{ Reply }

func (e *saidError) Error() string { return fmt.Sprintf("the server said %q", e.Reply.String()) }

func (e *saidError) Unwrap() error {
	if e.Code == closing {
		return conn.ErrHostDown
	}
	return conn.ErrProtocol
}

// Close ends the connection: QUIT if no verb is open, without waiting for the
// answer. An open verb fails.
func (c *Control) Close() error {
	c.mu.Lock()
	polite := !c.busy && c.life.Err() == nil
	c.busy = true
	c.mu.Unlock()
	if polite {
		c.raw.SetWriteDeadline(time.Now().Add(quitTimeout))
		c.trace.sent("QUIT")
		io.WriteString(c.raw, "QUIT\r\n") // the answer would change nothing
		if c.secret != nil {
			c.secret.keep()
		}
	}
	c.Fail(net.ErrClosed)
	<-c.done
	c.aside.Wait()
	c.opener.close()
	return nil
}
