package transfer

import (
	"context"
	"errors"
	"path"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// ErrNoCopy says that the server has to be left out of a copy: whoever asked
// for it copies the bytes. With errors.ErrUnsupported it never copies.
var ErrNoCopy = errors.New("not to be copied by the server")

// CopyFrom makes the file of h what the server has of that of src, all size
// bytes of it, without moving one: the server copies it to a temporary
// name, which is renamed. It does so only for a file that was created or emptied
// and not written to, from one that nobody writes, that both only these handles
// concern; else ErrNoCopy. h must be the only handle of its file.
func (h *Handle) CopyFrom(ctx context.Context, src *Handle, size int64) error {
	f, m := h.f, h.f.m
	if m.noCopy.Load() {
		return errors.Join(ErrNoCopy, errors.ErrUnsupported)
	}
	if src.f == f {
		return ErrNoCopy
	}
	from, base, ok := src.settled()
	if !ok || base.Size != size || size == 0 {
		return ErrNoCopy
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	p, c, ok := h.blank()
	if !ok {
		return ErrNoCopy
	}
	c.Size = size
	temp := path.Join(path.Dir(p), tree.Temporary(m.store.ID()))
	if err := f.store.Temp(temp); err != nil {
		return err
	}
	var e conn.Entry
	err := m.pool.Run(ctx, conn.Transfer, conn.Once, func(ctx context.Context, s conn.Session) (err error) {
		c.RenameTo = p
		e, err = s.Copy(ctx, from, base, temp, c)
		return err
	})
	if err == nil {
		m.tempGone(f.store, temp)
		return h.copied(p, e)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		m.noCopy.Store(true)
		m.tempGone(f.store, temp)
		return errors.Join(ErrNoCopy, err)
	}
	f.dropTemp(temp, err)
	if conn.OutcomeOf(err) == conn.Unknown {
		f.mu.Lock()
		f.uncertain = true // it may have been renamed
		f.mu.Unlock()
	}
	if conn.OutcomeOf(err) == conn.Refused && !errors.Is(err, conn.ErrNoSpace) && !errors.Is(err, conn.ErrQuota) {
		m.log.Info("the server does not copy a file; its bytes are sent", "path", p, "error", err)
		return ErrNoCopy
	}
	return err
}

// settled returns path and version of what the server has of the file of h, if
// that is what h reads and nobody can be changing it.
func (h *Handle) settled() (p string, v conn.Version, ok bool) {
	f := h.f
	f.mu.Lock()
	defer f.mu.Unlock()
	ok = f.onServer && !f.dirty && !f.unlinked && !f.local && !f.unsure && len(f.writers) == 0 &&
		(h.copy == nil || h.copy == f.copy) && !f.entry.Time.IsZero() && !f.exposedLocked()
	return f.path, f.entry.Version(), ok
}

// blank returns the path of the file of h, and how what replaces it is to be
// committed, if it holds nothing, here or on the server, and may be replaced.
func (h *Handle) blank() (p string, c conn.Commit, ok bool) {
	f := h.f
	allowed, self := f.m.replacing(path.Dir(f.currentPath()))
	f.mu.Lock()
	defer f.mu.Unlock()
	may, known := replaceable(f.entry, f.onServer, self)
	empty := f.dirty && f.emptied || !f.dirty && f.onServer && f.entry.Size == 0
	ok = h.write && h.lost == nil && allowed && !f.m.o.Direct && may && known && empty &&
		f.open == 1 && f.job == nil && f.sealed == nil && !f.unlinked && !f.local &&
		(f.copy == nil || f.copy.Size() == 0) && !f.exposedLocked()
	c = conn.Commit{Base: conn.Version{State: conn.Absent}, Mode: f.mode, SetMode: f.withMode}
	if f.onServer {
		c.Base = f.entry.Version()
		if f.entry.HasMode { // it had one, which a file that takes its place must have, too
			c.Mode, c.SetMode, c.KeepMode = f.entry.Mode, true, true
		}
	}
	return f.path, c, ok
}

// exposedLocked tells whether programs can write into the copy unseen.
func (f *File) exposedLocked() bool { return f.copy != nil && f.copy.Exposed() }

// copied notes that the server has e at p: nothing of it is here. What was
// written meanwhile counts; then the bytes have to come here, too.
func (h *Handle) copied(p string, e conn.Entry) error {
	f := h.f
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.uploads++
	f.mu.Lock()
	defer f.mu.Unlock()
	if !e.HasMode {
		e.Mode, e.HasMode = f.entry.Mode, f.entry.HasMode
	}
	e.Owner, e.Group, e.Links = f.entry.Owner, f.entry.Group, max(1, f.entry.Links)
	f.entry, f.onServer, f.checkedAt = e, true, time.Now()
	f.sentSeq, f.sentAt = f.m.uploads, time.Now()
	log := func(err error) {
		if err != nil && !errors.Is(err, cache.ErrNotPending) {
			f.m.log.Warn("the journal cannot be written", "path", p, "error", err)
		}
	}
	if f.dirty && !f.emptied || f.exposedLocked() {
		if f.sealed != nil {
			log(f.sealed.SetBase(e.Version()))
		}
		f.m.tree.Put(p, e)
		return ErrNoCopy
	}
	if f.sealed != nil { // the empty file, by a close of another descriptor meanwhile
		log(f.sealed.Done())
	}
	if f.copy != nil {
		log(f.store.Clean(f.copy))
	}
	f.discardLocked()
	h.copy, h.gen, h.sent = nil, 0, false
	f.dirty, f.emptied, f.withMode, f.sealed = false, false, false, nil
	f.m.tree.Stored(p, e)
	return nil
}
