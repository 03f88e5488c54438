package cache

import (
	"io/fs"
	"path"
)

// Pending returns the versions that must reach the server or stay here, oldest first.
func (s *Store) Pending() []*Sealed {
	s.mu.Lock()
	defer s.unlock()
	return s.index.pending()
}

// Temps returns the server paths of the temporary files that attempts in this
// journal may have left on the server, sorted: those to remove after a crash.
func (s *Store) Temps() []string {
	s.mu.Lock()
	defer s.unlock()
	return s.index.temps()
}

// Temp records that there will be a temporary file at path on the server,
// which is to be removed when nobody needs it any more.
func (s *Store) Temp(path string) error {
	s.mu.Lock()
	defer s.unlock()
	id, recs := s.index.reach(path)
	_, err := s.logLocked(append(recs, record{Op: "temp", ID: id})...)
	return err
}

// TempGone records that the temporary file at path is not on the server: it
// was removed, or it never came to be.
func (s *Store) TempGone(path string) error {
	s.mu.Lock()
	defer s.unlock()
	n := s.index.lookup(path)
	if n == nil || !n.temp {
		return nil
	}
	_, err := s.logLocked(record{Op: "notemp", ID: n.id})
	return err
}

// Dirty journals that c is about to get changes that belong to path and are
// not sealed, so that a crash moves them to the recovery folder. It is called before the
// first change after NewCopy, Reuse, Seal or Clean, and may be called before each:
// what is marked already costs nothing. A dirty copy is not a clean one: it is kept (Keep) no more.
func (s *Store) Dirty(path string, c *Copy) error {
	s.mu.Lock()
	defer s.unlock()
	d := c.data
	if m, ok := s.index.marks[d.id]; ok && m.node.path() == path {
		return nil
	}
	id, recs := s.index.reach(path)
	recs = append(recs, record{Op: "dirty", Node: id, File: d.id, Missing: d.allMissing(c.size.Load())})
	durable := s.index.keeps[d.id].synced
	if _, err := s.logLocked(recs...); err != nil {
		return err
	}
	if durable { // a power cut must not bring it back as a clean copy with other bytes
		d.settle.Store(s.journal.written.Load())
	}
	s.dropKeptLocked(c)
	return nil
}

// Clean takes the mark of Dirty back: the changes never came, or nobody wants
// them. That of an exposed copy stays until Cover.
func (s *Store) Clean(c *Copy) error {
	s.mu.Lock()
	defer s.unlock()
	if _, ok := s.index.marks[c.data.id]; !ok || c.Exposed() {
		return nil
	}
	_, err := s.logLocked(record{Op: "clean", File: c.data.id})
	return err
}

// Rename records that the file or directory at oldPath, with all below it, is
// now at newPath: pending versions, dirty marks, temporary files and clean
// copies move along. What was at newPath is replaced: a version that
// was pending for it is dropped, and one below it, which no server allows, is
// moved to the recovery folder. fs.ErrInvalid if newPath is below oldPath.
func (s *Store) Rename(oldPath, newPath string) error {
	if oldPath == newPath {
		return nil
	}
	if isUnder(newPath, oldPath) {
		return fs.ErrInvalid
	}
	if err := s.refuseBelow(newPath); err != nil {
		return err
	}
	s.mu.Lock()
	for {
		v := s.riskyLocked(oldPath, newPath)
		if v == nil {
			break
		}
		s.unlock()
		if err := v.Sync(); err != nil && v.Pending() {
			return err
		}
		s.mu.Lock()
	}
	ended, err := s.moveLocked(oldPath, newPath)
	if err == nil {
		s.renameKeptLocked(oldPath, newPath)
	}
	at := s.journal.written.Load()
	s.unlock()
	durable := false
	for _, v := range ended {
		durable = durable || v.synced
	}
	if durable && err == nil {
		// What was replaced is removed now; a power cut must not bring it back alone.
		err = s.journal.flush(at)
	}
	s.mu.Lock()
	defer s.unlock()
	if !s.closed {
		s.endLocked(ended)
	}
	return err
}

// riskyLocked returns the version of oldPath if it is not durable while what
// it would replace at newPath is: a power cut could then leave neither.
func (s *Store) riskyLocked(oldPath, newPath string) *Sealed {
	n, t := s.index.lookup(oldPath), s.index.lookup(newPath)
	if s.closed || n == nil || t == nil || n.version == nil || t.version == nil || n.version.synced {
		return nil
	}
	if !t.version.synced && t.version.shadow == nil {
		return nil
	}
	return n.version
}

// moveLocked is the part of Rename that concerns the journal.
func (s *Store) moveLocked(oldPath, newPath string) (ended []*Sealed, err error) {
	n := s.index.lookup(oldPath)
	if n == nil {
		return s.removeLocked(newPath)
	}
	parent, recs := s.index.reach(path.Dir(newPath))
	r := record{Op: "move", ID: n.id, Parent: parent}
	r.setName(path.Base(newPath))
	return s.logLocked(append(recs, r)...)
}

func (s *Store) removeLocked(path string) (ended []*Sealed, err error) {
	n := s.index.lookup(path)
	if n == nil {
		return nil, nil
	}
	return s.logLocked(record{Op: "gone", ID: n.id})
}

// Unlink records that the file or directory at path was removed: a version
// pending for it is dropped, a dirty mark is taken off (who has the file open goes on, and nothing of it is
// ever uploaded), a clean copy is forgotten. A version pending below path is
// moved to the recovery folder, since no server removes a directory with files in it.
func (s *Store) Unlink(path string) error {
	if err := s.refuseBelow(path); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.unlock()
	ended, err := s.removeLocked(path)
	if err != nil {
		return err
	}
	s.endLocked(ended)
	s.forgetTreeLocked(path)
	return nil
}

// refuseBelow moves the versions that are pending below path, not at it, to
// the recovery folder.
func (s *Store) refuseBelow(path string) error {
	var below []*Sealed
	s.mu.Lock()
	if n := s.index.lookup(path); n != nil {
		n.walk(func(m *node) {
			if m != n && m.version != nil {
				below = append(below, m.version)
			}
		})
	}
	s.unlock()
	for _, v := range below {
		if _, err := v.Refuse("its directory was removed"); err != nil && v.Pending() {
			return err
		}
	}
	return nil
}
