package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	firstPause = 500 * time.Millisecond // an upload that a program waits for is tried again after; doubled each time
	lastPause  = 5 * time.Second        // at most

	firstRetry = 2 * time.Second // an upload that failed is tried again after; doubled each time
	lastRetry  = time.Minute     // at most
)

// job is one upload of a File, from waiting for its turn to the outcome.
type job struct {
	cancel  context.CancelFunc
	done    chan struct{}
	gen     uint64 // of the copy that was sealed; valid once done is closed
	err     error  // valid once done is closed
	waiters int    // who will tell err to a program; guarded by File.mu
	queued  bool   // has a place of Manager.queue; guarded by File.mu
}

// sync uploads what is dirty now and returns what became of it. When ctx ends
// the upload goes on without us.
func (f *File) sync(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dirty || f.unlinked {
		return nil
	}
	gen := f.copy.Generation()
	f.askLocked()
	for joined := f.job != nil; ; joined = false {
		j := f.job
		if j == nil {
			if !f.dirty {
				return nil
			}
			j = f.startLocked()
		}
		j.waiters++
		f.mu.Unlock()
		err := await(ctx, j.done)
		f.mu.Lock()
		if err != nil {
			j.waiters--
			return err
		}
		if f.unlinked {
			return nil
		}
		if errors.Is(j.err, context.Canceled) && f.m.life.Err() == nil { // given up for a removal: which did not come about
			if err := f.waitTurnLocked(ctx); err != nil || f.unlinked {
				return err
			}
			joined = true
			continue
		}
		if j.gen >= gen || !joined { // a job that was under way may have sealed less than we need
			return j.err
		}
	}
}

// secure puts what is dirty now into the journal, safe from a power cut, and
// has it uploaded in the background. What is not all here is uploaded before it
// returns, since what is missing is only on the server; and one that is being uploaded
// in place is waited for, see maySealLocked.
func (f *File) secure(ctx context.Context) error {
	f.mu.Lock()
	for f.dirty && !f.unlinked && !f.maySealLocked() && !f.isSealedLocked(f.copy.Generation()) {
		j := f.job
		f.mu.Unlock()
		err := await(ctx, j.done)
		f.mu.Lock()
		if err != nil {
			f.mu.Unlock()
			return err
		}
	}
	if !f.dirty || f.unlinked {
		f.mu.Unlock()
		return nil
	}
	if !f.copy.Complete() {
		f.mu.Unlock()
		return f.sync(ctx)
	}
	s, err := f.sealed, error(nil)
	if !f.isSealedLocked(f.copy.Generation()) {
		s, err = f.sealLocked()
	}
	f.queueLocked()
	f.mu.Unlock()
	if errors.Is(err, cache.ErrNotPending) {
		return nil
	} else if err != nil {
		return err
	}
	if err := s.Sync(); !errors.Is(err, cache.ErrNotPending) { // else it is on the server by now, or a newer one is sealed
		return err
	}
	return nil
}

// waitTurnLocked waits until nobody removes, renames or uploads f.
func (f *File) waitTurnLocked(ctx context.Context) error {
	f.mu.Unlock()
	defer f.mu.Lock()
	err := f.take(ctx)
	if err == nil {
		f.give()
	}
	return err
}

// pendingLocked tells whether there is something to upload that a close or
// fsync asked for.
func (f *File) pendingLocked() bool {
	if !f.dirty || f.unlinked || f.local {
		return false
	}
	return f.asked || f.cloning != nil || f.sealed != nil && f.sealed.Pending()
}

// await waits for done, or the end of ctx.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// startLocked starts the upload of f; there is none under way.
func (f *File) startLocked() *job {
	ctx, cancel := context.WithCancel(f.m.life)
	j := &job{cancel: cancel, done: make(chan struct{})}
	f.stopRetryLocked()
	if f.removals > 0 {
		cancel()
	}
	if !f.m.spawn(func() { f.run(ctx, j) }) {
		cancel()
		j.err = &conn.Error{Op: "STOR", Path: f.path, Outcome: conn.NotExecuted, Err: conn.ErrHostDown}
		close(j.done)
		return j
	}
	f.job = j
	return j
}

// run does the job and sees to what comes after it.
func (f *File) run(ctx context.Context, j *job) {
	defer j.cancel()
	err := f.upload(ctx, j)
	f.mu.Lock()
	p, first := f.path, f.failed == 0
	again := f.pendingLocked() && f.m.life.Err() == nil
	untold := err != nil && j.waiters == 0 && first && !f.unlinked && !f.adopted // of another mount: its programs are gone
	f.mu.Unlock()
	if err != nil && f.m.life.Err() == nil && ctx.Err() == nil {
		f.m.fail(p, err, untold)
		if again && first {
			f.m.warnOfRetry(p, err)
		}
	} else if err == nil {
		f.m.cameTrue(p)
	}
	f.mu.Lock()
	f.job, f.sentAt = nil, time.Now()
	j.err = err
	queued := j.queued
	close(j.done)
	again = f.pendingLocked() && f.m.life.Err() == nil
	switch {
	case err == nil:
		f.failed = 0
		switch { // a close asked for more meanwhile
		case again && f.open > 0 && f.m.o.Write == WriteBack:
			f.retryLocked(resendAfter) // and others will
		case again:
			f.queueLocked()
		}
	case ctx.Err() != nil: // given up, not failed
	case again:
		f.failed++
		f.retryLocked(min(lastRetry, firstRetry<<min(f.failed-1, 10)))
	}
	f.mu.Unlock()
	if queued {
		f.m.queue.done()
	}
	f.m.startQueued()
	if err == nil {
		f.m.sweepTemps(f.m.life, "/")
	}
	f.m.announce()
	f.m.drop(f)
}

