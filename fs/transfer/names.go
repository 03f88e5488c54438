package transfer

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"ftpfs/cache"
	"ftpfs/conn"
)

// Remove deletes the file at p. What was not uploaded yet never will be; who
// has the file open goes on with its content, which is fetched first where it
// is not here. fs.ErrNotExist, fs.ErrPermission, conn.ErrIsDir.
func (m *Manager) Remove(ctx context.Context, p string) error {
	f := m.file(p)
	if f == nil {
		err := m.tree.Remove(ctx, p)
		if err == nil {
			m.unlinkKept(m.store, p)
		}
		return err
	}
	f.stopJob()
	if err := f.take(ctx); err != nil {
		f.resumeUpload()
		return err
	}
	defer f.give()
	err := f.keepContent(ctx)
	if err == nil {
		err = m.removeName(ctx, f, p)
	}
	if err != nil {
		f.resumeUpload()
		return err
	}
	m.orphan(f, p)
	return nil
}

// removeName takes the name p of f away, on the server if it can be there.
func (m *Manager) removeName(ctx context.Context, f *File, p string) error {
	f.mu.Lock()
	here := f.onlyHereLocked()
	tried := !f.onServer && !here
	f.mu.Unlock()
	if here {
		m.tree.Removed(p)
		return nil
	}
	err := m.tree.Remove(ctx, p)
	if tried && errors.Is(err, fs.ErrNotExist) {
		return nil // the upload that was stopped had not created it
	}
	return err
}

// onlyHereLocked tells whether there can be nothing of f on the server.
func (f *File) onlyHereLocked() bool {
	return !f.onServer && (f.sealed == nil || !f.sealed.Attempted())
}

// orphan makes f a file without a name.
func (m *Manager) orphan(f *File, p string) {
	m.mu.Lock()
	f.mu.Lock()
	f.unlinked, f.sealed = true, nil
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

func (m *Manager) unlinkKept(s *cache.Store, p string) {
	if err := s.Unlink(p); err != nil {
		m.log.Warn("the journal cannot be written", "path", p, "error", err)
	}
}

// stopJob gives up the upload under way, if there is one.
func (f *File) stopJob() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job != nil {
		f.job.cancel()
	}
	f.stopRetryLocked()
}

// resumeUpload starts the upload again that stopJob gave up.
func (f *File) resumeUpload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pendingLocked() && f.job == nil {
		f.retryLocked(0)
	}
}

// keepContent fetches what is missing of a file that is about to lose its
// name while it is open. If the server has another version by now, or none,
// there is nothing to keep: who reads on is told so.
func (f *File) keepContent(ctx context.Context) error {
	f.m.mu.Lock()
	open := f.handles > 0
	f.m.mu.Unlock()
	f.mu.Lock()
	size := f.attrLocked().Size
	f.mu.Unlock()
	if !open || size <= 0 {
		return nil
	}
	err := f.need(ctx, 0, size)
	if errors.Is(err, conn.ErrConflict) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// belowLocked returns the files at p and below it, in the order of their
// paths.
func (m *Manager) belowLocked(p string) []*File {
	var paths []string
	for q := range m.files {
		if isBelow(q, p) {
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
