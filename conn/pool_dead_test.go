package conn

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Idle sessions that a firewall has forgotten are silently dead: a command on
// one ends at its deadline. The first one that does shows what the others are
// worth, so that a program waits for one deadline and not for each of them.
func TestDeadIdleSessionsCostOneTimeout(t *testing.T) {
	const deadline = 30 * time.Second
	command := func(dead map[Session]bool) func(context.Context, Session) error {
		return func(_ context.Context, s Session) error {
			if !dead[s] {
				return nil
			}
			time.Sleep(deadline) // virtual
			err := &Error{Op: "STAT", Outcome: Unknown, Err: ErrTimeout}
			s.(*fakeSession).breakWith(err)
			return err
		}
	}
	for _, n := range []int{1, 2, 8} {
		withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
			dead := make(map[Session]bool)
			var leases []*Lease
			for range n {
				l := acquire(t, p, Metadata)
				dead[l.Session] = true
				leases = append(leases, l)
			}
			for _, l := range leases {
				l.Release()
			}
			start := time.Now()
			if err := p.Run(t.Context(), Metadata, Repeatable, command(dead)); !errors.Is(err, ErrTimeout) {
				t.Errorf("%d sessions: the first command: %v", n, err)
			}
			for range n {
				if err := p.Run(t.Context(), Metadata, Repeatable, command(dead)); err != nil {
					t.Errorf("%d sessions: a command after the timeout: %v", n, err)
				}
			}
			if took := time.Since(start); took != deadline {
				t.Errorf("%d dead sessions cost %v, want %v", n, took, deadline)
			}
			if open, _ := v.counts(); open != 1 {
				t.Errorf("%d sessions are open, want 1", open)
			}
		})
	}
}

// Who is in the middle of a transfer keeps its session.
func TestTimeoutLeavesSessionsInUseAlone(t *testing.T) {
	withPool(t, 8, 8, func(t *testing.T, v *fakeServer, p *Pool) {
		busy := acquire(t, p, Transfer)
		acquire(t, p, Metadata).Release()
		err := p.Run(t.Context(), Metadata, Repeatable, func(_ context.Context, s Session) error {
			s.(*fakeSession).breakWith(ErrTimeout)
			return &Error{Op: "STAT", Outcome: Unknown, Err: ErrTimeout}
		})
		if !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
		if busy.Session.(*fakeSession).closed {
			t.Error("a session in use was closed")
		}
		busy.Release()
		if open, _ := v.counts(); open != 1 {
			t.Errorf("%d sessions are open, want the one that was in use", open)
		}
	})
}
