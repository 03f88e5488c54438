package tree

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// Mkdir creates a directory. fs.ErrExist, fs.ErrPermission.
func (t *Tree) Mkdir(ctx context.Context, p string) (conn.Entry, error) {
	if _, err := t.current(ctx, p); err == nil {
		return conn.Entry{}, &conn.Error{Op: "MKD", Path: p, Outcome: conn.Refused, Err: fs.ErrExist}
	}
	empty := false
	err := t.once(ctx, func(ctx context.Context, s conn.Session) error {
		err := s.Mkdir(ctx, p)
		empty = err == nil && s.RefusesMade()
		return err
	}, func() (bool, error) { return t.exists(ctx, p) }, p)
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			t.dirs.Forget(path.Dir(p)) // somebody else made it
		}
		return conn.Entry{}, err
	}
	e := conn.Entry{Name: path.Base(p), Kind: conn.KindDir, Size: -1, Time: time.Now().UTC(), Precision: time.Minute}
	t.SetWritable(path.Dir(p))
	t.SetWritable(p)
	t.Put(p, e)
	if empty {
		t.dirs.PutEmpty(p)
	}
	return e, nil
}

// Remove deletes the file or symlink at p. conn.ErrIsDir for a directory:
// some servers' DELE would remove it.
func (t *Tree) Remove(ctx context.Context, p string) error {
	e, err := t.current(ctx, p)
	if err != nil {
		return err
	}
	if e.Kind == conn.KindDir {
		return &conn.Error{Op: "DELE", Path: p, Outcome: conn.Refused, Err: conn.ErrIsDir}
	}
	return t.remove(ctx, p, e.Kind)
}

// Rmdir deletes the directory at p if it is empty: see trustsRMD.
// conn.ErrNotEmpty, conn.ErrNotDir.
func (t *Tree) Rmdir(ctx context.Context, p string) error {
	e, err := t.current(ctx, p)
	if err != nil {
		return err
	}
	if e.Kind != conn.KindDir {
		return &conn.Error{Op: "RMD", Path: p, Outcome: conn.Refused, Err: conn.ErrNotDir}
	}
	if len(t.shownIn(p)) == 0 && t.trustsRMD(ctx, path.Dir(p)) {
		if err := t.remove(ctx, p, conn.KindDir); !errors.Is(err, conn.ErrNotEmpty) {
			return err
		}
	}
	d, err := t.afresh(ctx, p)
	if err != nil {
		return err
	}
	if entries := d.Entries(); entries.Len() > 0 || len(t.shownIn(p)) > 0 || !d.Complete() {
		if all, _ := t.overlaid(p, entries, nil); entries.Len() > 0 && all.Len() == 0 && t.firstWarning(p) {
			t.log.Warn("a directory cannot be removed for the temporary files of uploads in it", "directory", p, "first", entries.At(0).Name)
		}
		return &conn.Error{Op: "RMD", Path: p, Outcome: conn.Refused, Err: conn.ErrNotEmpty}
	}
	return t.remove(ctx, p, conn.KindDir)
}

// rmdTrials is how often it is tried out what RMD does. A trial that fails, for
// the directory may not be written to, says nothing.
const rmdTrials = 3

// trustsRMD tells whether the server's RMD is known to refuse directories that
// are not empty. Some remove whole trees: with them, and while it is not
// known, only a listing made just before shows that a directory is empty. It
// is tried out in dir, once for a mount.
func (t *Tree) trustsRMD(ctx context.Context, dir string) (trusted bool) {
	t.mu.Lock()
	trusted, again := t.rmdRefuses, t.rmdTrials < rmdTrials
	if !trusted && again {
		t.rmdTrials++
	}
	t.mu.Unlock()
	if trusted || !again {
		return trusted
	}
	err := t.pool.Run(ctx, conn.Metadata, conn.Once, func(ctx context.Context, s conn.Session) (err error) {
		trusted, err = s.RefusesFull(ctx, path.Join(dir, Temporary("probe")))
		return err
	})
	if err != nil {
		t.log.Info("what RMD does to a full directory could not be tried out", "directory", dir, "error", err)
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rmdRefuses = t.rmdRefuses || trusted
	return trusted
}

func (t *Tree) remove(ctx context.Context, p string, kind conn.Kind) error {
	err := t.once(ctx, func(ctx context.Context, s conn.Session) error { return s.Remove(ctx, p, kind) },
		func() (bool, error) { there, err := t.exists(ctx, p); return !there, err }, p)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Removed(p)
	}
	return err
}

