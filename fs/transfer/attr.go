package transfer

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"ftpfs/conn"
)

// SetTime sets the modification time of the file at p, to the second: with
// the next upload if it has one to come, else at once. Errors as of tree.SetTime.
func (m *Manager) SetTime(ctx context.Context, p string, at time.Time) error {
	at = at.Truncate(time.Second)
	f := m.file(p)
	if f == nil {
		return m.tree.SetTime(ctx, p, at)
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	if f.later(func() { f.mtime = at }) {
		return nil
	}
	if err := m.tree.SetTime(ctx, p, at); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entry.Time, f.entry.Precision = at.UTC(), time.Second // else it would look like somebody else's change
	return nil
}

// Chmod sets the permission bits of p: with the next upload if the file is not
// on the server yet, else at once. Errors as of tree.Chmod.
func (m *Manager) Chmod(ctx context.Context, p string, mode fs.FileMode) error {
	f := m.file(p)
	if f == nil {
		return m.tree.Chmod(ctx, p, mode)
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	f.mu.Lock()
	onServer := f.onServer
	f.mu.Unlock()
	if !onServer && f.later(func() { f.mode, f.withMode = mode, true }) {
		return nil
	}
	if err := m.tree.Chmod(ctx, p, mode); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entry.Mode, f.entry.HasMode = mode, true
	return nil
}

// later runs set, which changes what the next upload does, if one is to come.
// A version that waits in the journal is to get it too, unless somebody is
// writing on.
func (f *File) later(set func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookLocked()
	if !f.dirty {
		return false
	}
	sealed := f.sealed != nil && f.sealedGen == f.copy.Generation() && f.sealed.Pending()
	set()
	if sealed {
		f.askLocked()
	}
	return true
}

// Attr is what a File knows of itself.
type Attr struct {
	Size     int64
	Time     time.Time
	Mode     fs.FileMode
	HasMode  bool
	Unlinked bool
}

// Look returns what look finds at p, with what was written here laid over it: ours tells
// that there is such, or that there was at each look, so that nobody should keep the answer. What
// the tree shows of a file that has changes is older than they are, and must not be
// taken for the file when an upload has ended since.
func (m *Manager) Look(p string, look func() (conn.Entry, error)) (e conn.Entry, ours bool, err error) {
	const tries = 3
	for range tries {
		seen := m.ended()
		if e, err = look(); err != nil {
			return e, false, err
		}
		if a, ok := m.Local(p); ok {
			e.Size, e.Time = a.Size, a.Time
			if a.HasMode {
				e.Mode, e.HasMode = a.Mode, true
			}
			return e, true, nil
		}
		if m.ended() == seen {
			return e, false, nil
		}
	}
	return e, true, nil
}

// MayWrite tells whether the server will let us change the content of the
// file e at p, as far as that is known: by the "perm" fact of MLSD (RFC 3659,
// 7.5.5), else by its mode and owner once we know whose files we make. A file
// that has not reached the server is ours.
func (m *Manager) MayWrite(p string, e conn.Entry) bool {
	if _, local := m.Local(p); local {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mayWriteLocked(e)
}

// mayWriteLocked is MayWrite of a file that the server has.
func (m *Manager) mayWriteLocked(e conn.Entry) bool {
	if e.Perm != "" {
		return strings.ContainsAny(e.Perm, "wa")
	}
	self := m.self
	const ownerMay, groupMay, othersMay = 0o200, 0o020, 0o002
	switch {
	case !e.HasMode || self == (owner{}) || e.Owner == "":
		return true
	case e.Owner == self.user:
		return e.Mode&ownerMay != 0
	case e.Group == self.group:
		return e.Mode&groupMay != 0
	}
	return e.Mode&(othersMay|groupMay) != 0 // we may be in that group
}
