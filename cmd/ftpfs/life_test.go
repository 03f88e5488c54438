package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// fakeWorld is what a life has around it. It notes what is done to it.
type fakeWorld struct {
	gone  chan struct{} // the kernel lets go
	empty chan struct{} // nothing is pending any more
	busy  bool          // files are open: an unmount does not end the mount

	reachable int // how often the server can be reached; guarded by mu

	mu      sync.Mutex
	done    []string // guarded by mu
	pending int      // guarded by mu
}

func (w *fakeWorld) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, what)
}

func (w *fakeWorld) Wait() { <-w.gone }

func (w *fakeWorld) Unmount(context.Context) error {
	w.note("unmount")
	if !w.busy {
		close(w.gone)
	}
	return nil
}

func (w *fakeWorld) Flush(ctx context.Context, progress func(int)) error {
	return w.Drain(ctx, progress)
}

func (w *fakeWorld) Drain(ctx context.Context, progress func(int)) error {
	if progress != nil {
		progress(len(w.files().Pending))
	}
	select {
	case <-w.empty:
		w.mu.Lock()
		w.pending = 0
		w.mu.Unlock()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *fakeWorld) files() transfer.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return transfer.Status{Pending: slices.Repeat([]string{"/f"}, w.pending)}
}

func (w *fakeWorld) Refresh(path string) { w.note("refresh" + path) }

// The two Status methods differ in type only.
type fakeFiles struct{ *fakeWorld }

func (f fakeFiles) Status() transfer.Status { return f.files() }

type fakeSessions struct{ *fakeWorld }

func (fakeSessions) Status() conn.PoolStatus { return conn.PoolStatus{Limit: 8} }

func (s fakeSessions) Connect(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reachable > 0 {
		s.reachable--
		return nil
	}
	return conn.ErrHostDown
}

// start runs a life in w; the result of run arrives on the channel.
func (w *fakeWorld) start(t *testing.T) (*life, chan error) {
	t.Helper()
	l := &life{
		settings: defaultSettings(), log: slog.New(slog.DiscardHandler), stopper: newStopper(t.Context()),
		onGone: func() { w.note("gone") },
		mnt:    w, files: fakeFiles{w}, sessions: fakeSessions{w},
		release: func() error { w.note("release"); return nil },
		gone:    make(chan struct{}), idle: make(chan struct{}), ended: make(chan struct{}),
	}
	result := make(chan error, 1)
	go func() { result <- l.run() }()
	return l, result
}

func (w *fakeWorld) check(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.done, want) {
		t.Errorf("done: %q, want %q", w.done, want)
	}
}

func newWorld(pending int) *fakeWorld {
	return &fakeWorld{gone: make(chan struct{}), empty: make(chan struct{}), pending: pending}
}

func TestSignalDrainsThenUnmounts(t *testing.T) {
	w := newWorld(2)
	l, result := w.start(t)
	left := make(chan int, 1)
	l.terminal = func(n int) {
		select {
		case left <- n:
		default:
		}
	}
	l.stopper.signal()
	if n := <-left; n != 2 {
		t.Errorf("the terminal shows %d files, want 2", n)
	}
	w.check(t) // nothing yet
	close(w.empty)
	if err := <-result; err != nil {
		t.Error(err)
	}
	w.check(t, "unmount", "gone", "release")
}

func TestSecondSignalKeepsTheJournal(t *testing.T) {
	w := newWorld(2)
	l, result := w.start(t)
	l.stopper.signal()
	l.stopper.signal()
	err := <-result
	if err == nil || !strings.Contains(err.Error(), "not on the server yet: 2") || !strings.Contains(err.Error(), l.settings.CacheDir) {
		t.Errorf("%v", err)
	}
	w.check(t, "unmount", "gone", "release")
}

func TestUnmountedByOthers(t *testing.T) {
	w := newWorld(1)
	l, result := w.start(t)
	close(w.gone) // fusermount3 -u
	<-l.stopper.stopping.Done()
	close(w.empty)
	if err := <-result; err != nil {
		t.Error(err)
	}
	w.check(t, "gone", "release")
	if l.status().Mounted {
		t.Error("the status says that it is mounted")
	}
}

func TestUmountCommand(t *testing.T) {
	w := newWorld(3)
	l, result := w.start(t)
	if !l.status().Mounted {
		t.Error("the status says that it is not mounted")
	}
	var first sync.Once
	note, err := l.umount(t.Context(), func(n int) {
		first.Do(func() {
			if n != 3 {
				t.Errorf("%d files are left, want 3", n)
			}
			close(w.empty)
		})
	})
	if note != "" || err != nil {
		t.Errorf("%q, %v", note, err)
	}
	w.check(t, "unmount", "gone", "release")
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// A server that cannot be reached keeps nobody waiting; one that can be has as
// long as it takes.
func TestUmountWithoutAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		w.reachable = 2
		l, result := w.start(t)
		start := time.Now()
		_, err := l.umount(t.Context(), func(int) {})
		if err == nil || !strings.Contains(err.Error(), "not on the server yet: 3") {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != 3*l.settings.Timeout {
			t.Errorf("took %v, want %v", took, 3*l.settings.Timeout)
		}
		if err := <-result; err == nil {
			t.Error("files that stay here are no error")
		}
		w.check(t, "unmount", "gone", "release")
	})
}

func TestUmountOfBusyMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0)
		w.busy = true
		close(w.empty)
		l, result := w.start(t)
		note, err := l.umount(t.Context(), func(int) {})
		if !strings.Contains(note, "still open") || err != nil {
			t.Errorf("%q, %v", note, err)
		}
		w.check(t, "unmount", "gone")
		close(w.gone) // the last file is closed
		if err := <-result; err != nil {
			t.Error(err)
		}
		w.check(t, "unmount", "gone", "release")
	})
}

func TestUmountClientGivesUp(t *testing.T) {
	w := newWorld(1)
	l, result := w.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := l.umount(ctx, func(int) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	close(w.empty) // the process goes on without its client
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestHandOver(t *testing.T) {
	w := newWorld(1)
	l, result := w.start(t)
	if err := l.handOver(t.Context()); err == nil {
		t.Error("a mount that is there is handed over")
	}
	close(w.gone)
	<-l.stopper.stopping.Done()
	for l.status().Mounted { // for the moment between the two
		if t.Context().Err() != nil {
			return
		}
	}
	if err := l.handOver(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-result; err == nil {
		t.Error("files that stay here are no error")
	}
	w.check(t, "gone", "release")
}

func TestHangupRefreshes(t *testing.T) {
	w := newWorld(0)
	close(w.empty)
	l, result := w.start(t)
	l.refresh("")
	l.stopper.signal()
	if err := <-result; err != nil {
		t.Error(err)
	}
	w.check(t, "refresh", "unmount", "gone", "release")
}