// Removed notes that there is nothing at p any more.
func (t *Tree) Removed(p string) {
	t.countChange()
	t.Hide(p)
	t.dirs.Change(path.Dir(p), func(d *cache.Dir) { d.Delete(path.Base(p)) })
	t.touched(path.Dir(p))
	t.dirs.ForgetTree(p)
	t.mu.Lock()
	delete(t.writable, p)
	t.mu.Unlock()
}

// Rename moves the file or directory at from to to, replacing a file or an
// empty directory there unless noReplace. fs.ErrExist, conn.ErrNotEmpty,
// conn.ErrIsDir, conn.ErrNotDir. FTP has no atomic check: with noReplace
// another client can create to in between.
func (t *Tree) Rename(ctx context.Context, from, to string, noReplace bool) error {
	e, err := t.current(ctx, from)
	if err != nil {
		return err
	}
	if err := t.makeRoom(ctx, e, to, noReplace); err != nil {
		return err
	}
	return t.rename(ctx, e, from, to, func() (bool, error) { there, err := t.exists(ctx, from); return !there, err })
}

// Return is Rename of e from a temporary name, which the tree does not show,
// to to, if the server, whatever is shown, has nothing there: fs.ErrExist.
func (t *Tree) Return(ctx context.Context, temp, to string, e conn.Entry) error {
	isThere := func() (bool, error) { return t.exists(ctx, to) }
	if there, err := isThere(); err != nil {
		return err
	} else if there {
		return &conn.Error{Op: "RNTO", Path: to, Outcome: conn.Refused, Err: fs.ErrExist}
	}
	return t.rename(ctx, e, temp, to, isThere)
}

// rename renames e; done finds out whether that has come about, if the answer was lost.
func (t *Tree) rename(ctx context.Context, e conn.Entry, from, to string, done func() (bool, error)) error {
	err := t.once(ctx, func(ctx context.Context, s conn.Session) error { return s.Rename(ctx, from, to) }, done, from, to)
	if err == nil {
		err = t.respelled(ctx, from, to)
	}
	if err != nil {
		return err
	}
	t.Moved(from, to, e)
	return nil
}

// RenameShown is Rename of a file that is only shown: it is not on the server
// yet. If a file on the server is at to, it is returned: it will be replaced
// when the shown one is uploaded.
func (t *Tree) RenameShown(ctx context.Context, from, to string, noReplace bool) (there conn.Entry, replaces bool, err error) {
	e, err := t.current(ctx, from)
	if err != nil {
		return there, false, err
	}
	if err := t.makeRoom(ctx, e, to, noReplace); err != nil {
		return there, false, err
	}
	there, err = t.current(ctx, to)
	replaces = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return there, false, err
	}
	t.Hide(from)
	t.Show(to, e)
	return there, replaces, nil
}

// makeRoom checks what is at to before e is renamed to it, and removes an
// empty directory there: no server's RNTO replaces one.
func (t *Tree) makeRoom(ctx context.Context, e conn.Entry, to string, noReplace bool) error {
	refuse := func(err error) error { return &conn.Error{Op: "RNTO", Path: to, Outcome: conn.Refused, Err: err} }
	look := t.current
	if noReplace {
		look = t.Fresh
	}
	there, err := look(ctx, to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case noReplace:
		return refuse(fs.ErrExist)
	case there.Kind == conn.KindDir && e.Kind != conn.KindDir:
		return refuse(conn.ErrIsDir)
	case there.Kind != conn.KindDir && e.Kind == conn.KindDir:
		return refuse(conn.ErrNotDir)
	case there.Kind == conn.KindDir:
		return t.Rmdir(ctx, to)
	}
	return nil
}

