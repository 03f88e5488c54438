package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
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
	if s == nil || err != nil {
		return err
	}
	f.mu.Lock()
	c := conn.Commit{Size: s.Size(), Time: f.mtime, Mode: f.mode, SetMode: f.withMode}
	replaces := f.onServer && f.entry.Size > 0
	recovered := f.recovered
	f.mu.Unlock()
	if recovered {
		if c.Base, err = f.recoveryBase(ctx, p, s); err != nil {
			return err
		}
	}
	if replaces {
		// A cut STOR leaves neither version on the server: ours must survive a power cut then.
		if err := s.Sync(); err != nil {
			return err
		}
	}
	e, err := f.send(ctx, p, s, c)
	switch {
	case err == nil:
		f.sent(p, s, j, e)
	case errors.Is(err, conn.ErrConflict):
		err = f.keepBoth(ctx, p, s, c)
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
		if err := f.need(ctx, 0, size); err != nil {
			return nil, "", err
		}
		f.mu.Lock()
		err := f.sealLocked()
		s, p := f.sealed, f.path
		j.gen = f.sealedGen
		f.mu.Unlock()
		if err != nil || s.Complete() {
			return s, p, err
		}
	}
}

// recoveryBase returns what the server may have at p for s, left by a mount
// that died, to replace it: the version that s was made from, or if that mount
// had begun to send s, whatever that can have left.
func (f *File) recoveryBase(ctx context.Context, p string, s *cache.Sealed) (conn.Version, error) {
	base := s.Attrs().Base
	if !s.Attempted() {
		return base, nil
	}
	var now conn.Entry
	err := f.m.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, sess conn.Session) (err error) {
		now, err = sess.Stat(ctx, p)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return conn.Version{}, nil
	case err != nil:
		return base, err
	case now.Size > s.Size():
		return base, nil // more than we can have sent
	}
	return conn.Version{}, nil
}

// send stores the sealed version at p.
func (f *File) send(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) (e conn.Entry, err error) {
	err = f.m.pool.Run(ctx, conn.Transfer, conn.Repeatable, func(ctx context.Context, sess conn.Session) error {
		if err := s.Attempt(""); err != nil {
			return err
		}
		r, err := s.Reader()
		if err != nil {
			return err
		}
		defer r.Close()
		src := &begun{Reader: r}
		e, err = sess.Store(ctx, p, src, c)
		if src.read {
			c.Base = conn.Version{} // what is there now can be what we have just sent
		}
		return err
	})
	return e, err
}

// begun notes that a source was read from.
type begun struct {
	*cache.Reader
	read bool
}

func (b *begun) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
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
	f.entry, f.onServer, f.recovered, f.sentGen = e, true, false, j.gen
	if f.copy.Generation() != j.gen {
		f.m.tree.Put(p, e) // written meanwhile: ours still counts
		return
	}
	f.dirty, f.emptied, f.withMode, f.sealed = false, false, false, nil
	f.m.tree.Stored(p, e)
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
	f.dirty, f.emptied, f.withMode, f.recovered, f.sealed = false, false, false, false, nil
	if err := f.store.Clean(f.copy); err != nil {
		f.m.log.Warn("the journal cannot be written", "error", err)
	}
	f.discardLocked()
	f.m.tree.Hide(f.path)
	f.m.tree.Forget(path.Dir(f.path))
}

// keepBoth stores a version that a mount which died has left under a name of
// its own, because somebody else changed the file since.
func (f *File) keepBoth(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) error {
	host, err := os.Hostname()
	if err != nil {
		host = "ftpfs"
	}
	other := path.Join(path.Dir(p), conflictName(path.Base(p), host, time.Now()))
	c.Base = conn.Version{}
	if _, err := f.send(ctx, other, s, c); err != nil {
		return err
	}
	f.m.log.Warn("a file was changed on the server since it was changed here; both are kept", "path", p, "ours", other)
	if err := s.Done(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetChangesLocked()
	return nil
}

// conflictName returns NAME.conflict-HOST-TIME, with the extension kept last
// and at most 255 bytes long.
func conflictName(name, host string, at time.Time) string {
	const longest = 255
	ext := path.Ext(name)
	if ext == name || len(ext) > 32 {
		ext = ""
	}
	tag := fmt.Sprintf(".conflict-%.64s-%s", strings.ReplaceAll(host, "/", "_"), at.UTC().Format("20060102-150405"))
	stem := strings.TrimSuffix(name, ext)
	return stem[:min(len(stem), longest-len(tag)-len(ext))] + tag + ext
}
