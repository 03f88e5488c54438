package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// sendOnceOrTwice sends s to p, again if a connection was lost on the way.
// conn.ErrConflict says that the server has a version that is neither the one
// that s was made from nor one of ours, whose confirmation can have been lost.
func (f *File) sendOnceOrTwice(ctx context.Context, p string, s *cache.Sealed) (e conn.Entry, err error) {
	if err := f.lookAtAdopted(ctx, p, s); err != nil {
		return e, err
	}
	a := s.Attrs()
	for again := false; ; {
		c := conn.Commit{Size: s.Size(), Time: a.Time, Mode: a.Mode, SetMode: a.SetMode}
		if f.isTail(ctx, s) {
			e, err = f.sendTail(ctx, p, s)
		} else if c.Base, err = f.expected(ctx, p, s); err == nil {
			e, err = f.send(ctx, p, s, c)
		}
		if errors.Is(err, conn.ErrConflict) {
			found, whose, lookErr := f.whose(ctx, p, s)
			switch {
			case lookErr != nil:
				return e, lookErr
			case whose == itself:
				return found, nil
			case whose == superseded:
				if err := f.settle(s, found); err != nil {
					return e, err
				}
				continue
			}
		}
		unknown := err != nil && !errors.Is(err, cache.ErrNotPending) && conn.OutcomeOf(err) == conn.Unknown
		if reached := unknown && !isOfTemp(err); reached || err == nil { // one that did not come about says nothing about those before it
			f.mu.Lock()
			f.uncertain = reached
			f.mu.Unlock()
		}
		if again || !unknown || errors.Is(err, conn.ErrTimeout) || ctx.Err() != nil {
			return e, err
		}
		again = true
	}
}

// lookAtAdopted finds out, before the first upload of a version that another
// mount has left, what it would replace: its owner, mode and links.
func (f *File) lookAtAdopted(ctx context.Context, p string, s *cache.Sealed) error {
	f.mu.Lock()
	adopted := f.adopted
	f.mu.Unlock()
	if !adopted {
		return nil
	}
	name := path.Base(p)
	found, err := f.m.tree.Raw(ctx, path.Dir(p), name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adopted = false
	e, ok := found[name]
	if ok {
		f.entry = e
	}
	f.onServer = ok
	return nil
}

// stat asks the server for p.
func (f *File) stat(ctx context.Context, p string) (e conn.Entry, err error) {
	err = f.m.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, sess conn.Session) error {
		e, err = sess.Stat(ctx, p)
		return err
	})
	return e, err
}

// expected returns what the server must have at p for s to replace it: the
// version that s was made from. If an upload in place was begun, it may also
// be a part of s.
func (f *File) expected(ctx context.Context, p string, s *cache.Sealed) (conn.Version, error) {
	base := s.Attrs().Base
	if !s.Attempted() {
		return base, nil
	}
	e, err := f.stat(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return conn.Version{}, nil
	}
	if err == nil && !e.Version().Same(base) && e.Size <= s.Size() {
		var part bool
		if part, err = f.isPart(ctx, p, s, 0, e.Size); part {
			return e.Version(), nil
		}
	}
	return base, err
}

// isPart tells whether what the server has at p is size bytes long, and those
// from the offset from on are the same as in s.
func (f *File) isPart(ctx context.Context, p string, s *cache.Sealed, from, size int64) (bool, error) {
	ours, err := s.Reader()
	if err != nil {
		return false, err
	}
	defer ours.Close()
	d, lease, err := f.m.pool.Open(ctx, conn.Transfer, p, from, conn.Version{}, nil)
	if err != nil {
		return false, err
	}
	defer lease.Release()
	defer d.Close()
	theirs, want := make([]byte, smallBlockSize), make([]byte, smallBlockSize)
	for n := from; ; {
		k, err := d.Read(theirs)
		if _, localErr := io.ReadFull(io.NewSectionReader(ours, n, int64(k)), want[:k]); localErr != nil && k > 0 || !bytes.Equal(theirs[:k], want[:k]) {
			return false, nil
		}
		n += int64(k)
		if err != nil {
			return errors.Is(err, io.EOF) && n == size, ignoreEOF(err)
		}
	}
}

// author says whose version the server has where another one was expected.
type author uint8

const (
	others     author = iota
	itself            // an upload of the version whose confirmation was lost
	superseded        // one of a version of ours that came before it
)

// whose looks at what the server has at p instead of what s was made from. Its
// size and the time that we gave it tell, or where the server sets no times its
// content: who else has written the same has written nothing else.
func (f *File) whose(ctx context.Context, p string, s *cache.Sealed) (conn.Entry, author, error) {
	e, err := f.stat(ctx, p)
	switch {
	case conn.OutcomeOf(err) == conn.Refused:
		return e, others, nil
	case err != nil:
		return e, others, err
	}
	is := func(size int64, at time.Time) bool { return e.Size == size && e.Time.Equal(at.Truncate(time.Second)) }
	ours := is(s.Size(), s.Attrs().Time)
	before := slices.ContainsFunc(f.m.earlier(p, s), func(v conn.Version) bool { return is(v.Size, v.Time) })
	switch {
	case ours && before: // of the same second
		same, err := f.isPart(ctx, p, s, 0, e.Size)
		if same || err != nil {
			return e, itself, err
		}
		return e, superseded, nil
	case ours:
		return e, itself, nil
	case before:
		return e, superseded, nil
	}
	if e.Size == s.Size() {
		if same, err := f.isPart(ctx, p, s, 0, e.Size); same || err != nil {
			return e, itself, err
		}
	}
	return e, others, nil
}

