package conn

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Lease is a session in use by one caller.
type Lease struct {
	Session Session
	pool    *Pool
	class   Class

	mu       sync.Mutex
	yield    func() // guarded by mu; see OnTakeover
	released bool   // guarded by mu
}

// Release gives the session back; a broken one is closed instead. More than
// one call is harmless.
func (l *Lease) Release() {
	l.mu.Lock()
	again := l.released
	l.released, l.yield = true, nil
	l.mu.Unlock()
	if again {
		return
	}
	p := l.pool
	broken := l.Session.Err() != nil
	p.mu.Lock()
	delete(p.leases, l)
	broken = broken || p.closed
	p.lastUsed = time.Now()
	if !broken {
		p.idle = append(p.idle, idleSession{l.Session, p.lastUsed})
	}
	p.wakeLocked()
	p.mu.Unlock()
	if broken {
		l.Session.Close()
	}
}

// OnTakeover offers the session to a command or transfer that finds no other:
// yield is then called once, from another goroutine, and should end the verb
// and release the lease soon. nil takes the offer back.
func (l *Lease) OnTakeover(yield func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.released {
		l.yield = yield
	}
}

// takeOver asks the holder for the session, if it offers it.
func (l *Lease) takeOver() bool {
	l.mu.Lock()
	yield := l.yield
	l.yield = nil
	l.mu.Unlock()
	if yield == nil {
		return false
	}
	yield()
	return true
}

// Acquire waits for a session. With fresh it is opened anew. The caller must
// Release the lease. ErrHostDown, ErrTimeout, ErrLogin, ErrTooMany, or ctx's
// error, in an *Error whose outcome is NotExecuted.
func (p *Pool) Acquire(ctx context.Context, class Class, fresh bool) (*Lease, error) {
	var takeover <-chan time.Time
	if class.Waits() {
		t := time.NewTicker(takeoverAfter)
		defer t.Stop()
		takeover = t.C
	}
	w := want{class: class, fresh: fresh}
	for tries := 1; ; {
		l, wait, err := p.tryAcquire(ctx, &w)
		switch {
		case l != nil:
			return l, nil
		case errors.Is(err, ErrTooMany) && tries < tooManyPatience:
			tries++
			if p.Status().Open == 0 { // full, perhaps with sessions of ours that it has not yet noticed are gone
				if sleep(ctx, time.Duration(tries)*tooManyBackOff) != nil {
					return nil, err
				}
			}
			continue
		case err != nil:
			return nil, err
		}
		select {
		case <-wait:
			w.woken = true
		case w.failed = <-w.opening:
			w.opening = nil
			p.leave(class, wait)
		case <-takeover:
			p.takeOverOne()
			p.leave(class, wait)
		case <-ctx.Done():
			p.leave(class, wait)
			return nil, &Error{Op: "connect", Outcome: NotExecuted, Err: context.Cause(ctx)}
		}
	}
}

// want is what somebody waits for who acquires a session.
type want struct {
	class   Class
	fresh   bool
	woken   bool       // the last try's channel was closed
	opening chan error // gets the outcome of a login for it; nil: there is none
	failed  error      // that outcome
}

// tryAcquire returns a lease, or a channel that is closed when it is worth
// another try, or an error.
func (p *Pool) tryAcquire(ctx context.Context, w *want) (*Lease, chan token, error) {
	class, fresh := w.class, w.fresh
	p.mu.Lock()
	if w.woken {
		w.woken = false
		p.woken[class]--
	}
	if err := w.failed; err != nil {
		w.failed = nil
		p.mu.Unlock()
		return nil, nil, err
	}
	if p.closed {
		p.mu.Unlock()
		return nil, nil, &Error{Op: "connect", Outcome: NotExecuted, Err: ErrHostDown}
	}
	var stale []Session
	defer func() {
		for _, s := range stale {
			s.Close()
		}
	}()
	if p.admitsLocked(class) {
		for len(p.idle) > 0 {
			s, ready := p.pickLocked()
			if s.Err() == nil && !fresh {
				l := p.leaseLocked(s, class)
				if !ready && p.growing == 0 {
					p.growLocked()
				}
				p.mu.Unlock()
				return l, nil, nil
			}
			stale = append(stale, s)
			if fresh && s.Err() == nil {
				break // one makes room; the others may be well
			}
		}
		switch {
		case p.openLocked() >= p.limit || w.opening != nil:
		case !fresh && class.Waits() && p.openLocked() > 0:
			p.openForLocked(w)
		default:
			p.dialing[class]++
			p.mu.Unlock()
			l, err := p.open(ctx, class)
			return l, nil, err
		}
	}
	wait := make(chan token)
	p.waiters[class] = append(p.waiters[class], wait)
	p.mu.Unlock()
	return nil, wait, nil
}

