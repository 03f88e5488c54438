package fs

import (
	"context"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// interruptGrace is what a call gets to end by itself after its program was
	// interrupted.
	interruptGrace = time.Second
	// signalPoll is how often it is looked for a signal that ends the call after
	// one that does not: the kernel tells of the first one only.
	signalPoll = 100 * time.Millisecond
)

// grace returns a context for the work of one FUSE request. When the kernel
// interrupts the request, which it does for any signal, the context ends a moment later:
// most calls end by themselves in that time. It goes on if the signal is not
// one that users or systems end programs with: a window that changes its size, a
// timer, or a Go runtime that wants its thread makes no close fail. ctx itself must not
// be used after the handler returned, since go-fuse cancels it for later
// requests; nor is this one.
func grace(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	wanted := func() bool { return false }
	if c, ok := fuse.FromContext(ctx); ok {
		pid := c.Pid
		wanted = func() bool { return isWanted(pid) }
	}
	stop := context.AfterFunc(ctx, func() { endUnless(late, wanted, func() { cancel(context.Cause(ctx)) }) })
	return late, func() { stop(); cancel(nil) }
}

// endUnless calls end when the grace is over and the call is not wanted any more. It
// returns then, or when ctx ends.
func endUnless(ctx context.Context, wanted func() bool, end func()) {
	t := time.NewTimer(interruptGrace)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if !wanted() {
			end()
			return
		}
		t.Reset(signalPoll)
	}
}
