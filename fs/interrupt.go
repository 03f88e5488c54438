package fs

import (
	"context"
	"time"
)

// interruptGrace is what a call gets to end by itself after its program was
// interrupted.
const interruptGrace = time.Second

// grace returns a context for the work of one FUSE request. When the kernel
// interrupts the request, for any signal, the context ends a moment later:
// most calls end by themselves in that time, and a window that changes its
// size makes no stat fail. ctx itself must not be used after the handler
// returned, since go-fuse cancels it for later requests; nor is this one.
func grace(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(interruptGrace, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(late, func() { t.Stop() })
	})
	return late, func() { stop(); cancel(nil) }
}
