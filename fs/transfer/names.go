package transfer

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// Remove deletes the file at p. What was not uploaded yet never will be; who
// has the file open goes on with its content, which is fetched first where it
// is not here. removed, which may be nil, is called when that is done, before
// anybody opens what is at p then. fs.ErrNotExist, fs.ErrPermission, conn.ErrIsDir.
func (m *Manager) Remove(ctx context.Context, p string, removed func()) error {
	f, v, err := m.beginRemoval(ctx, p)
	if err != nil {
		return err
	}
	defer m.endMove(v)
	if f == nil {
		if err = m.tree.Remove(ctx, p); err == nil {
			m.unlinkKept(m.store, p)
		}
	} else {
		err = m.removeOpen(ctx, f, p)
	}
	if err == nil && removed != nil {
		removed()
	}
	return err
}

// removeOpen is Remove of f, whose turn it takes over.
func (m *Manager) removeOpen(ctx context.Context, f *File, p string) error {
	defer f.give()
	open, done := f.keepOpen()
	defer done()
	aside, err := f.keepContent(ctx, p, open)
	switch {
	case err == nil && aside:
		f.leaveAside()
	case err == nil:
		if err = m.removeName(ctx, f, p); err == nil {
			m.orphan(f, p)
		}
	}
	if err != nil {
		f.resumeUpload()
	}
	return err
}

// beginRemoval gives up the upload of the file at p, if there is one, and takes
// its turn; f is nil if there is no File. New ones are not opened until v ends.
func (m *Manager) beginRemoval(ctx context.Context, p string) (f *File, v *move, err error) {
	for {
		f := m.file(p)
		if f != nil {
			if err := f.takeStopped(ctx); err != nil {
				f.resumeUpload()
				return nil, nil, err
			}
		}
		m.mu.Lock()
		if m.files[p] == f {
			v = m.moveNowLocked(p, p)
			m.mu.Unlock()
			return f, v, nil
		}
		m.mu.Unlock()
		if f != nil { // it was renamed or removed meanwhile
			f.give()
			f.resumeUpload()
		}
	}
}

// Rmdir deletes the directory at p; see tree.Rmdir. What outages have left in it
// of our uploads keeps nobody from that.
func (m *Manager) Rmdir(ctx context.Context, p string) error {
	m.sweepTemps(ctx, p)
	return m.tree.Rmdir(ctx, p)
}

// removeName takes the name p of f away, on the server if it can be there.
func (m *Manager) removeName(ctx context.Context, f *File, p string) error {
	f.mu.Lock()
	here := f.onlyHereLocked()
	tried := !f.onServer && !here
	s := f.sealed
	f.mu.Unlock()
	if here {
		m.tree.Removed(p)
		return nil
	}
	if s != nil { // if we die before the journal has the end of it: that there is no file is our doing then
		if err := s.Attempt(""); err != nil && !errors.Is(err, cache.ErrNotPending) {
			return err
		}
	}
	err := m.tree.Remove(ctx, p)
	if tried && errors.Is(err, fs.ErrNotExist) {
		return nil // the upload that was stopped had not created it
	}
	return err
}

// onlyHereLocked tells whether there can be nothing of f on the server: a file
// at its path (onServer) is somebody else's if our version was made where there was none.
func (f *File) onlyHereLocked() bool {
	s := f.sealed
	if f.uncertain || s != nil && s.Attempted() {
		return false
	}
	return !f.onServer || s != nil && s.Pending() && s.Attrs().Base.State == conn.Absent
}

// orphan makes f a file without a name.
func (m *Manager) orphan(f *File, p string) {
	m.mu.Lock()
	f.mu.Lock()
	if f.sealed != nil {
		m.gaveUpLocked(p, f.sealed)
	}
	f.unlinked, f.sealed = true, nil
	f.disorderLocked()
	f.stopRetryLocked()
	if m.files[p] == f {
		delete(m.files, p)
	}
	f.mu.Unlock()
	m.mu.Unlock()
	m.unlinkKept(f.store, p)
	if f.store != m.store {
		m.unlinkKept(m.store, p)
	}
	m.announce()
	m.drop(f)
}

