package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func withPool(t *testing.T, serverMax, poolMax int, test func(t *testing.T, v *fakeServer, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newFakeServer(serverMax)
		p := NewPool(v.dial, PoolOptions{Max: poolMax})
		test(t, v, p)
		p.Close()
		if open, _ := v.counts(); open != 0 {
			t.Errorf("%d sessions are open after Close", open)
		}
	})
}

func acquire(t *testing.T, p *Pool, c Class) *Lease {
	t.Helper()
	l, err := p.Acquire(t.Context(), c, false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPoolReusesSessions(t *testing.T) {
	withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		for range 3 {
			acquire(t, p, Metadata).Release()
		}
		if _, dials := v.counts(); dials != 1 {
			t.Errorf("%d dials for three commands in turn, want 1", dials)
		}
	})
}

func TestPoolReplacesBrokenSessions(t *testing.T) {
	withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		l := acquire(t, p, Metadata)
		first := l.Session.(*fakeSession)
		l.Release()
		first.breakWith(io.EOF) // while idle
		l = acquire(t, p, Metadata)
		defer l.Release()
		if l.Session == first {
			t.Error("a broken session was handed out")
		}
		if open, _ := v.counts(); open != 1 {
			t.Errorf("%d sessions open, want 1: the broken one must be closed", open)
		}
	})
}

func TestPoolKeepsOneForMetadata(t *testing.T) {
	withPool(t, 3, 3, func(t *testing.T, v *fakeServer, p *Pool) {
		a, b := acquire(t, p, Transfer), acquire(t, p, Transfer)
		got := make(chan *Lease)
		go func() { got <- acquire(t, p, Transfer) }()
		synctest.Wait()
		m := acquire(t, p, Metadata) // at once, although a transfer waits
		select {
		case <-got:
			t.Error("a transfer took the session kept for metadata")
		default:
		}
		m.Release()
		a.Release()
		(<-got).Release()
		b.Release()
	})
}

func TestPoolForegroundFirst(t *testing.T) {
	withPool(t, 2, 2, func(t *testing.T, v *fakeServer, p *Pool) {
		a, b := acquire(t, p, Metadata), acquire(t, p, Metadata)
		order := make(chan Class, 3)
		for _, c := range []Class{Background, Transfer, Metadata} {
			go func() {
				l := acquire(t, p, c)
				order <- c
				l.Release()
			}()
			synctest.Wait()
		}
		a.Release()
		synctest.Wait()
		b.Release()
		for _, want := range []Class{Metadata, Transfer, Background} {
			if got := <-order; got != want {
				t.Errorf("class %d went before %d", got, want)
			}
		}
	})
}

// Brief work may have all sessions, but who goes on to the next such work does
// not get the session that it gave back while a metadata command waits.
func TestPoolBriefWorkGivesWay(t *testing.T) {
	withPool(t, 3, 3, func(t *testing.T, v *fakeServer, p *Pool) {
		var held []*Lease
		for range 3 {
			held = append(held, acquire(t, p, Brief))
		}
		got := make(chan *Lease)
		go func() { got <- acquire(t, p, Metadata) }()
		synctest.Wait()
		more := make(chan *Lease)
		go func() {
			held[0].Release()
			more <- acquire(t, p, Brief)
		}()
		synctest.Wait()
		m := <-got
		select {
		case <-more:
			t.Error("brief work got a fourth session")
		default:
		}
		m.Release()
		(<-more).Release()
		held[1].Release()
		held[2].Release()
	})
}

// Who would open a session takes another one that is given back before the
// login is done; if none is, the login is waited for, and its failure told.
func TestPoolTakesWhatComesFirst(t *testing.T) {
	withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		v.login = 150 * time.Millisecond
		first := acquire(t, p, Metadata)
		release := time.AfterFunc(20*time.Millisecond, first.Release)
		defer release.Stop()
		start := time.Now()
		second := acquire(t, p, Metadata)
		if took := time.Since(start); took != 20*time.Millisecond || second.Session != first.Session {
			t.Errorf("took %v", took)
		}
		third := acquire(t, p, Transfer)
		if took := time.Since(start); took != v.login {
			t.Errorf("the session that was opened for another was there after %v", took)
		}
		fourth := acquire(t, p, Transfer)
		if took := time.Since(start); took != 20*time.Millisecond+v.login {
			t.Errorf("one more was there after %v", took)
		}
		v.failed = &Error{Op: "login", Code: 530, Outcome: NotExecuted, Err: ErrLogin}
		if _, err := p.Acquire(t.Context(), Transfer, false); !errors.Is(err, ErrLogin) {
			t.Errorf("got %v", err)
		}
		for _, l := range []*Lease{second, third, fourth} {
			l.Release()
		}
	})
}

// Spare sessions are opened beside the one that is there, not beside two.
func TestPoolSpare(t *testing.T) {
	for _, c := range []struct{ serverMax, max, spare, open, dials int }{
		{8, 8, 2, 2, 2},
		{8, 8, 4, 4, 4},
		{8, 1, 4, 1, 1},
		{8, 3, 4, 3, 3},
		{2, 8, 4, 2, 4},
	} {
		withPool(t, c.serverMax, c.max, func(t *testing.T, v *fakeServer, p *Pool) {
			v.login = time.Second
			acquire(t, p, Metadata).Release()
			for range 3 {
				p.Spare(c.spare)
				p.Spare(c.spare)
				time.Sleep(2 * time.Second)
				if open, dials := v.counts(); open != c.open || dials != c.dials {
					t.Errorf("%d sessions open, %d tried: %+v", open, dials, c)
				}
			}
		})
	}
}

