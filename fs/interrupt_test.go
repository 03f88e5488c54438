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