// gaveUpLocked remembers s, which was to reach p: a command of its upload that was on its way can
// still be carried out after the removal.
func (m *Manager) gaveUpLocked(p string, s *cache.Sealed) {
	const most = 64
	if len(m.removed) >= most {
		clear(m.removed) // it is only about a moment
	}
	m.removed[p] = conn.Version{State: conn.Present, Size: s.Size(), Time: s.Attrs().Time}
}

// earlier returns what the server can have at p of versions of ours that came before s.
func (m *Manager) earlier(p string, s *cache.Sealed) []conn.Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := s.Earlier()
	if v, ok := m.removed[p]; ok {
		all = append(all, v)
	}
	return all
}

func (m *Manager) unlinkKept(s *cache.Store, p string) {
	if err := s.Unlink(p); err != nil {
		m.log.Warn("the journal cannot be written", "path", p, "error", err)
	}
}

// takeStopped gives up the upload under way, if there is one, and those that
// begin until it has f's turn: who removes what is here does not mean what an upload finds on the server.
func (f *File) takeStopped(ctx context.Context) error {
	f.mu.Lock()
	f.removals++
	if f.job != nil {
		f.job.cancel()
	}
	f.stopRetryLocked()
	f.mu.Unlock()
	err := f.take(ctx)
	f.mu.Lock()
	f.removals--
	f.mu.Unlock()
	return err
}

// resumeUpload starts the upload again that takeStopped gave up.
func (f *File) resumeUpload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pendingLocked() {
		f.queueLocked()
	}
}

// keepAtMost is how many bytes of an open file are fetched before it loses its
// name.
const keepAtMost = 4 << 20

// keepOpen keeps f as if it were open until done is called, and tells whether it
// is: else what is fetched of it after the last close would be nobody's.
func (f *File) keepOpen() (open bool, done func()) {
	f.m.mu.Lock()
	open = f.handles > 0
	f.handles++
	f.m.mu.Unlock()
	return open, func() {
		f.m.mu.Lock()
		f.handles--
		f.m.mu.Unlock()
		f.m.drop(f)
	}
}

// keepContent sees to it that who has f open, if anybody has, can go on reading when p, its
// name, is gone: a little that is missing is fetched; else the file is kept on
// the server under a temporary name until the last of them closes it, and aside
// is true: p is free then. If the server has another version by now, or none,
// there is nothing to keep: who reads on is told so.
func (f *File) keepContent(ctx context.Context, p string, open bool) (aside bool, err error) {
	f.mu.Lock()
	size, missing := f.attrLocked().Size, f.missingLocked()
	f.mu.Unlock()
	switch {
	case !open || missing == 0:
		return false, nil
	case missing > keepAtMost:
		return true, f.moveAside(ctx, p)
	}
	err = f.needAll(ctx, 0, size, conn.Transfer)
	if errors.Is(err, conn.ErrConflict) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, err
}

// missingLocked counts the bytes of f that are only on the server.
func (f *File) missingLocked() (n int64) {
	if f.copy == nil {
		return max(0, f.entry.Size)
	}
	size := f.copy.Size()
	for off := int64(0); ; {
		gap, ok := f.copy.Missing(off, size-off)
		if !ok {
			return n
		}
		n += gap.Len
		off = gap.Off + gap.Len
	}
}

// belowLocked returns the files at p and below it, in the order of their
// paths.
func (m *Manager) belowLocked(p string) []*File {
	var paths []string
	for q := range m.files {
		if tree.IsBelow(q, p) {
			paths = append(paths, q)
		}
	}
	slices.Sort(paths)
	files := make([]*File, len(paths))
	for i, q := range paths {
		files[i] = m.files[q]
	}
	return files
}
