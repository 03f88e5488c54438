package transfer

import (
	"context"
	"errors"
	"io"
	"path"
	"sync"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

const (
	liveFrom = 4 << 20         // bytes written in order from which on a file is sent while it is written
	liveIdle = 5 * time.Second // for so long a live upload waits for the next write
)

// live is an upload that runs while its file is being written from the start
// on, in order, so that close waits only for the rest. It goes to a temporary
// name, which the upload that the close asks for renames, if what it has
// sealed is what was sent; else it is given up and the file is sent anew.
type live struct {
	f    *File
	c    *cache.Copy
	temp string // server path
	ctx  context.Context
	end  context.CancelFunc
	done chan struct{} // closed at its end

	mu      sync.Mutex // a leaf
	wake    chan struct{}
	written int64         // bytes that can be sent; guarded by mu
	sent    int64         // guarded by mu
	rest    *cache.Reader // of the sealed version, once that is known: what is written from then on is another; guarded by mu
	commit  conn.Commit   // valid with rest
	lease   *conn.Lease   // guarded by mu
	given   bool          // up; guarded by mu
	counted bool          // in Manager.tidying; guarded by mu

	begun bool       // the journal has temp; valid once done is closed
	entry conn.Entry // valid once done is closed
	err   error      // valid once done is closed
}

// errNotLive says that a live upload is not what is to be uploaded.
var errNotLive = errors.New("the live upload is given up")

// wroteLocked notes that n bytes were written at off.
func (f *File) wroteLocked(off int64, n int) {
	if n <= 0 {
		return
	}
	if off != f.ordered || f.copy.Exposed() {
		f.disorderLocked()
		return
	}
	f.ordered += int64(n)
	switch {
	case f.live != nil:
		f.live.advance(f.ordered)
	case f.ordered >= liveFrom && !f.unlinked && f.job == nil && !f.m.o.Direct:
		f.startLiveLocked()
	}
}

// disorderLocked notes that f is not being written in order, from its start.
func (f *File) disorderLocked() {
	f.ordered = -1
	f.live.giveUp()
	f.live = nil
}

func (f *File) startLiveLocked() {
	ctx, end := context.WithCancel(f.m.life)
	l := &live{
		f: f, c: f.copy.Retain(), ctx: ctx, end: end, done: make(chan struct{}), wake: make(chan struct{}), written: f.ordered,
		temp: path.Join(path.Dir(f.path), tree.Temporary(f.m.store.ID())),
	}
	if !f.m.spawn(l.run) {
		end()
		l.c.Close()
		return
	}
	f.live = l
}

func (l *live) run() {
	defer l.c.Close()
	l.entry, l.err = l.store()
	l.mu.Lock()
	committed := l.rest != nil
	if committed {
		l.rest.Close()
	}
	l.given = l.given || !committed
	counted := l.counted
	l.mu.Unlock()
	l.end()
	close(l.done)
	if l.begun && !committed { // else who waits for the commit sees to it
		l.f.m.log.Debug("a file is not sent while it is written", "path", l.temp, "error", l.err)
		l.f.dropTemp(l.temp, l.err)
	}
	if counted {
		l.f.m.tidied()
	}
}

func (l *live) store() (conn.Entry, error) {
	f := l.f
	if !l.mayReplace() {
		return conn.Entry{}, errNotLive
	}
	if err := f.store.Temp(l.temp); err != nil {
		return conn.Entry{}, err
	}
	l.begun = true
	lease, err := f.m.pool.Acquire(l.ctx, conn.Transfer, false)
	if err != nil {
		return conn.Entry{}, err
	}
	defer lease.Release()
	l.mu.Lock()
	if l.lease = lease; l.rest == nil { // nobody waits for it yet
		lease.OnTakeover(l.giveUp)
	}
	l.mu.Unlock()
	return lease.Session.Store(l.ctx, l.temp, l, conn.Commit{Late: l.late})
}

// late is called when all bytes are sent, of which finish said how many.
func (l *live) late() conn.Commit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commit
}

// mayReplace tells whether the temporary file may be renamed over what is at
// the path, as far as that is known without asking.
func (l *live) mayReplace() bool {
	allowed, self := l.f.m.replacing(path.Dir(l.temp))
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	may, known := replaceable(l.f.entry, l.f.onServer, self)
	return allowed && may && known
}

// Read gives what is written as it comes.
func (l *live) Read(p []byte) (int, error) {
	idle := time.NewTimer(liveIdle)
	defer idle.Stop()
	for {
		l.mu.Lock()
		var from io.ReaderAt = l.c
		if l.rest != nil {
			from = l.rest
		}
		n := min(int64(len(p)), l.written-l.sent)
		at, wake := l.sent, l.wake
		l.sent += n
		given, ended := l.given, l.rest != nil
		l.mu.Unlock()
		switch {
		case given:
			return 0, errNotLive
		case n > 0:
			k, err := from.ReadAt(p[:n], at)
			if int64(k) == n {
				err = nil
			}
			return k, err
		case ended:
			return 0, io.EOF
		}
		select {
		case <-wake:
		case <-idle.C:
			l.giveUp()
		case <-l.ctx.Done():
			return 0, context.Cause(l.ctx)
		}
	}
}

// advance lets it send up to written.
func (l *live) advance(written int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest == nil {
		l.written = written
		l.wakeLocked()
	}
}

func (l *live) wakeLocked() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// giveUp ends it, unless there is none or it is being committed.
func (l *live) giveUp() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest == nil && !l.given {
		l.given, l.counted = true, true
		l.f.m.tidying.Add(1)
		l.wakeLocked()
		l.end()
	}
}

// takeLive takes the live upload of f, if that goes to dir; it is given up
// otherwise.
func (f *File) takeLive(dir string) *live {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.live
	f.live, f.ordered = nil, -1
	if l != nil && path.Dir(l.temp) != dir {
		l.giveUp()
		return nil
	}
	return l
}

// finish ends the upload with s and c. errNotLive: it was given up, or is not
// that of s.
func (l *live) finish(ctx context.Context, s *cache.Sealed, c conn.Commit) (conn.Entry, error) {
	if err := s.Attempt(path.Base(l.temp)); err != nil {
		l.giveUp()
		return conn.Entry{}, err
	}
	rest, err := s.Reader()
	if err != nil {
		return l.finishNot(err)
	}
	l.mu.Lock()
	if l.given || l.written != s.Size() {
		l.mu.Unlock()
		return l.finishNot(errors.Join(errNotLive, rest.Close()))
	}
	l.rest, l.commit = rest, c
	if l.lease != nil {
		l.lease.OnTakeover(nil)
	}
	l.wakeLocked()
	l.mu.Unlock()
	stop := context.AfterFunc(ctx, l.end)
	defer stop()
	<-l.done
	return l.entry, l.err
}

// finishNot gives it up after the journal was told of the attempt: that has
// the temporary file again, though it may be gone since.
func (l *live) finishNot(err error) (conn.Entry, error) {
	l.giveUp()
	<-l.done
	l.f.m.removeTemp(l.f.m.life, l.f.store, l.temp)
	return conn.Entry{}, err
}
