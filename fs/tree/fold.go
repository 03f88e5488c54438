package tree

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"ftpfs/conn"
)

// folding is whether the server finds names in any case, as those on Windows do.
type folding uint8

const (
	foldingUnknown folding = iota
	folds
	foldsNot
)

// Spelled returns p with its last name as the server spells it, if there is
// something that it finds under p and lists in another case; else p.
//
// What a server does is found out by the first name that differs from a listed
// one in case only: one that tells of it, and still does not list it, has the
// other in mind.
func (t *Tree) Spelled(ctx context.Context, p string) string {
	dir, name := path.Dir(p), path.Base(p)
	if is := t.foldingNow(); is == foldsNot || p == t.Root() {
		return p
	}
	if _, shown := t.shownAt(p); shown {
		return p
	}
	d, ok := t.dirs.Peek(dir)
	if !ok {
		return p
	}
	other, ok := d.OtherCase(name)
	if !ok || t.foldingNow() == foldingUnknown && t.findFolding(ctx, p) != folds {
		return p
	}
	return path.Join(dir, other)
}

func (t *Tree) foldingNow() folding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.folding
}

// findFolding asks for p, which is not in the listing of its directory, while a
// name is that differs in case only.
func (t *Tree) findFolding(ctx context.Context, p string) folding {
	is := folds
	err := t.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		_, err := s.Stat(ctx, p)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		is = foldsNot
	case err != nil:
		return foldingUnknown
	default: // or it was made since
		d, err := t.afresh(ctx, path.Dir(p))
		if err != nil || !d.Complete() {
			return foldingUnknown
		}
		if _, there := d.Lookup(path.Base(p)); there {
			is = foldsNot
		} else if _, ok := d.OtherCase(path.Base(p)); !ok {
			return foldingUnknown // both are gone, or it was never listed
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.folding == foldingUnknown {
		t.folding = is
		t.log.Info("whether the server tells names of different case apart is known", "path", p, "apart", is == foldsNot)
	}
	return t.folding
}

// respelled looks whether a rename that changes only the case of a name has
// changed it: ProFTPD's mod_case takes the new name for the old one, which is
// there, and says that it has renamed it. ErrInvalidName.
func (t *Tree) respelled(ctx context.Context, from, to string) error {
	if t.foldingNow() != folds || from == to || !strings.EqualFold(from, to) {
		return nil
	}
	d, err := t.afresh(ctx, path.Dir(to))
	if err != nil {
		return nil // the server has said that it is done
	}
	_, still := d.Lookup(path.Base(from))
	if _, done := d.Lookup(path.Base(to)); still && !done {
		return &conn.Error{Op: "RNTO", Path: to, Outcome: conn.Refused, Err: conn.ErrInvalidName}
	}
	return nil
}
