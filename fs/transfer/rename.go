package transfer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// move is a rename under way, or with from and to the same a removal. Files at
// and below from and to are not opened meanwhile: their paths are about to
// change.
type move struct {
	from, to string
	asked    bool          // the server may have carried it out; guarded by Manager.mu
	moved    bool          // valid once done is closed
	done     chan struct{} // closed at its end
}

// concerns tells whether p is at or below one of the two paths.
func (v *move) concerns(p string) bool { return tree.IsBelow(p, v.from) || tree.IsBelow(p, v.to) }

// Rename moves the file or directory at from to to; see tree.Rename. A file
// that was never uploaded only gets another name here, and is uploaded to it.
// Either may be nil: begun is called when nothing is waited for any more, before the server is
// asked for anything; moved when that is done, before anybody opens what is at to.
func (m *Manager) Rename(ctx context.Context, from, to string, noReplace bool, begun, moved func()) error {
	v, held, err := m.beginMove(ctx, from, to)
	defer func() {
		for _, f := range held {
			f.give()
		}
	}()
	if err != nil {
		return err
	}
	defer m.endMove(v)
	if begun != nil {
		begun()
	}
	target, aside := m.file(to), false
	if target != nil && !noReplace {
		open, done := target.keepOpen()
		defer done()
		if aside, err = target.keepContent(ctx, to, open); err != nil {
			return err
		}
	}
	m.sweepTemps(ctx, to) // an empty directory is replaced in spite of them
	m.mu.Lock()
	v.asked = true
	m.mu.Unlock()
	if err := m.renameName(ctx, from, to, noReplace); err != nil {
		if aside {
			target.moveBack(ctx, to, conn.OutcomeOf(err))
		}
		return err
	}
	switch {
	case aside:
		target.leaveAside()
	case target != nil:
		m.orphan(target, to)
	}
	m.repath(from, to)
	v.moved = true
	if moved != nil {
		moved()
	}
	return nil
}

// beginMove waits for the turns of all files that a rename concerns, and for
// other renames of them, and keeps new ones from being opened.
func (m *Manager) beginMove(ctx context.Context, from, to string) (v *move, held []*File, err error) {
	for {
		m.mu.Lock()
		files := append(m.belowLocked(from), m.belowLocked(to)...)
		next := slices.IndexFunc(files, func(f *File) bool { return !slices.Contains(held, f) })
		other := m.moveLocked(func(v *move) bool { return v.crosses(from) || v.crosses(to) })
		if next < 0 && other == nil {
			v = m.moveNowLocked(from, to)
			m.mu.Unlock()
			return v, held, nil
		}
		m.mu.Unlock()
		if other != nil {
			err = other.await(ctx)
		} else if err = files[next].takeUploaded(ctx); err == nil {
			held = append(held, files[next])
		}
		if err != nil {
			return nil, held, err
		}
	}
}

// moveNowLocked begins a rename, or with from and to the same a removal.
func (m *Manager) moveNowLocked(from, to string) *move {
	v := &move{from: from, to: to, done: make(chan struct{})}
	m.moves[v] = struct{}{}
	return v
}

// takeUploaded waits for f's turn, and before that for the upload of a version
// that is to replace what the server has under f's old name.
func (f *File) takeUploaded(ctx context.Context) error {
	f.mu.Lock()
	j := f.job
	if j == nil && f.onServer && f.failed == 0 && f.pendingLocked() {
		j = f.startLocked()
	}
	f.mu.Unlock()
	if j != nil {
		if err := await(ctx, j.done); err != nil {
			return err
		}
	}
	return f.take(ctx)
}

func (m *Manager) endMove(v *move) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.moves, v)
	for o := range m.opens {
		o.stale = o.stale || v.concerns(o.path)
	}
	close(v.done)
}

// crosses tells whether p is one of the paths of v, or above or below one.
func (v *move) crosses(p string) bool {
	return v.concerns(p) || tree.IsBelow(v.from, p) || tree.IsBelow(v.to, p)
}

// moveLocked returns a rename for which is says yes, if there is one.
func (m *Manager) moveLocked(is func(*move) bool) *move {
	for v := range m.moves {
		if is(v) {
			return v
		}
	}
	return nil
}

