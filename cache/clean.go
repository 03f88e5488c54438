package cache

import "ftpfs/conn"

// kept is the place of a Copy among the clean copies.
type kept struct {
	path    string
	version conn.Version
	gen     uint64
	racy    bool // another version can have the same size and time
}

// Keep makes c, whose bytes are those of version on the server, the clean
// copy of path, in place of another one. When nobody uses it, it stays on the disk until
// Options.CacheSize needs its place or the path is written, renamed over,
// unlinked or forgotten. A whole one is there for the next mount, too, unless it is
// racy: a later version could have the same size and time. A copy with unsealed changes is not kept.
func (s *Store) Keep(path string, version conn.Version, racy bool, c *Copy) {
	s.mu.Lock()
	defer s.unlock()
	if _, dirty := s.index.marks[c.data.id]; dirty || s.closed || c.data.frozen() {
		return
	}
	if old := s.kept[path]; old != nil && old != c {
		s.dropKeptLocked(old)
	}
	if c.kept != nil {
		delete(s.kept, c.kept.path)
	}
	if k := c.kept; k != nil && k.gen == c.gen.Load() {
		racy = racy || k.racy
	}
	c.kept = &kept{path, version, c.gen.Load(), racy}
	s.kept[path] = c
	s.recordLocked(c, false)
}

// Reuse returns the clean copy of path if its version can be version
// (conn.Version.Same); one of another version is forgotten. The caller is a user of it.
func (s *Store) Reuse(path string, version conn.Version) (*Copy, bool) {
	s.mu.Lock()
	defer s.unlock()
	c := s.kept[path]
	if c == nil || s.closed {
		return nil, false
	}
	if !c.kept.version.Same(version) || c.gen.Load() != c.kept.gen {
		s.dropKeptLocked(c)
		return nil, false
	}
	if err := s.useLocked(c); err != nil {
		s.log.Warn("a copy cannot be opened", "path", path, "err", err)
		s.dropKeptLocked(c)
		return nil, false
	}
	return c, true
}

// Forget drops the clean copy of path, if there is one. Who uses it keeps it.
func (s *Store) Forget(path string) {
	s.mu.Lock()
	defer s.unlock()
	if c := s.kept[path]; c != nil {
		s.dropKeptLocked(c)
	}
}

// forgetTreeLocked drops the clean copies of path and of all below it.
func (s *Store) forgetTreeLocked(path string) {
	if c := s.kept[path]; c != nil { // a file: nothing is below it
		s.dropKeptLocked(c)
		return
	}
	for p, c := range s.kept {
		if isUnder(p, path) {
			s.dropKeptLocked(c)
		}
	}
}

// renameKeptLocked moves the clean copies of oldPath and all below it.
func (s *Store) renameKeptLocked(oldPath, newPath string) {
	s.forgetTreeLocked(newPath)
	var moved []*Copy
	for p, c := range s.kept {
		if isUnder(p, oldPath) {
			moved = append(moved, c)
			delete(s.kept, p)
		}
	}
	for _, c := range moved {
		c.kept.path = newPath + c.kept.path[len(oldPath):]
		s.kept[c.kept.path] = c
		if k, ok := s.index.keeps[c.data.id]; ok {
			s.recordLocked(c, k.synced)
		}
	}
}

// useLocked adds a user to c, which may have had none.
func (s *Store) useLocked(c *Copy) error {
	if c.refs == 0 {
		if err := c.data.acquire(); err != nil {
			return err
		}
		s.busyLocked(c)
	}
	c.refs++
	return nil
}

// idleLocked takes note that nobody uses c, which is kept, and drops those
// that were used longest ago as far as the size asks for it. A copy with a pending version stays.
func (s *Store) idleLocked(c *Copy) {
	if len(c.data.guards) > 0 {
		return
	}
	n := c.data.bytes()
	s.busyLocked(c)
	s.idle.Add(c, n)
	s.idleBytes += n
	s.shrinkLocked(s.idleBytes - s.cacheSize)
}

// busyLocked takes c off the list of copies that can be evicted.
func (s *Store) busyLocked(c *Copy) {
	if n, ok := s.idle.Peek(c); ok {
		s.idle.Remove(c)
		s.idleBytes -= n
	}
}

// dropKeptLocked ends that c is kept.
func (s *Store) dropKeptLocked(c *Copy) {
	if c.kept == nil {
		return
	}
	delete(s.kept, c.kept.path)
	c.kept = nil
	s.unrecordLocked(c)
	s.busyLocked(c)
	if c.refs == 0 {
		s.disposeLocked(c)
	}
}
