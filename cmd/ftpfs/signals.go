package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopper tells a mount when to end: first politely, then at once.
type stopper struct {
	stopping context.Context // ends at the first SIGINT or SIGTERM, or at stop
	killed   context.Context // ends at a signal after that, or at kill
	stop     context.CancelFunc
	kill     context.CancelFunc
}

func newStopper(ctx context.Context) *stopper {
	s := &stopper{}
	s.killed, s.kill = context.WithCancel(ctx)
	s.stopping, s.stop = context.WithCancel(s.killed)
	return s
}

// signal counts one SIGINT or SIGTERM.
func (s *stopper) signal() {
	if s.stopping.Err() != nil {
		s.kill()
	}
	s.stop()
}

// watch feeds the process's signals to s until the returned function is
// called. SIGHUP calls hangup.
func (s *stopper) watch(hangup func()) (release func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGHUP {
					hangup()
				} else {
					s.signal()
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}