// afterMoves waits until no rename concerns p, and returns where p is then.
func (m *Manager) afterMoves(ctx context.Context, p string) (string, error) {
	for {
		m.mu.Lock()
		v := m.moveLocked(func(v *move) bool { return v.concerns(p) })
		m.mu.Unlock()
		if v == nil {
			return p, nil
		}
		if err := v.await(ctx); err != nil {
			return p, err
		}
		if v.moved && tree.IsBelow(p, v.from) {
			p = v.to + strings.TrimPrefix(p, v.from)
		}
	}
}

// wasMoved tells whether f is not at p any more, after the rename that the
// server may be carrying out. One that has not come so far may wait for f's
// content itself.
func (f *File) wasMoved(ctx context.Context, p string) bool {
	f.m.mu.Lock()
	v := f.m.moveLocked(func(v *move) bool { return v.asked && tree.IsBelow(p, v.from) })
	f.m.mu.Unlock()
	if v != nil && v.await(ctx) != nil {
		return false
	}
	return f.currentPath() != p
}

// await waits for the end of v.
func (v *move) await(ctx context.Context) error {
	select {
	case <-v.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// renameName renames on the server, or only here if it never was there.
func (m *Manager) renameName(ctx context.Context, from, to string, noReplace bool) error {
	f := m.file(from)
	if f == nil {
		return m.tree.Rename(ctx, from, to, noReplace)
	}
	f.mu.Lock()
	here, known := f.onlyHereLocked(), f.onServer
	f.mu.Unlock()
	if !here {
		err := m.tree.Rename(ctx, from, to, noReplace)
		if known || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// an upload in place that was cut had not even created it
	}
	target := m.file(to)
	there, replaces, err := m.tree.RenameShown(ctx, from, to, noReplace)
	if err != nil {
		return err
	}
	if target != nil { // what it shows may be on its way only
		target.mu.Lock()
		there, replaces = target.entry, target.onServer
		target.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onServer = replaces
	if replaces { // the upload will replace it
		there.Mode, there.HasMode = f.entry.Mode, f.entry.HasMode
		f.entry = there
	}
	return nil
}

// repath gives the files at and below from their new paths. Nothing of them
// gets into the journal under those before it knows of the rename: that would end it as what is replaced.
func (m *Manager) repath(from, to string) {
	stores := map[*cache.Store]struct{}{m.store: {}}
	m.mu.Lock()
	m.repathTempsLocked(from, to)
	m.repathOwedLocked(from, to)
	for _, s := range m.adopted {
		stores[s] = struct{}{}
	}
	files := m.belowLocked(from)
	were := make([]string, len(files))
	for i, f := range files {
		f.mu.Lock()
		were[i] = f.path
		stores[f.store] = struct{}{}
		delete(m.files, f.path)
		f.path = to + strings.TrimPrefix(f.path, from)
		f.entry.Name = path.Base(f.path)
		m.files[f.path] = f
	}
	m.mu.Unlock()
	for i, f := range files {
		m.tree.MoveShown(were[i], f.path) // it can have been written since the tree knows of the rename
		f.rebaseLocked()                  // first: what was tried for a version that is replaced is not settled by it
	}
	for s := range stores {
		if err := s.Rename(from, to); err != nil {
			m.log.Warn("the journal cannot be written", "path", to, "error", err)
		}
	}
	for _, f := range files {
		f.mu.Unlock()
	}
	for _, f := range files {
		f.mu.Lock()
		f.travelLocked()
		f.mu.Unlock()
	}
}

// rebaseLocked makes a version that waits for its upload one that is to replace
// what is at its path after a rename.
func (f *File) rebaseLocked() {
	if f.sealed == nil || !f.sealed.Pending() {
		return
	}
	base := conn.Version{State: conn.Absent}
	if f.onServer {
		base = f.entry.Version()
	}
	if f.sealed.Attrs().Base.Same(base) {
		return
	}
	if err := f.sealed.SetBase(base); err != nil {
		f.m.log.Warn("the journal cannot be written", "path", f.path, "error", err)
	}
}
