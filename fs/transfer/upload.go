package transfer

import (
	"context"
	"errors"
	"path"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	interruptGrace = time.Second     // what a signal leaves a waiting close or fsync to end by itself
	firstRetry     = 2 * time.Second // an upload that failed is tried again after; doubled each time
	lastRetry      = time.Minute     // at most
)

// job is one upload of a File, from waiting for its turn to the outcome.
type job struct {
	cancel  context.CancelFunc
	done    chan struct{}
	gen     uint64 // of the copy that was sealed; valid once done is closed
	err     error  // valid once done is closed
	waiters int    // who will tell err to a program; guarded by File.mu
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
		if j.gen >= gen || !joined { // a job that was under way may have sealed less than we need
			return j.err
		}
	}
}

// await waits for done; when ctx ends, only a moment longer.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	t := time.NewTimer(interruptGrace)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return context.Cause(ctx)
	}
}

// startLocked starts the upload of f; there is none under way.
func (f *File) startLocked() *job {
	ctx, cancel := context.WithCancel(f.m.life)
	j := &job{cancel: cancel, done: make(chan struct{})}
	f.stopRetryLocked()
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
	f.job, f.sentAt = nil, time.Now()
	j.err = err
	close(j.done)
	p := f.path
	first := f.failed == 0
	untold := err != nil && j.waiters == 0 && first && !f.unlinked
	again := f.dirty && !f.unlinked && f.m.life.Err() == nil
	switch {
	case err == nil:
		f.failed = 0
	case ctx.Err() != nil: // given up, not failed
	case again:
		f.failed++
		f.retryLocked(min(lastRetry, firstRetry<<min(f.failed-1, 10)))
	}
	f.mu.Unlock()
	if err != nil && f.m.life.Err() == nil && ctx.Err() == nil {
		f.m.fail(p, err, untold)
		if again && first {
			f.m.log.Warn("an upload failed and will be tried again", "path", p, "error", err)
		}
	}
	if err == nil {
		f.m.takeOwed(p) // what failed before has come true after all
		f.resume()
	}
	f.m.announce()
	f.m.drop(f)
}

// resume uploads what was written during the last upload, if nobody has the
// file open who will do so.
func (f *File) resume() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handles == 0 && f.dirty && f.job == nil {
		f.startLocked()
	}
}

// retryLocked starts an upload after d, unless one is started before.
func (f *File) retryLocked(d time.Duration) {
	f.stopRetryLocked()
	f.retry = time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.dirty && !f.unlinked && f.job == nil && f.m.life.Err() == nil {
			f.startLocked()
		}
	})
}

func (f *File) stopRetryLocked() {
	if f.retry != nil {
		f.retry.Stop()
		f.retry = nil
	}
}

// sealLocked puts the copy as it is now into the journal.
func (f *File) sealLocked() error {
	a := cache.Attrs{Base: conn.Version{State: conn.Absent}, Time: f.mtime, Mode: f.mode, SetMode: f.withMode}
	if f.onServer {
		a.Base = f.entry.Version()
	}
	s, err := f.store.Seal(f.path, f.copy, a)
	if err != nil {
		return err
	}
	f.sealed, f.sealedGen = s, f.copy.Generation()
	return nil
}

// upload seals what is dirty and sends it, again if it was superseded before
// it was begun.
func (f *File) upload(ctx context.Context, j *job) error {
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	for {
		if err := f.uploadSealed(ctx, j); !errors.Is(err, cache.ErrNotPending) {
			return err
		}
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
	f.mu.Lock()
	c := conn.Commit{Size: s.Size(), Time: f.mtime, Mode: f.mode, SetMode: f.withMode}
	f.mu.Unlock()
	if c.Base, err = f.expected(ctx, p, s); err != nil {
		return err
	}
	e, err := f.send(ctx, p, s, c)
	switch {
	case err == nil:
		f.sent(p, s, j, e)
		f.catchUp(ctx, p, c)
	case errors.Is(err, conn.ErrConflict):
		err = f.keepBoth(ctx, p, s, j, c)
	case forGood(err):
		f.refused(p, s, j, err)
	default:
		err = errors.Join(err, s.Sync())
	}
	return err
}

// prepare returns the sealed version to send, complete; nil if there is none.
func (f *File) prepare(ctx context.Context, j *job) (*cache.Sealed, string, error) {
	for {
		f.mu.Lock()
		if f.unlinked || !f.dirty {
			f.mu.Unlock()
			return nil, "", nil
		}
		size := f.copy.Size()
		f.mu.Unlock()
		missing := f.need(ctx, 0, size)
		f.mu.Lock()
		err := f.sealLocked()
		s, p := f.sealed, f.path
		j.gen = f.sealedGen
		f.mu.Unlock()
		if err = errors.Join(missing, err); err != nil || s.Complete() {
			return s, p, err
		}
	}
}

// sent notes that the server has the version that j sealed.
func (f *File) sent(p string, s *cache.Sealed, j *job, e conn.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := s.Done()
	if errors.Is(err, cache.ErrNotPending) && f.sealed != nil && f.sealed != s {
		err = f.sealed.SetBase(e.Version()) // a newer version was sealed meanwhile: it is to replace this one
	}
	if err != nil && !errors.Is(err, cache.ErrNotPending) {
		f.m.log.Warn("the journal cannot be written; the file will be uploaded again at the next mount", "path", p, "error", err)
	}
	e.Name, e.Kind = path.Base(p), conn.KindFile
	if !e.HasMode {
		e.Mode, e.HasMode = f.entry.Mode, f.entry.HasMode
	}
	e.Owner, e.Group, e.Links = f.entry.Owner, f.entry.Group, max(1, f.entry.Links)
	f.entry, f.onServer, f.sentGen = e, true, j.gen
	if f.copy.Generation() != j.gen {
		f.m.tree.Put(p, e) // written meanwhile: ours still counts
		return
	}
	f.dirty, f.emptied, f.withMode, f.sealed = false, false, false, nil
	f.m.tree.Stored(p, e)
}

// catchUp sets what utimens and chmod changed while the file was being sent.
func (f *File) catchUp(ctx context.Context, p string, c conn.Commit) {
	f.mu.Lock()
	at, late := f.mtime, !f.dirty && !f.mtime.Equal(c.Time)
	f.mu.Unlock()
	if !late {
		return
	}
	if err := f.m.tree.SetTime(ctx, p, at); err != nil {
		f.m.log.Info("the time of a file could not be set", "path", p, "error", err)
	}
}

// forGood tells whether sending the file again would be refused again.
func forGood(err error) bool {
	return conn.OutcomeOf(err) == conn.Refused && !errors.Is(err, conn.ErrBusy)
}

// refused puts the bytes that the server does not take into the recovery
// folder and shows its version again.
func (f *File) refused(p string, s *cache.Sealed, j *job, cause error) {
	if _, err := s.Refuse(cause.Error()); err != nil { // it logs where they are
		f.m.log.Error("a file that the server refuses could not be put into the recovery folder; it stays in the journal",
			"path", p, "error", err)
		return
	}
	f.mu.Lock()
	if f.copy.Generation() == j.gen {
		f.forgetChangesLocked()
	}
	f.mu.Unlock()
}

// forgetChangesLocked makes f what the server has.
func (f *File) forgetChangesLocked() {
	f.dirty, f.emptied, f.withMode, f.sealed = false, false, false, nil
	if err := f.store.Clean(f.copy); err != nil {
		f.m.log.Warn("the journal cannot be written", "error", err)
	}
	f.discardLocked()
	f.m.tree.Hide(f.path)
	f.m.tree.Forget(path.Dir(f.path))
}
