package conn

import (
	"testing"
	"testing/synctest"
)

// sessionOf returns the fake behind a lease.
func sessionOf(l *Lease) *fakeSession { return l.Session.(*fakeSession) }

// The session that is ready is used, not the one used last.
func TestPoolHandsOutReadySession(t *testing.T) {
	withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		a, b, c := acquire(t, p, Metadata), acquire(t, p, Metadata), acquire(t, p, Metadata)
		ready := sessionOf(a)
		sessionOf(b).setCold(true)
		sessionOf(c).setCold(true)
		a.Release()
		b.Release()
		c.Release()
		l := acquire(t, p, Transfer)
		if sessionOf(l) != ready {
			t.Error("another session than the one that is ready")
		}
		l.Release()
		synctest.Wait()
		if open, _ := v.counts(); open != 3 {
			t.Errorf("%d sessions, want the 3 there were", open)
		}
	})
}

// While none is ready, the one that was given back first is used, and another
// is opened, up to the limit, by one caller at a time.
func TestPoolGrowsWhileNoneIsReady(t *testing.T) {
	withPool(t, 8, 4, func(t *testing.T, v *fakeServer, p *Pool) {
		a, b := acquire(t, p, Metadata), acquire(t, p, Metadata)
		first := sessionOf(a)
		sessionOf(a).setCold(true)
		sessionOf(b).setCold(true)
		a.Release()
		b.Release()
		l := acquire(t, p, Transfer)
		if sessionOf(l) != first {
			t.Error("not the session that has had most time to become ready")
		}
		synctest.Wait()
		if open, _ := v.counts(); open != 3 {
			t.Errorf("%d sessions are open, want one more than 2", open)
		}
		next := acquire(t, p, Transfer)
		if sessionOf(next).id != 3 {
			t.Errorf("session %d, want the new one, which is ready", sessionOf(next).id)
		}
		sessionOf(next).setCold(true)
		next.Release()
		l.Release()
		for range 10 {
			acquire(t, p, Transfer).Release()
			synctest.Wait()
			v.mu.Lock()
			for s := range v.open {
				s.setCold(true)
			}
			v.mu.Unlock()
		}
		if open, _ := v.counts(); open != 4 {
			t.Errorf("%d sessions are open, want the limit", open)
		}
	})
}

// A server that refuses one more is not asked for it again and again.
func TestPoolGrowthRefused(t *testing.T) {
	withPool(t, 1, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		for range 5 {
			l := acquire(t, p, Metadata)
			sessionOf(l).setCold(true)
			l.Release()
			synctest.Wait()
		}
		if _, dials := v.counts(); dials != 2 || p.Status().Limit != 1 {
			t.Errorf("%d dials and limit %d, want 2 and 1", dials, p.Status().Limit)
		}
	})
}
