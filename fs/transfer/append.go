package transfer

import (
	"context"
	"io"
	"path"
	"sync"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

const (
	// appendFrom is the size in bytes from which on a file is worth asking
	// whether the server appends, and from which on appending is better than
	// replacing it: others can see a part of what is appended.
	appendFrom = 1 << 20
)

// appending is what is known of the server's APPE. Some servers' overwrites
// the file, so that it is tried out first.
type appending struct {
	mu    sync.Mutex    // a leaf
	known bool          // guarded by mu
	is    bool          // valid if known; guarded by mu
	probe chan struct{} // closed at the end of the look under way, nil: there is none; guarded by mu
}

// tail is what a File knows of the changes at its end. Without a base, or
// after changes elsewhere, from and sealed are -1.
type tail struct {
	from   int64 // all changes were made behind so many bytes, which are those of File.entry; valid while dirty
	after  int64 // all changes since File.sending, or else File.sealed, was made are behind so many bytes
	sealed int64 // from, if all that is to be sent of File.sealed is what is behind it
}

// tryAppend finds out, beside what the program does, whether the server
// appends; if need be with a scratch file in dir.
func (m *Manager) tryAppend(dir string) {
	a := &m.appending
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known || a.probe != nil {
		return
	}
	probe := make(chan struct{})
	if m.spawn(func() { m.lookAppend(dir, probe) }) {
		a.probe = probe
	}
}

func (m *Manager) lookAppend(dir string, probe chan struct{}) {
	var is bool
	err := m.pool.Run(m.life, conn.Transfer, conn.Once, func(ctx context.Context, s conn.Session) error {
		a, tried := s.Abilities()
		is = a.Appends
		if tried {
			return nil
		}
		scratch := path.Join(dir, tree.Temporary(m.store.ID()))
		if err := m.store.Temp(scratch); err != nil {
			return err
		}
		a, err := s.TryOut(ctx, scratch)
		is = a.Appends
		if s.Err() == nil { // it has removed it
			m.tempGone(m.store, scratch)
		} else {
			m.spawn(func() { newFile(m, scratch, m.store).dropTemp(scratch, err) })
		}
		return err
	})
	if err != nil {
		m.log.Info("it is not known whether the server appends", "error", err)
	}
	a := &m.appending
	a.mu.Lock()
	a.known, a.is, a.probe = err == nil || conn.OutcomeOf(err) == conn.Refused, is && err == nil, nil
	a.mu.Unlock()
	close(probe)
}

// mayAppend tells whether the server is known to append; a probe under way is
// waited for.
func (m *Manager) mayAppend(ctx context.Context) bool {
	a := &m.appending
	a.mu.Lock()
	probe := a.probe
	a.mu.Unlock()
	if probe != nil && await(ctx, probe) != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known && a.is
}

// changedLocked notes that the bytes from off on are other ones than those of
// the version that the server has.
func (f *File) changedLocked(off int64) {
	f.tail.after = min(f.tail.after, off)
	switch {
	case !f.dirty: // the first change
		f.tail.from = -1
		if f.onServer && off >= f.entry.Size {
			f.tail.from = f.entry.Size
		}
	case off < f.tail.from:
		f.tail.from = -1
	}
}

// isTailLocked tells whether all that was changed was appended to the version
// that the server has, and there is enough of that to spare it.
func (f *File) isTailLocked() bool {
	return f.onServer && f.tail.from >= appendFrom && f.tail.from == f.entry.Size && f.copy.Size() > f.tail.from && f.copy.Size() < 2*f.tail.from
}

// isTail tells whether s is to be appended to what the server has.
func (f *File) isTail(ctx context.Context, s *cache.Sealed) bool {
	base := s.Attrs().Base
	f.mu.Lock()
	tail := f.sealed == s && f.tail.sealed >= 0 && base.State == conn.Present && base.Size == f.tail.sealed
	f.mu.Unlock()
	return tail && f.m.mayAppend(ctx)
}

// sendTail appends to p what s has more than its base. What an earlier try
// has brought there already is not sent again.
func (f *File) sendTail(ctx context.Context, p string, s *cache.Sealed) (conn.Entry, error) {
	a := s.Attrs()
	c := conn.Commit{Size: s.Size(), Time: a.Time, Mode: a.Mode, SetMode: a.SetMode, Base: a.Base}
	if s.Attempted() {
		e, err := f.stat(ctx, p)
		part := true
		if err == nil && !e.Version().Same(a.Base) {
			c.Base, part = e.Version(), false
			if e.Size > a.Tail && e.Size <= s.Size() {
				part, err = f.isPart(ctx, p, s, a.Tail, e.Size)
			}
		}
		switch {
		case err != nil:
			return conn.Entry{}, err
		case !part:
			return conn.Entry{}, &conn.Error{Op: "APPE", Path: p, Outcome: conn.Refused, Err: conn.ErrConflict}
		}
	}
	r, err := s.Reader()
	if err != nil {
		return conn.Entry{}, err
	}
	defer r.Close()
	f.mu.Lock() // see maySealLocked
	err = s.Attempt("")
	f.mu.Unlock()
	if err != nil {
		return conn.Entry{}, err
	}
	var e conn.Entry
	err = f.m.pool.Run(ctx, conn.Transfer, conn.Once, func(ctx context.Context, sess conn.Session) error {
		var err error
		e, err = sess.Append(ctx, p, c.Base.Size, io.NewSectionReader(r, c.Base.Size, s.Size()-c.Base.Size), c)
		return err
	})
	return e, err
}
