package conn

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// The pool's constants. None is a flag: nobody has needed another value.
const (
	defaultMaxSessions = 8
	takeoverAfter      = 200 * time.Millisecond // who waits for a session takes that of an idle stream after
	idleClose          = time.Minute            // a spare session is closed after
	lastIdleClose      = 5 * time.Minute        // the last session is kept alive by NOOP for
	raiseAfter         = time.Minute            // a learned limit is tried one higher after
	tooManyPatience    = 5                      // tries to get a session of a full server,
	tooManyBackOff     = 200 * time.Millisecond // each this much later than the one before
)

// Class says what a session is wanted for. Lower classes go first.
type Class uint8

// The classes.
const (
	Metadata   Class = iota // short commands that a program waits for
	Transfer                // downloads and uploads that a program waits for
	Background              // whatever nobody waits for
	Brief                   // likewise, but done in a few round trips: it may have the last session, too
	numClasses
)

// Waits tells whether a program waits for what is done in class c.
func (c Class) Waits() bool { return c < Background }

// Repeat says whether running an operation twice is the same as running it once.
type Repeat bool

// The values of Repeat.
const (
	Once       Repeat = false
	Repeatable Repeat = true
)

// Dialer opens a session: connects and logs in.
type Dialer func(ctx context.Context) (Session, error)

// PoolOptions configure a Pool.
type PoolOptions struct {
	Max int          // sessions at most, at least 1; 0: 8
	Log *slog.Logger // nil: discard
}

// Pool hands out sessions of one server, opens them on demand up to a limit
// and replaces broken ones. With two sessions or more, one is kept for
// Metadata, so that transfers never block a listing; Brief work may use it while
// nobody waits for a session. Who finds none
// takes over that of a stream that nobody waits for. Sessions that are ready
// are used first, and another one is opened while none is. A server that
// refuses another session lowers the limit, which is tried again later.
type Pool struct {
	dial Dialer
	max  int
	log  *slog.Logger

	life context.Context // ends at Close
	end  context.CancelFunc
	done sync.WaitGroup // the janitor, and the opening of sessions that nobody waits for

	mu       sync.Mutex
	closed   bool                     // guarded by mu
	idle     []idleSession            // guarded by mu; the one used last is at the end
	leases   map[*Lease]struct{}      // guarded by mu; sessions that are in use
	dialing  map[Class]int            // guarded by mu; sessions that are being opened
	limit    int                      // guarded by mu; at most max
	limited  time.Time                // guarded by mu; when the limit was last lowered or raised
	waiters  [numClasses][]chan token // guarded by mu; in order of arrival
	woken    [numClasses]int          // guarded by mu; waiters that are about to try again
	lastUsed time.Time                // guarded by mu; when a session was last given back

	growing   int       // guarded by mu; sessions that are being opened and nobody waits for
	growAgain time.Time // guarded by mu; when that may be tried again
}

type token struct{}

type idleSession struct {
	Session
	since time.Time
}

