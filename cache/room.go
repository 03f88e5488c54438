package cache

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"
)

// MakeRoom sees to it that copies take no more than Options.CacheSize on the
// disk, as far as that can be: clean ones that nobody uses go, those first that were used
// longest ago, and then parts of c, which is being filled, outside of
// [from, to). What goes is missing afterwards. A copy that has changes, or that a sealed version
// shares, is left whole.
func (s *Store) MakeRoom(c *Copy, from, to int64) error {
	_, used := s.Usage()
	s.mu.Lock()
	used -= s.shrinkLocked(used - s.cacheSize)
	s.unlock()
	if used <= s.cacheSize {
		return nil
	}
	return c.trim(used-s.cacheSize, from, to)
}

// Evict removes all clean copies that nobody uses: the disk is full.
func (s *Store) Evict() {
	s.mu.Lock()
	defer s.unlock()
	s.shrinkLocked(s.idleBytes)
}

// shrinkLocked drops the clean copies that were used longest ago until n bytes
// are free or none is left, and returns how many bytes it freed.
func (s *Store) shrinkLocked(n int64) (freed int64) {
	for freed < n {
		old, bytes, ok := s.idle.RemoveOldest()
		if !ok {
			return freed
		}
		s.idleBytes -= bytes
		freed += bytes
		s.dropKeptLocked(old)
	}
	return freed
}

// trim forgets at least n bytes of c outside of [from, to), or all there are.
func (c *Copy) trim(n, from, to int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, d := c.store, c.data
	s.mu.Lock()
	_, dirty := s.index.marks[d.id]
	if dirty || len(d.guards) > 0 || s.closed {
		s.unlock()
		return nil
	}
	s.unrecordLocked(c)
	s.unlock()
	if err := s.settle(d); err != nil { // else a power cut would bring it back as a whole one
		return err
	}
	return d.punch(n, from, to)
}

// punch makes holes of at least n bytes that are present outside of [from, to).
func (d *data) punch(n, from, to int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	outside := d.present.clipped(d.size)
	outside.remove(from, to)
	file, err := d.toWriteLocked()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range outside.list {
		if n <= 0 {
			break
		}
		r.Len = min(r.Len, n)
		d.present.remove(r.Off, r.End())
		errs = append(errs, file.Punch(r.Off, r.Len))
		n -= r.Len
	}
	return errors.Join(errs...)
}

// fitAtMost is what FitSize returns where there is room enough.
const fitAtMost = 10 << 30

// FitSize returns an Options.CacheSize, in bytes, that suits the file system
// of root, which need not exist yet: a tenth of what is free there, at most 10 GiB.
func FitSize(root string) int64 {
	var st unix.Statfs_t
	for dir := root; ; dir = path.Dir(dir) {
		if err := unix.Statfs(dir, &st); err == nil {
			return min(fitAtMost, int64(st.Bavail)*int64(st.Bsize)/10)
		}
		if path.Dir(dir) == dir {
			return fitAtMost
		}
	}
}