// Moved notes that what was at from, described by e, is now at to.
func (t *Tree) Moved(from, to string, e conn.Entry) {
	shown, isShown := t.shownAt(from)
	t.dirs.Change(path.Dir(from), func(d *cache.Dir) { d.Delete(path.Base(from)) })
	t.touched(path.Dir(from))
	t.dirs.ForgetTree(to)
	t.dirs.Rename(from, to)
	t.Put(to, e)
	t.Hide(to)
	t.moveLocal(from, to)
	if isShown {
		t.Hide(from)
		t.Show(to, shown)
	}
}

// Chmod sets the permission bits of p. errors.ErrUnsupported where the server
// cannot, conn.ErrNotOwner, fs.ErrPermission.
func (t *Tree) Chmod(ctx context.Context, p string, mode fs.FileMode) error {
	err := t.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		return s.Chmod(ctx, p, mode)
	})
	if err == nil {
		t.edit(p, func(e *conn.Entry) { e.Mode, e.HasMode, e.Perm = mode, true, "" })
	}
	return err
}

// SetTime sets the modification time of p, to the second.
// errors.ErrUnsupported where the server cannot, conn.ErrNotOwner, fs.ErrPermission.
func (t *Tree) SetTime(ctx context.Context, p string, at time.Time) error {
	at = at.UTC().Truncate(time.Second)
	err := t.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		return s.SetTime(ctx, p, at)
	})
	if err == nil {
		t.edit(p, func(e *conn.Entry) { e.Time, e.Precision = at, time.Second })
	}
	return err
}

// edit changes the cached entry of p, if there is one.
func (t *Tree) edit(p string, fn func(*conn.Entry)) {
	t.dirs.Change(path.Dir(p), func(d *cache.Dir) {
		if e, ok := d.Lookup(path.Base(p)); ok {
			fn(&e)
			d.Set(e)
		}
	})
}

// touched notes that a name in dir has come, gone or been replaced, which sets
// the directory's own time on the server to about now.
func (t *Tree) touched(dir string) {
	t.edit(dir, func(e *conn.Entry) { e.Time, e.Precision = time.Now().UTC().Truncate(time.Second), time.Minute })
}

// once runs a verb that must not run twice. If its reply was lost, it looks:
// done tells whether the server shows that it was executed. While there is no
// telling, what is known of the paths is forgotten.
func (t *Tree) once(ctx context.Context, fn func(context.Context, conn.Session) error, done func() (bool, error), paths ...string) error {
	err := t.pool.Run(ctx, conn.Metadata, conn.Once, fn)
	if err == nil || conn.OutcomeOf(err) != conn.Unknown {
		return err
	}
	ok, lookErr := done()
	if lookErr == nil && ok {
		return nil
	}
	if lookErr != nil {
		for _, p := range paths {
			t.dirs.ForgetTree(p)
			t.dirs.Forget(path.Dir(p))
		}
	}
	return err
}

// exists asks the server, not the cache, whether there is something at p.
func (t *Tree) exists(ctx context.Context, p string) (bool, error) {
	d, err := t.afresh(ctx, path.Dir(p))
	if err != nil {
		return false, err
	}
	_, ok := d.Lookup(path.Base(p))
	return ok, nil
}

// afresh returns a listing of dir that is begun now.
func (t *Tree) afresh(ctx context.Context, dir string) (*cache.Dir, error) {
	t.dirs.Change(dir, func(*cache.Dir) {}) // one that is under way may be older than what we want to see
	return t.load(ctx, dir, 0)
}