// setBaseLocked makes v what s, or the version that has superseded it, is to replace.
func (f *File) setBaseLocked(s *cache.Sealed, v conn.Version) error {
	err := s.SetBase(v)
	if errors.Is(err, cache.ErrNotPending) && f.sealed != nil && f.sealed != s {
		return errors.Join(err, f.sealed.SetBase(v))
	}
	return err
}

// settle makes e, which an earlier upload of ours has left, the version that s
// is to replace.
func (f *File) settle(s *cache.Sealed, e conn.Entry) error {
	f.m.log.Info("an upload whose confirmation was lost has come about", "path", f.currentPath())
	f.mu.Lock()
	f.onServer = true
	f.entry.Size, f.entry.Time, f.entry.Precision = e.Size, e.Time, e.Precision
	f.mu.Unlock()
	return s.SetBase(e.Version())
}

// send brings the sealed version to p: to a temporary name first, which is
// then renamed over p, where that loses nothing of what is at p; else in place.
func (f *File) send(ctx context.Context, p string, s *cache.Sealed, c conn.Commit) (conn.Entry, error) {
	l := f.takeLive(path.Dir(p))
	defer l.giveUp() // if it is not what is sent
	atomic, err := f.mayReplace(ctx, p, s, c)
	if err != nil {
		return conn.Entry{}, err
	}
	if atomic {
		e, err := f.sendAtomic(ctx, p, s, c, l)
		if !errors.Is(err, errNotAtomic) {
			return e, err
		}
	}
	if c.Base.State == conn.Absent && !s.Attempted() && f.checkedJustNow() {
		c.Base = conn.Version{} // a round trip saved; O_EXCL trusts the same
	}
	return f.sendInPlace(ctx, p, s, c)
}

// checkedJustNow tells whether what the server has at f's path was asked so
// shortly before that it needs no check.
func (f *File) checkedJustNow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.checkedAt) < checkedFor
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
	if !allowed || f.m.o.Direct || c.Size == 0 { // of an empty file nobody can see a part
		return false, nil
	}
	may, known := replaceable(e, onServer, self)
	if known {
		return may, nil
	}
	self, err := f.learnSelf(ctx, path.Dir(p), s)
	return self == owner{e.Owner, e.Group}, err
}

// replaceable tells whether the file e, if there is one, may be replaced by a
// rename, where self, which may not be known, is whose files we make.
func replaceable(e conn.Entry, onServer bool, self owner) (may, known bool) {
	switch {
	case !onServer, e.Owner == "" && e.Kind == conn.KindFile:
		return true, true
	case e.Kind == conn.KindSymlink || e.Links > 1:
		return false, true
	}
	return self == owner{e.Owner, e.Group}, self != owner{}
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
	defer f.m.removeTemp(f.m.life, f.store, at)
	if _, err := f.store1(ctx, at, s, noBytes{}, conn.Commit{}); err != nil {
		f.dropTemp(at, err)
		return owner{}, f.onlyInPlace(dir, err)
	}
	found, err := f.m.tree.Raw(ctx, dir, temp)
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
// trips as the session can. What l, if there is one, has sent is not sent again.
func (f *File) sendAtomic(ctx context.Context, p string, s *cache.Sealed, c conn.Commit, l *live) (conn.Entry, error) {
	c.RenameTo = p
	f.mu.Lock()
	if f.onServer && f.entry.HasMode && !c.SetMode {
		c.Mode, c.SetMode, c.KeepMode = f.entry.Mode, true, true
	}
	f.mu.Unlock()
	var temp string
	e, err := conn.Entry{}, errNotLive
	if l != nil {
		temp = l.temp
		e, err = l.finish(ctx, s, c)
	}
	if errors.Is(err, errNotLive) {
		temp = path.Join(path.Dir(p), tree.Temporary(f.m.store.ID()))
		e, err = f.store1(ctx, temp, s, nil, c)
	}
	if err == nil {
		f.m.tempGone(f.store, temp)
		return e, nil
	}
	if errors.Is(err, cache.ErrNotPending) { // nothing was sent
		f.m.tempGone(f.store, temp)
		return e, err
	}
	f.dropTemp(temp, err)
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
	var e *conn.Error
	if errors.As(err, &e) && errors.Is(err, conn.ErrInvalidName) && !tree.IsTemporary(path.Base(e.Path)) {
		return err // it is the target's name that cannot be
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
// or if that is nil of what s holds. It is not repeated here once it was
// begun: no name is uploaded to twice without a look at what became of it.
func (f *File) store1(ctx context.Context, p string, s *cache.Sealed, src io.Reader, c conn.Commit) (e conn.Entry, err error) {
	temp := ""
	if tree.IsTemporary(path.Base(p)) {
		temp = path.Base(p)
	}
	err = f.m.pool.Run(ctx, conn.Transfer, conn.Once, func(ctx context.Context, sess conn.Session) error {
		f.mu.Lock() // see maySealLocked
		err := s.Attempt(temp)
		f.mu.Unlock()
		if err != nil {
			return err
		}
		from := src
		if from == nil {
			r, err := s.Reader()
			if err != nil {
				return err
			}
			defer r.Close()
			from = r
		}
		e, err = sess.Store(ctx, p, from, c)
		return err
	})
	return e, err
}
