package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// expected returns what the server must have at p for s to replace it: the
// version that s was made from, or if sending s was begun before, whatever
// that can have left.
func (f *File) expected(ctx context.Context, p string, s *cache.Sealed) (conn.Version, error) {
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

// send brings the sealed version to p: to a temporary name first, which is
// then renamed over p, where that loses nothing of what is at p; else in place.
func (f *File) send(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) (conn.Entry, error) {
	atomic, err := f.mayReplace(ctx, p, s, c)
	if err != nil {
		return conn.Entry{}, err
	}
	if atomic {
		e, err := f.sendAtomic(ctx, p, s, c)
		if !errors.Is(err, errNotAtomic) {
			return e, err
		}
	}
	return f.sendInPlace(ctx, p, s, c)
}

// errNotAtomic says that a file has to be uploaded in place.
var errNotAtomic = errors.New("the server does not let an upload be renamed")

// mayReplace tells whether p may be replaced by a rename. That replaces the
// whole file: its owner, its other names and what a link to it points to. So
// it is done only to new names and over files that are ours alone.
func (f *File) mayReplace(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) (bool, error) {
	f.mu.Lock()
	e, onServer := f.entry, f.onServer
	f.mu.Unlock()
	allowed, self := f.m.replacing(path.Dir(p))
	switch {
	case !allowed, c.Size == 0: // of an empty file nobody can see a part
		return false, nil
	case !onServer, e.Owner == "" && e.Kind == conn.KindFile:
		return true, nil
	case e.Kind == conn.KindSymlink || e.Links > 1:
		return false, nil
	case self != (owner{}):
		return self == owner{e.Owner, e.Group}, nil
	}
	self, err := f.learnSelf(ctx, path.Dir(p), s)
	return self == owner{e.Owner, e.Group}, err
}

// owner is the user and the group that a listing shows for a file.
type owner struct{ user, group string }

// replacing tells whether uploads to dir may be renamed, and whose files we
// make, if that is known.
func (m *Manager) replacing(dir string) (allowed bool, self owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, forbidden := m.inPlace[dir]
	return !forbidden, m.self
}

// learnSelf finds out, once for a mount, whose files we make: with an empty
// temporary one.
func (f *File) learnSelf(ctx context.Context, dir string, s *cache.Sealed) (owner, error) {
	temp := tree.Temporary(f.m.store.ID())
	at := path.Join(dir, temp)
	if _, err := f.store1(ctx, at, s, noBytes{}, conn.Commit{}); err != nil {
		return owner{}, f.onlyInPlace(dir, err)
	}
	found, err := f.m.tree.Raw(ctx, dir, temp)
	f.removeTemp(f.m.life, at)
	e, ok := found[temp]
	if err != nil || !ok || e.Owner == "" {
		return owner{}, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.self = owner{e.Owner, e.Group}
	return f.m.self, nil
}

// sendAtomic uploads to a temporary name and renames it, in as few round
// trips as the session can.
func (f *File) sendAtomic(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) (conn.Entry, error) {
	temp := path.Join(path.Dir(p), tree.Temporary(f.m.store.ID()))
	c.RenameTo = p
	f.mu.Lock()
	if f.onServer && f.entry.HasMode && !c.SetMode {
		c.Mode, c.SetMode, c.KeepMode = f.entry.Mode, true, true
	}
	f.mu.Unlock()
	e, err := f.store1(ctx, temp, s, nil, c)
	if err == nil {
		f.tempGone(temp)
		return e, nil
	}
	f.removeTemp(f.m.life, temp) // also when the upload was given up
	if notHere := f.onlyInPlace(path.Dir(p), err); notHere == nil {
		return e, errNotAtomic
	}
	return e, err
}

// onlyInPlace returns nil if err is the server's refusal to have a temporary
// file made or renamed in dir: then uploads there go in place from now on.
func (f *File) onlyInPlace(dir string, err error) error {
	never := []error{conn.ErrNoSpace, conn.ErrQuota, conn.ErrConflict, conn.ErrBusy}
	for _, e := range never {
		if errors.Is(err, e) {
			return err
		}
	}
	if conn.OutcomeOf(err) != conn.Refused {
		return err
	}
	f.m.log.Info("uploads go in place, for the server refuses it otherwise", "directory", dir, "error", err)
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.inPlace[dir] = struct{}{}
	return nil
}

// sendInPlace uploads over what is at p.
func (f *File) sendInPlace(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) (conn.Entry, error) {
	f.mu.Lock()
	replaces := f.onServer && f.entry.Size > 0
	f.mu.Unlock()
	if replaces {
		// A cut STOR leaves neither version on the server: ours must survive a power cut then.
		if err := s.Sync(); err != nil {
			return conn.Entry{}, err
		}
	}
	return f.store1(ctx, p, s, nil, c)
}

// store1 runs one Store at p for s, with its intent in the journal: of src,
// or if that is nil of what s holds.
func (f *File) store1(ctx context.Context, p string, s *cache.Sealed, src io.Reader, c conn.Commit) (e conn.Entry, err error) {
	temp := ""
	if c.RenameTo != "" || src != nil {
		temp = path.Base(p)
	}
	err = f.m.pool.Run(ctx, conn.Transfer, conn.Repeatable, func(ctx context.Context, sess conn.Session) error {
		if err := s.Attempt(temp); err != nil {
			return err
		}
		if src != nil {
			e, err = sess.Store(ctx, p, src, c)
			return err
		}
		r, err := s.Reader()
		if err != nil {
			return err
		}
		defer r.Close()
		b := &begun{Reader: r}
		e, err = sess.Store(ctx, p, b, c)
		if b.read {
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

// removeTemp removes a temporary file that is not needed any more. If that
// fails, the journal keeps its name for the next mount.
func (f *File) removeTemp(ctx context.Context, temp string) {
	if f.m.removeTemp(ctx, temp) {
		f.tempGone(temp)
	}
}

func (m *Manager) removeTemp(ctx context.Context, temp string) bool {
	err := m.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, sess conn.Session) error {
		return sess.Remove(ctx, temp, conn.KindFile)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Info("a temporary file of an upload stays until the next mount", "path", temp, "error", err)
		return false
	}
	return true
}

func (f *File) tempGone(temp string) {
	if err := f.store.TempGone(temp); err != nil {
		f.m.log.Warn("the journal cannot be written", "error", err)
	}
}
