package fs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		late, done := grace(ctx)
		defer done()
		interrupt()
		synctest.Wait()
		if late.Err() != nil {
			t.Error("the call was given no time to end by itself")
		}
		start := time.Now()
		<-late.Done()
		if took := time.Since(start); took != interruptGrace || !errors.Is(context.Cause(late), context.Canceled) {
			t.Errorf("ended after %v: %v", took, context.Cause(late))
		}
	})
}

func TestGraceLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		_, done := grace(ctx)
		done()
		interrupt()
		synctest.Wait() // the bubble fails the test if a goroutine or timer is left blocked
	})
}

// A call goes on as long as it is wanted, and ends soon after it is not.
func TestGraceOfACallThatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wanted, ended := time.Now().Add(time.Minute), make(chan time.Time, 1)
		endUnless(t.Context(), func() bool { return time.Now().Before(wanted) }, func() { ended <- time.Now() })
		if at := <-ended; at.Before(wanted) || at.Sub(wanted) > signalPoll {
			t.Errorf("ended %v after it was not wanted any more", at.Sub(wanted))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		endUnless(ctx, func() bool { return true }, func() { t.Error("ended") })
	})
}