// retryLocked queues f after d, unless an upload is started before.
func (f *File) retryLocked(d time.Duration) {
	f.stopRetryLocked()
	f.retry = time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.pendingLocked() {
			f.queueLocked()
		}
	})
}

// putOffLocked queues f, which was only created, when nobody has it open to write
// any more, or at the time last.
func (f *File) putOffLocked(last time.Time) {
	f.stopRetryLocked()
	f.retry = time.AfterFunc(createdPause, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case !f.pendingLocked():
		case len(f.writers) > 0 && time.Now().Before(last):
			f.putOffLocked(last)
		default:
			f.queueLocked()
		}
	})
}

func (f *File) stopRetryLocked() {
	if f.retry != nil {
		f.retry.Stop()
		f.retry = nil
	}
}

// upload seals what is dirty and sends it, again if it was superseded before
// it was begun.
func (f *File) upload(ctx context.Context, j *job) error {
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	end := time.Now().Add(f.m.o.Retry)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := f.uploadSealed(ctx, j)
		switch {
		case errors.Is(err, cache.ErrNotPending):
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		case err == nil || !f.isOutage(ctx, j, err):
			return err
		case time.Now().Add(pause).After(end):
			return &conn.Error{Op: "STOR", Path: f.currentPath(), Outcome: conn.OutcomeOf(err),
				Err: fmt.Errorf("not on the server within %v, though it was tried again: %v", f.m.o.Retry, err)} // EIO
		}
		f.m.log.Info("an upload is tried again", "path", f.currentPath(), "error", err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// isOutage tells whether err is a lost connection that a program which waits
// for the upload may outlast.
func (f *File) isOutage(ctx context.Context, j *job, err error) bool {
	f.mu.Lock()
	waited := j.waiters > 0
	f.mu.Unlock()
	var remote *conn.Error
	return waited && f.m.o.Retry > 0 && ctx.Err() == nil && errors.As(err, &remote) &&
		remote.Outcome != conn.Refused && !errors.Is(err, conn.ErrLogin)
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

func (f *File) uploadSealed(ctx context.Context, j *job) error {
	s, p, err := f.prepare(ctx, j)
	switch {
	case s != nil && forGood(err): // the rest of it cannot be fetched: the server has another version by now
		f.refused(p, s, j, err)
		return err
	case s == nil || err != nil:
		return err
	}
	f.m.spawn(f.m.store.Spare) // while the server is waited for: who writes one file will write another
	f.sends(s)
	defer f.sends(nil)
	e, err := f.sendOnceOrTwice(ctx, p, s)
	switch {
	case err == nil:
		f.sent(p, s, j, e)
	case !s.Pending() && ctx.Err() == nil: // it was superseded meanwhile: what becomes of the next one counts
		err = cache.ErrNotPending
	case errors.Is(err, conn.ErrConflict):
		err = f.resolve(ctx, p, s, j)
	case forGood(err):
		f.refused(p, s, j, err)
	default:
		err = errors.Join(err, s.Sync())
	}
	return err
}

// sends notes that s is being sent, or nothing.
func (f *File) sends(s *cache.Sealed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sending = s
}

// prepare returns the sealed version to send, complete; nil if there is none.
// It never seals what nobody asked for: somebody may be in the middle of
// writing it.
func (f *File) prepare(ctx context.Context, j *job) (*cache.Sealed, string, error) {
	for {
		f.mu.Lock()
		if !f.pendingLocked() {
			f.mu.Unlock()
			return nil, "", nil
		}
		s, p, gen := f.sealed, f.path, f.sealedGen
		unsealed, size, tail := f.asked || f.cloning != nil, f.copy.Size(), f.isTailLocked()
		f.mu.Unlock()
		if !unsealed && (s.Complete() || f.isTail(ctx, s)) {
			j.gen = gen
			return s, p, nil
		}
		var missing error
		if !tail || !f.m.mayAppend(ctx) {
			missing = f.needAll(ctx, 0, size, conn.Transfer)
		}
		f.mu.Lock()
		s, err := f.sealLocked()
		j.gen = f.sealedGen
		f.mu.Unlock()
		if err = errors.Join(missing, err); err != nil {
			return s, p, err
		}
	}
}
