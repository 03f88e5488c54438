package transfer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"ftpfs/cache"
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
	here := !f.onServer && (f.sealed == nil || !f.sealed.Attempted())
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
// name while it is open.
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
	return f.need(ctx, 0, size)
}

// Rename moves the file or directory at from to to; see tree.Rename. A file
// that was never uploaded only gets another name here, and is uploaded to it.
func (m *Manager) Rename(ctx context.Context, from, to string, noReplace bool) error {
	select {
	case m.moving <- struct{}{}:
		defer func() { <-m.moving }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	files := m.below(from)
	target := m.file(to)
	if target != nil {
		files = append(files, target)
	}
	for _, f := range files { // uploads below from end first
		if err := f.take(ctx); err != nil {
			return err
		}
		defer f.give()
	}
	if target != nil {
		if err := target.keepContent(ctx); err != nil {
			return err
		}
	}
	if err := m.renameName(ctx, from, to, noReplace); err != nil {
		return err
	}
	if target != nil {
		m.orphan(target, to)
	}
	m.repath(from, to)
	return nil
}

// renameName renames on the server, or only here if it never was there.
func (m *Manager) renameName(ctx context.Context, from, to string, noReplace bool) error {
	f := m.file(from)
	if f == nil {
		return m.tree.Rename(ctx, from, to, noReplace)
	}
	f.mu.Lock()
	here := !f.onServer && (f.sealed == nil || !f.sealed.Attempted())
	f.mu.Unlock()
	if !here {
		return m.tree.Rename(ctx, from, to, noReplace)
	}
	there, replaces, err := m.tree.RenameShown(ctx, from, to, noReplace)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.onServer = replaces
	if replaces { // the upload will replace it
		there.Mode, there.HasMode = f.entry.Mode, f.entry.HasMode
		f.entry = there
	}
	f.mu.Unlock()
	return nil
}

// repath gives the files at and below from their new paths.
func (m *Manager) repath(from, to string) {
	stores := map[*cache.Store]struct{}{m.store: {}}
	files := m.below(from)
	m.mu.Lock()
	for _, f := range files {
		f.mu.Lock()
		stores[f.store] = struct{}{}
		delete(m.files, f.path)
		f.path = to + strings.TrimPrefix(f.path, from)
		f.entry.Name = path.Base(f.path)
		m.files[f.path] = f
		f.mu.Unlock()
	}
	m.mu.Unlock()
	for s := range stores {
		if err := s.Rename(from, to); err != nil {
			m.log.Warn("the journal cannot be written", "path", to, "error", err)
		}
	}
}

// below returns the files at p and below it, in the order of their paths.
func (m *Manager) below(p string) []*File {
	m.mu.Lock()
	defer m.mu.Unlock()
	var paths []string
	for q := range m.files {
		if q == p || strings.HasPrefix(q, p+"/") {
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
