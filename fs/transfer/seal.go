package transfer

import (
	"errors"
	"math"
	"syscall"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// askLocked makes what is in the copy now the version to upload. It is sealed
// at once, before anybody writes on, unless a part of it must be fetched first
// or it may not be sealed yet. As sealLocked it can release f.mu.
func (f *File) askLocked() {
	if f.isSealedLocked(f.copy.Generation()) {
		return
	}
	f.asked = true
	if f.copy.Complete() && f.maySealLocked() {
		if _, err := f.sealLocked(); err != nil && !errors.Is(err, cache.ErrNotPending) {
			f.m.log.Warn("the journal cannot be written", "path", f.path, "error", err) // the upload will try again
		}
	}
}

// maySealLocked tells whether another version may supersede the one that is
// being sent, if there is one: not while that goes in place, since after a crash
// nobody would know the part of it that the server has. One that goes to a temporary
// name is on the server as a whole, and the journal of the next one tells of it, or not at all.
func (f *File) maySealLocked() bool {
	return f.sending == nil || !f.sending.Attempted()
}

// isSealedLocked tells whether the journal has generation gen of the copy,
// with the time and mode that it is to get.
func (f *File) isSealedLocked(gen uint64) bool {
	if f.sealed == nil || f.sealedGen != gen || !f.sealed.Pending() {
		return false
	}
	a := f.sealed.Attrs()
	return a.Time.Equal(f.mtime) && a.SetMode == f.withMode && (!a.SetMode || a.Mode == f.mode) && a.Local == f.local
}

// sealLocked puts the copy as it is now into the journal, and returns the
// version. Of a copy that the kernel can write a clone is made first, without f.mu, since that can
// take long. cache.ErrNotPending: there is nothing to seal any more.
func (f *File) sealLocked() (*cache.Sealed, error) {
	f.lookLocked()
	for waited := false; ; waited = true {
		switch {
		case f.unlinked || !f.dirty:
			return nil, cache.ErrNotPending
		case waited && f.isSealedLocked(f.copy.Generation()):
			return f.sealed, nil
		case !f.copy.Exposed():
			return f.sealWholeLocked()
		case f.cloning == nil:
			if s, err := f.sealCloneLocked(); !errors.Is(err, cache.ErrNotExposed) { // the last one was released just then
				return s, err
			}
		default:
			cloning := f.cloning
			f.mu.Unlock()
			<-cloning
			f.mu.Lock()
		}
	}
}

// sealCloneLocked is sealLocked for a copy that the kernel can write.
func (f *File) sealCloneLocked() (s *cache.Sealed, err error) {
	c, at, asked := f.copy, f.mtime, f.asked
	k, err := f.cloneLocked(c)
	switch {
	case err == nil && (f.copy != c || !f.dirty || f.unlinked):
		f.m.logged(k.Drop())
		return nil, cache.ErrNotPending
	case err == nil:
		s, err = k.Seal(f.path, f.attrsLocked())
	}
	if err != nil {
		f.asked = f.asked || asked
		if f.copy == c { // which looks as written just now
			f.lookLocked()
			f.mtime = at
		}
		return nil, err
	}
	f.disorderLocked()
	f.tail = tail{from: -1, sealed: -1} // what the kernel wrote between the look and the clone was not seen, and can be anywhere
	f.sealedLocked(s, k.Generation())
	return s, nil
}

// cloneLocked makes a clone of c. f.mu is not held meanwhile: who asks for a
// version by then wants what is written by then, too.
func (f *File) cloneLocked(c *cache.Copy) (*cache.Clone, error) {
	done := make(chan struct{})
	f.cloning, f.asked = done, false
	f.mu.Unlock()
	k, err := f.store.Clone(c)
	if errors.Is(err, syscall.ENOSPC) {
		f.store.Evict()
		k, err = f.store.Clone(c)
	}
	f.mu.Lock()
	f.cloning = nil
	close(done)
	return k, err
}

// sealWholeLocked is sealLocked for any other copy: the version shares its file.
func (f *File) sealWholeLocked() (*cache.Sealed, error) {
	a, tail := f.attrsLocked(), int64(-1)
	if f.isTailLocked() {
		tail, a.Tail = f.tail.from, f.tail.from
	}
	seal, apart := f.store.Seal, false
	if tail < 0 && f.shown[f.copy] > 0 && f.copy.Size() <= cache.MaxExposed && f.copy.Complete() {
		seal, apart = f.store.SealApart, true // who reads it without us must see what is written while it is uploaded
	}
	s, err := seal(f.path, f.copy, a)
	if errors.Is(err, syscall.ENOSPC) { // it can need a clone
		f.store.Evict()
		s, err = seal(f.path, f.copy, a)
		if apart && errors.Is(err, syscall.ENOSPC) {
			s, err = f.store.Seal(f.path, f.copy, a) // needs no room: better that a reader misses something than that there is no version
		}
	}
	if err != nil {
		return nil, err
	}
	f.tail.sealed = tail
	if f.sending == nil { // else what has changed since that one was sealed counts
		f.tail.after = math.MaxInt64
	}
	f.asked = false
	f.sealedLocked(s, f.copy.Generation())
	return s, nil
}

// attrsLocked returns what a version carries to the server.
func (f *File) attrsLocked() cache.Attrs {
	a := cache.Attrs{Base: conn.Version{State: conn.Absent}, Time: f.mtime, Mode: f.mode, SetMode: f.withMode, Local: f.local}
	if f.onServer {
		a.Base = f.entry.Version()
	}
	return a
}

// sealedLocked notes that s is generation gen of the copy.
func (f *File) sealedLocked(s *cache.Sealed, gen uint64) {
	f.sealed, f.sealedGen, f.sealedAt = s, gen, time.Now()
	f.attributeLocked() // it has what came after the look, too
}