// With one session, a metadata command gets that of a stream that nobody
// waits for, after a moment.
func TestPoolTakesOver(t *testing.T) {
	withPool(t, 1, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		stream := acquire(t, p, Transfer)
		start := time.Now()
		stream.OnTakeover(func() { go stream.Release() })
		l := acquire(t, p, Metadata)
		defer l.Release()
		if waited := time.Since(start); waited > 2*takeoverAfter {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestPoolDoesNotTakeOverWhatSomebodyWaitsFor(t *testing.T) {
	withPool(t, 1, 1, func(t *testing.T, v *fakeServer, p *Pool) {
		stream := acquire(t, p, Transfer)
		stream.OnTakeover(func() { t.Error("taken over") })
		stream.OnTakeover(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := p.Acquire(ctx, Metadata, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		stream.Release()
		acquire(t, p, Metadata).Release() // the one that gave up lost no wake-up
	})
}

func TestPoolLearnsTheLimitAndTriesAgain(t *testing.T) {
	withPool(t, 2, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		a, b := acquire(t, p, Metadata), acquire(t, p, Metadata)
		got := make(chan *Lease)
		go func() { got <- acquire(t, p, Metadata) }()
		synctest.Wait()
		if l := p.Status().Limit; l != 2 {
			t.Errorf("limit %d, want 2", l)
		}
		a.Release()
		(<-got).Release()
		v.mu.Lock()
		v.max = 8
		v.mu.Unlock()
		time.Sleep(2 * raiseAfter) // virtual
		synctest.Wait()
		if l := p.Status().Limit; l <= 2 {
			t.Errorf("limit is still %d", l)
		}
		b.Release()
	})
}

func TestPoolFullServerFails(t *testing.T) {
	withPool(t, 0, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		start := time.Now()
		err := p.Connect(t.Context())
		if !errors.Is(err, ErrTooMany) || OutcomeOf(err) != NotExecuted {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestPoolRetryRule(t *testing.T) {
	unknown := &Error{Op: "LIST", Outcome: Unknown, Err: io.EOF}
	for _, c := range []struct {
		name   string
		err    error
		repeat Repeat
		runs   int
	}{
		{"refused", &Error{Outcome: Refused, Err: fs.ErrNotExist}, Repeatable, 1},
		{"not executed", &Error{Outcome: NotExecuted, Err: io.EOF}, Once, 2},
		{"unknown, once", unknown, Once, 1},
		{"unknown, repeatable", unknown, Repeatable, 2},
		{"timeout", &Error{Outcome: Unknown, Err: ErrTimeout}, Repeatable, 1},
		{"foreign error", errors.New("disk"), Repeatable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
				var used []Session
				err := p.Run(t.Context(), Metadata, c.repeat, func(_ context.Context, s Session) error {
					used = append(used, s)
					if OutcomeOf(c.err) != Refused {
						s.(*fakeSession).breakWith(c.err)
					}
					return c.err
				})
				if !errors.Is(err, c.err) || len(used) != c.runs {
					t.Errorf("%d runs, error %v; want %d", len(used), err, c.runs)
				}
				if len(used) == 2 && used[0] == used[1] {
					t.Error("repeated on the same session")
				}
			})
		})
	}
}

// What may have run on the first session is not said to be not executed
// because there was no second one.
func TestPoolRemembersWhatMayHaveRun(t *testing.T) {
	for first, want := range map[Outcome]Outcome{Unknown: Unknown, NotExecuted: NotExecuted} {
		withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
			err := p.Run(t.Context(), Metadata, Repeatable, func(_ context.Context, s Session) error {
				failure := &Error{Op: "STOR", Outcome: first, Err: io.EOF}
				s.(*fakeSession).breakWith(failure)
				v.mu.Lock()
				v.failed = &Error{Op: "connect", Outcome: NotExecuted, Err: ErrHostDown}
				v.mu.Unlock()
				return failure
			})
			if !errors.Is(err, ErrHostDown) || OutcomeOf(err) != want {
				t.Errorf("%v, outcome %d, want %d", err, OutcomeOf(err), want)
			}
		})
	}
}

func TestPoolClosesIdleSessions(t *testing.T) {
	withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		a, b := acquire(t, p, Metadata), acquire(t, p, Metadata)
		last := b.Session.(*fakeSession)
		a.Release()
		b.Release()
		time.Sleep(2 * idleClose)
		synctest.Wait()
		if open, _ := v.counts(); open != 1 {
			t.Errorf("%d sessions open after a while, want the last one", open)
		}
		last.mu.Lock()
		noops := last.noops
		last.mu.Unlock()
		if noops == 0 {
			t.Error("the last session got no NOOP")
		}
		time.Sleep(2 * lastIdleClose)
		synctest.Wait()
		if open, _ := v.counts(); open != 0 {
			t.Errorf("%d sessions open after a long while, want none", open)
		}
	})
}

// Many callers, sessions that break at random and a server that lets few in:
// nobody is left waiting, and the limit holds.
func TestPoolStress(t *testing.T) {
	withPool(t, 4, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for k := range 20 {
					err := p.Run(t.Context(), Class(i%int(numClasses)), Once, func(_ context.Context, s Session) error {
						time.Sleep(time.Duration(i+k) * time.Millisecond)
						if (i+k)%7 == 0 {
							s.(*fakeSession).breakWith(io.EOF)
						}
						return nil
					})
					if err != nil {
						t.Error(fmt.Errorf("caller %d: %w", i, err))
					}
				}
			})
		}
		wg.Wait()
		if s := p.Status(); s.Busy != 0 || s.Open > 4 {
			t.Errorf("afterwards %+v", s)
		}
	})
}