// NewPool returns a pool without sessions; the first use opens one.
func NewPool(dial Dialer, o PoolOptions) *Pool {
	if o.Max <= 0 {
		o.Max = defaultMaxSessions
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{
		dial: dial, max: o.Max, log: o.Log, limit: o.Max,
		leases: make(map[*Lease]struct{}), dialing: make(map[Class]int),
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.done.Go(p.janitor)
	return p
}

// Connect opens a session if there is none, and so tells whether the server
// can be reached and lets us in.
func (p *Pool) Connect(ctx context.Context) error {
	return p.Run(ctx, Metadata, Repeatable, func(context.Context, Session) error { return nil })
}

// Spare opens sessions for who comes next, so that n are idle. Nobody waits for
// them.
func (p *Pool) Spare(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for more := n - len(p.idle) - p.growing; more > 0; more-- {
		p.growLocked()
	}
}

// Run runs fn on a session, and once more on a fresh one where the retry rule
// of the package allows. When ctx ends during fn, its session is given up.
func (p *Pool) Run(ctx context.Context, class Class, repeat Repeat, fn func(ctx context.Context, s Session) error) error {
	var first error
	for fresh := false; ; fresh = true {
		l, err := p.Acquire(ctx, class, fresh)
		if err != nil {
			return afterFirst(first, err)
		}
		err = fn(ctx, l.Session)
		l.Release()
		if errors.Is(err, ErrTimeout) {
			p.dropIdle()
		}
		if err == nil || fresh || !mayRepeat(ctx, err, repeat) {
			return afterFirst(first, err)
		}
		first = err
		p.log.Info("retrying on another session", "error", err)
	}
}

// afterFirst returns what err of the second try means after the first: that
// may have run, also if the second did not.
func afterFirst(first, err error) error {
	var e *Error
	if first == nil || OutcomeOf(first) == NotExecuted || !errors.As(err, &e) || e.Outcome != NotExecuted {
		return err
	}
	unknown := *e
	unknown.Outcome = Unknown
	return &unknown
}

// Open starts a download on a session of its own, which goes back to the pool
// when the Lease is released; the Download must be closed before that. granted,
// which may be nil, is called once there is a session, before anything is
// asked of the server; its error ends the call.
func (p *Pool) Open(ctx context.Context, class Class, path string, offset int64, base Version, granted func(*Lease) error) (Download, *Lease, error) {
	for fresh := false; ; fresh = true {
		l, err := p.Acquire(ctx, class, fresh)
		if err != nil {
			return nil, nil, err
		}
		if granted != nil {
			if err := granted(l); err != nil {
				l.Release()
				return nil, nil, err
			}
		}
		d, err := l.Session.Open(ctx, path, offset, base)
		if err == nil {
			return d, l, nil
		}
		l.Release()
		if errors.Is(err, ErrTimeout) {
			p.dropIdle()
		}
		if fresh || !mayRepeat(ctx, err, Repeatable) {
			return nil, nil, err
		}
	}
}

// mayRepeat is the retry rule of the package comment.
func mayRepeat(ctx context.Context, err error, repeat Repeat) bool {
	var e *Error
	if ctx.Err() != nil || !errors.As(err, &e) || errors.Is(err, ErrTimeout) {
		return false // a server that kept us waiting for the whole deadline would do so again
	}
	return e.Outcome == NotExecuted || e.Outcome == Unknown && bool(repeat)
}

// PoolStatus is the state of a Pool.
type PoolStatus struct {
	Open  int `json:"open"`  // sessions that are logged in
	Busy  int `json:"busy"`  // those of them in use
	Limit int `json:"limit"` // sessions that the server is known to allow, at most --max-connections
}

// Status returns the pool's state.
func (p *Pool) Status() PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStatus{Open: len(p.idle) + len(p.leases), Busy: len(p.leases), Limit: p.limit}
}

// Close ends all sessions, those in use too; their verbs fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.end()
	var all []Session
	for _, s := range p.idle {
		all = append(all, s.Session)
	}
	for l := range p.leases {
		all = append(all, l.Session)
	}
	p.idle = nil
	for c := range p.waiters {
		for _, w := range p.waiters[c] {
			close(w)
		}
		p.waiters[c] = nil
	}
	p.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	p.done.Wait()
	return nil
}

// janitor closes sessions that nobody needed for a while, keeps the last one
// alive and lets a lowered limit rise again.
func (p *Pool) janitor() {
	tick := time.NewTicker(idleClose / 4)
	defer tick.Stop()
	for {
		select {
		case <-p.life.Done():
			return
		case <-tick.C:
		}
		for _, s := range p.sweep() {
			s.Close()
		}
		p.keepAlive()
	}
}

// sweep takes what is dead or was idle for too long out of the pool.
func (p *Pool) sweep() (drop []Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	keep := p.idle[:0]
	for i, s := range p.idle {
		last := i == len(p.idle)-1 && len(p.leases) == 0
		age := now.Sub(s.since)
		if s.Err() != nil || !last && age >= idleClose || last && now.Sub(p.lastUsed) >= lastIdleClose {
			drop = append(drop, s.Session)
		} else {
			keep = append(keep, s)
		}
	}
	clear(p.idle[len(keep):])
	p.idle = keep
	if p.limit < p.max && now.Sub(p.limited) >= raiseAfter {
		p.limit++
		p.limited = now
	}
	p.wakeLocked()
	return drop
}

// keepAlive sends NOOP on the session that was idle longest, if it was for a while.
func (p *Pool) keepAlive() {
	p.mu.Lock()
	i := slices.IndexFunc(p.idle, func(s idleSession) bool { return time.Since(s.since) >= idleClose })
	if i < 0 || p.closed {
		p.mu.Unlock()
		return
	}
	l := p.leaseLocked(p.idle[i].Session, Background)
	p.idle = slices.Delete(p.idle, i, i+1)
	used := p.lastUsed
	p.mu.Unlock()
	if err := l.Session.Noop(p.life); err != nil {
		p.log.Debug("an idle session has ended", "error", err)
	}
	l.Release()
	p.mu.Lock()
	p.lastUsed = used // our own NOOP is no use
	p.mu.Unlock()
}
