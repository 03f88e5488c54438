package transfer

import (
	"errors"
	"path"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// sent notes that the server has the version that j sealed.
func (f *File) sent(p string, s *cache.Sealed, j *job, e conn.Entry) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.uploads++
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sentSeq = f.m.uploads
	err := s.Done()
	superseded := errors.Is(err, cache.ErrNotPending) && f.sealed != nil && f.sealed != s
	if superseded {
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
	if superseded || f.copy.Generation() != j.gen {
		if f.tail.from = -1; f.tail.after >= e.Size {
			f.tail.from = e.Size
		}
		f.m.tree.Put(p, e) // written meanwhile: ours still counts
		f.m.tree.SetWritable(path.Dir(p))
		return
	}
	f.dirty, f.emptied, f.withMode, f.unsure, f.sealed = false, false, false, false, nil
	f.m.tree.Stored(p, e)
}

// isOfTemp tells whether what err is about was done to a temporary file, before
// that could be renamed.
func isOfTemp(err error) bool {
	var e *conn.Error
	return errors.As(err, &e) && e.Op != "RNTO" && tree.IsTemporary(path.Base(e.Path))
}

// forGood tells whether sending the file again would be refused again.
func forGood(err error) bool {
	return conn.OutcomeOf(err) == conn.Refused && !errors.Is(err, conn.ErrBusy)
}

// refused puts the bytes that the server does not take into the recovery
// folder and shows its version again.
func (f *File) refused(p string, s *cache.Sealed, j *job, cause error) {
	_, err := s.Refuse(cause.Error()) // it logs where they are
	if errors.Is(err, cache.ErrNotPending) {
		return // superseded: the next version will be refused, too, or not
	}
	if err != nil {
		f.m.log.Error("a file that the server refuses could not be put into the recovery folder; it stays in the journal",
			"path", p, "error", err)
		return
	}
	f.mu.Lock()
	told := j.waiters > 0
	f.mu.Unlock()
	if !told {
		f.m.noteRefusal(p, cause)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookLocked()
	if f.copy.Generation() == j.gen {
		f.forgetChangesLocked()
	}
	for h := range f.writers {
		if h.gen > 0 {
			h.lost = cause // it must not write on over what the server has
		}
	}
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