// openForLocked opens a session for w, who goes on with another one if that is
// given back before: a login takes longer than most of what a session is used for.
func (p *Pool) openForLocked(w *want) {
	opening := make(chan error, 1)
	w.opening = opening
	p.dialing[w.class]++
	p.done.Go(func() {
		l, err := p.open(p.life, w.class)
		if err == nil {
			l.Release()
		}
		opening <- err
	})
}

// pickLocked takes an idle session: of those that are ready the one used last,
// else the one that has had the most time to become it.
func (p *Pool) pickLocked() (s Session, ready bool) {
	i := len(p.idle) - 1
	for ; i >= 0 && !ready; i-- {
		ready = p.idle[i].Ready()
	}
	s = p.idle[i+1].Session
	p.idle = slices.Delete(p.idle, i+1, i+2)
	return s, ready
}

// growLocked opens another session for those who come next. Nobody waits for it.
func (p *Pool) growLocked() {
	now := time.Now()
	if p.closed || now.Before(p.growAgain) || p.openLocked() >= p.limit || !p.admitsLocked(Background) {
		return
	}
	p.growing++
	p.dialing[Background]++
	p.done.Go(func() {
		l, err := p.open(p.life, Background)
		if err == nil {
			l.Release()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.growing--
		if err != nil {
			p.log.Debug("one more session cannot be opened", "error", err)
			p.growAgain = time.Now().Add(raiseAfter)
		}
	})
}

// open dials a session; p.dialing counts it already.
func (p *Pool) open(ctx context.Context, class Class) (*Lease, error) {
	s, err := p.dial(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing[class]--
	if err != nil {
		if n := p.openLocked(); errors.Is(err, ErrTooMany) && n > 0 {
			if n < p.limit {
				p.log.Info("the server refuses more sessions", "limit", n, "error", err)
				p.limit = n
			}
			p.limited = time.Now()
		}
		p.wakeLocked()
		return nil, err
	}
	if p.closed {
		s.Close()
		return nil, &Error{Op: "connect", Outcome: NotExecuted, Err: ErrHostDown}
	}
	return p.leaseLocked(s, class), nil
}

func (p *Pool) leaseLocked(s Session, class Class) *Lease {
	l := &Lease{Session: s, pool: p, class: class}
	p.leases[l] = struct{}{}
	return l
}

// openLocked counts the sessions that the server sees.
func (p *Pool) openLocked() int {
	n := len(p.idle) + len(p.leases)
	for _, d := range p.dialing {
		n += d
	}
	return n
}

// admitsLocked tells whether class may have one more session now: transfers
// and background work leave one for metadata.
func (p *Pool) admitsLocked(class Class) bool {
	used := p.openLocked() - len(p.idle)
	switch {
	case class == Metadata || p.limit < 2:
		return used < p.limit
	case !class.Waits() && p.wantedLocked():
		return false
	case class == Brief:
		return used < p.limit
	}
	streams := p.dialing[Transfer] + p.dialing[Background] + p.dialing[Brief]
	for l := range p.leases {
		if l.class != Metadata {
			streams++
		}
	}
	return streams < p.limit-1
}

// wantedLocked tells whether somebody waits for a session, or was told to take
// one that was given back and has not yet.
func (p *Pool) wantedLocked() bool {
	return len(p.waiters[Metadata])+p.woken[Metadata]+len(p.waiters[Transfer])+p.woken[Transfer] > 0
}

// wakeLocked lets the first waiter of each class that may go try again.
func (p *Pool) wakeLocked() {
	for c := range p.waiters {
		if len(p.waiters[c]) > 0 && p.admitsLocked(Class(c)) {
			close(p.waiters[c][0])
			p.waiters[c] = p.waiters[c][1:]
			p.woken[c]++
			return
		}
	}
}

// leave takes a waiter that gave up out of its queue; a wake-up that it got
// meanwhile goes to the next.
func (p *Pool) leave(class Class, w chan token) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiters[class], w); i >= 0 {
		p.waiters[class] = slices.Delete(p.waiters[class], i, i+1)
		return
	}
	p.woken[class]--
	p.wakeLocked()
}

// dropIdle closes the sessions that nobody uses: one that did not answer
// makes it likely that the others will not either.
func (p *Pool) dropIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.wakeLocked()
	p.mu.Unlock()
	for _, s := range idle {
		s.Close()
	}
}

// takeOverOne asks one holder that offers it for its session.
func (p *Pool) takeOverOne() {
	p.mu.Lock()
	held := make([]*Lease, 0, len(p.leases))
	for l := range p.leases {
		held = append(held, l)
	}
	p.mu.Unlock()
	for _, l := range held {
		if l.takeOver() {
			return
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
