package cache

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Copy is the local copy of one version of a remote file: a sparse file and
// the set of ranges that are present. Reads and fills leave its content as
// it is; WriteAt and Truncate make another content, told by Generation.
// It is safe for concurrent use; errors of the local disk (ENOSPC) come
// through as they are.
type Copy struct {
	store *Store
	size  atomic.Int64
	gen   atomic.Uint64

	refs int   // guarded by Store.mu; users
	kept *kept // guarded by Store.mu; its place among the clean copies, nil: none

	exposed atomic.Int32 // calls of Expose that were not covered; changed with mu held

	mu   sync.RWMutex // held for writing by all that changes the content or seals it
	data *data        // read with mu or Store.mu held, changed with both

	// While exposed:
	turn     sync.Mutex // who makes a Clone
	cloning  bool       // guarded by mu
	seen     time.Time  // the modification time of the file, as far as it was looked at; guarded by mu
	written  time.Time  // the last one that was seen and not set by us; guarded by mu
	sum      *uint32    // checksum of the version that was sealed last, nil: none; guarded by mu
	compared *uint32    // the sum that the file was compared with; guarded by mu
}

// NewCopy makes a copy of a file of size bytes, none of which is present. The
// caller is its first user. NewCopy(0) is an empty file, complete.
func (s *Store) NewCopy(size int64) (*Copy, error) {
	if size < 0 {
		return nil, fs.ErrInvalid
	}
	d, err := s.newData()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	if d.file == nil {
		err = fs.ErrClosed
	} else if err = d.file.Truncate(size); err == nil {
		d.size = size
	}
	d.mu.Unlock()
	c := &Copy{store: s, data: d, refs: 1}
	c.size.Store(size)
	s.mu.Lock()
	defer s.unlock()
	if err != nil {
		s.reapLocked(d)
		return nil, errors.Join(err, d.release())
	}
	d.owner = c
	return c, nil
}

// Store returns the Store that the copy belongs to; an adopted one has its own.
func (c *Copy) Store() *Store { return c.store }

// Retain adds a user, who has to call Close, and returns c. The caller must be a user already.
func (c *Copy) Retain() *Copy {
	c.store.mu.Lock()
	defer c.store.unlock()
	c.refs++
	return c
}

// Close takes one user off. When the last one goes, the copy is removed from
// the disk unless it is kept (Keep) or sealed. Changes that were marked
// (Dirty) and never sealed go to the recovery folder then, unless Clean or
// Unlink gave them up; if that fails, the caller is still a user.
func (c *Copy) Close() error {
	s := c.store
	s.mu.Lock()
	if s.closed {
		s.unlock()
		return nil // Store.Close has seen to everything
	}
	if _, dirty := s.index.marks[c.data.id]; dirty && c.refs == 1 {
		s.unlock()
		if err := s.saveDirty(c, "closed with changes that were not sealed"); err != nil {
			return err
		}
		s.mu.Lock()
	}
	defer s.unlock()
	c.refs--
	if c.refs > 0 || s.closed {
		return nil
	}
	d := c.data
	if c.kept != nil {
		s.idleLocked(c)
	} else {
		s.disposeLocked(c)
	}
	return d.release()
}

// Size returns the length in bytes. It never blocks.
func (c *Copy) Size() int64 { return c.size.Load() }

// Generation counts the changes of the content by WriteAt and Truncate. It never blocks.
func (c *Copy) Generation() uint64 { return c.gen.Load() }

// ReadAt is io.ReaderAt. If any byte of the range, cut at the end of the
// copy, is missing, it returns ErrMissing and reads nothing.
func (c *Copy) ReadAt(p []byte, off int64) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.data.readAt(p, off, c.size.Load())
}

// Missing returns the first range of [off, off+n), cut at the end of the
// copy, that is not present, and whether there is one.
func (c *Copy) Missing(off, n int64) (Range, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.data.missing(off, clampEnd(off, n, c.size.Load()))
}

// Complete reports whether every byte is present.
func (c *Copy) Complete() bool {
	_, missing := c.Missing(0, c.Size())
	return !missing
}

// Bytes returns what the copy takes on the disk; 0 if that cannot be told.
func (c *Copy) Bytes() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.data.bytes()
}

// Fill puts downloaded bytes where they are missing. Bytes that are present,
// written or filled, stay, and what lies behind the end is ignored. A sealed
// version that shares the file becomes more complete with it.
func (c *Copy) Fill(p []byte, off int64) error {
	c.mu.RLock()
	err := c.data.fill(p, off, c.size.Load())
	c.mu.RUnlock()
	if !errors.Is(err, errFrozen) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for errors.Is(err, errFrozen) {
		if err = c.detach(c.size.Load()); err == nil {
			err = c.data.fill(p, off, c.size.Load())
		}
	}
	return err
}

// WriteAt is io.WriterAt: the bytes are present then, the copy grows as
// needed, and what lies between its former end and off is present as zeros.
// If a sealed version has bytes in the range, the copy goes on with a clone
// of its file first, which can take as long as copying it.
func (c *Copy) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.lookLocked(); err != nil {
		return 0, err
	}
	n := 0
	err := c.change(off, c.size.Load(), func(d *data) (err error) {
		n, err = d.write(p, off)
		return err
	})
	if n > 0 {
		c.gen.Add(1)
		c.size.Store(max(c.size.Load(), off+int64(n)))
		err = errors.Join(err, c.ownLocked())
	}
	return n, err
}

// Truncate sets the size to n bytes. What is cut off is forgotten, what is
// gained is present as zeros. It clones as WriteAt does.
func (c *Copy) Truncate(n int64) error {
	if n < 0 {
		return fs.ErrInvalid
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.lookLocked(); err != nil || n == c.size.Load() {
		return err
	}
	err := c.change(n, min(n, c.size.Load()), func(d *data) error { return d.truncate(n) })
	if err == nil {
		c.gen.Add(1)
		c.size.Store(n)
		err = c.ownLocked()
	}
	return err
}

// change runs fn on the copy's file, which may be changed from off on. If it
// may not, the copy first goes on with a clone of its first keep bytes. The caller holds c.mu.
func (c *Copy) change(off, keep int64, fn func(*data) error) error {
	for {
		if off < c.data.protected.Load() {
			if err := c.detach(keep); err != nil {
				return err
			}
		}
		if err := c.store.settle(c.data); err != nil {
			return err
		}
		if err := fn(c.data); !errors.Is(err, errFrozen) {
			return err
		}
	}
}

// detach moves the copy to a clone of the first keep bytes of its file and
// leaves the file to those who have it sealed. A dirty mark moves along in the journal.
// The caller holds c.mu for writing.
func (c *Copy) detach(keep int64) error {
	s, from := c.store, c.data
	to, err := s.newData()
	if err != nil {
		return err
	}
	err = from.cloneTo(to, keep)
	s.mu.Lock()
	defer s.unlock()
	if m, dirty := s.index.marks[from.id]; dirty && err == nil {
		_, err = s.logLocked(record{Op: "dirty", Node: m.node.id, File: to.id, Old: from.id, Missing: m.missing})
	}
	if err != nil {
		s.reapLocked(to)
		return errors.Join(err, to.release())
	}
	c.data = to
	to.owner, from.owner = c, nil
	s.reapLocked(from)
	return from.release()
}

// clampEnd returns the end of the n bytes at off, cut at size.
func clampEnd(off, n, size int64) int64 {
	if n > size-off { // also where off+n would overflow
		return size
	}
	return off + n
}

// OSFile opens the file of the copy once more, for reading. The caller closes
// it. nil: the Disk is not the operating system's.
func (c *Copy) OSFile() (*os.File, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.data.mu.RLock()
	defer c.data.mu.RUnlock()
	f, ok := c.data.file.(osFile)
	if !ok {
		return nil, nil
	}
	return os.Open(f.Name())
}

// FileID tells the file on disk that has the bytes from others: it changes
// when the copy moves to a clone.
func (c *Copy) FileID() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.data.id
}

// ModTime returns when the file of the copy was last changed; zero if that
// cannot be told.
func (c *Copy) ModTime() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.data.mu.RLock()
	defer c.data.mu.RUnlock()
	if f, ok := c.data.file.(osFile); ok {
		if info, err := f.Stat(); err == nil {
			return info.ModTime()
		}
	}
	return time.Time{}
}

// Touch counts a change of the content that somebody else has made.
func (c *Copy) Touch() { c.gen.Add(1) }
