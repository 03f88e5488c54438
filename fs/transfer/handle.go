package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// resendAfter: a handle that several processes write in turn is uploaded at
// most once in so long while it is open.
const resendAfter = time.Second

// A file that was only created is uploaded createdPause after its last close,
// or as long as somebody has it open to write again, createdAtMost after it:
// programs close the temporary file that they have made, and open it to write it.
const (
	createdPause  = 100 * time.Millisecond
	createdAtMost = 5 * time.Second
)

// Handle is one open of a File.
type Handle struct {
	f       *File
	write   bool        // opened for writing, or with O_TRUNC
	gen     uint64      // of the copy, after the last change through this handle; guarded by f.mu
	sent    bool        // a Flush of it has uploaded; guarded by f.mu
	copy    *cache.Copy // that it has read or written; guarded by f.mu
	leaving bool        // a descriptor was closed, and nothing was read since; guarded by f.mu
	held    *cache.Copy // that a map of it shows; nil: none; guarded by f.mu
	bound   *cache.Copy // that the kernel writes for it by itself; nil: none; guarded by f.mu
	exposed bool        // programs can write into the copy unseen, through maps; guarded by f.mu
	stray   uint64      // generation of bound when its version was given up; guarded by f.mu
	lingers int         // times that Release found somebody who can still write for it; guarded by f.mu
	seen    time.Time   // the local modification time of the copy, as far as what was written is known; guarded by f.mu
	lost    error       // what was written through it is in the recovery folder, for this reason; guarded by f.mu
}

// Again opens the file of h once more, whatever its name is by now, and if it
// has none. Nil if nobody has it open any more. fs.ErrPermission.
func (h *Handle) Again(how How) (*Handle, error) {
	f := h.f
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	write := how.Write || how.Truncate
	switch {
	case f.handles == 0:
		return nil, nil
	case write && !f.unlinked && !f.dirty && !f.m.mayWriteLocked(f.entry):
		return nil, &conn.Error{Op: "open", Path: f.path, Outcome: conn.Refused, Err: fs.ErrPermission}
	}
	return f.handleLocked(write), nil
}

// orReleased returns h, or if there is an err that, and h is released.
func (h *Handle) orReleased(err error) (*Handle, error) {
	if err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// handleLocked returns a new handle of f. The caller holds Manager.mu, too.
func (f *File) handleLocked(write bool) *Handle {
	h := &Handle{f: f, write: write}
	f.handles++
	f.open++
	if write {
		f.writers[h] = struct{}{}
	}
	return h
}

// noBytes is an empty source.
type noBytes struct{}

func (noBytes) Read([]byte) (int, error) { return 0, io.EOF }

// ReadAt fills p from off; fewer bytes mean the end of the file.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	h.f.mu.Lock()
	h.stayLocked()
	h.f.mu.Unlock()
	return h.f.readAt(ctx, h, p, off)
}

// viewLeast is what a read must be long for View to save its copying.
const viewLeast = 64 << 10

// View is ReadAt without copying where it can be: data is in p, or in memory
// that nobody changes until done is called, which the caller must do.
func (h *Handle) View(ctx context.Context, p []byte, off int64) (data []byte, done func(), err error) {
	f := h.f
	f.mu.Lock()
	h.stayLocked()
	last := min(off+int64(len(p)), f.attrLocked().Size) - 1
	f.mu.Unlock()
	if last-off >= viewLeast-1 {
		if err = f.need(ctx, off, last+1-off); err == nil {
			err = f.need(ctx, last, 1)
		}
		if err != nil {
			return nil, nil, err
		}
		if b := f.viewBlock(h, off, last); b != nil {
			return b.buf[off-b.off : last+1-b.off], func() { f.leave(b) }, nil
		}
	}
	n, err := f.readAt(ctx, h, p, off)
	return p[:n], func() {}, err
}

// WriteAt writes p at off into the local copy.
func (h *Handle) WriteAt(p []byte, off int64) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = h.f.change(h, func(*cache.Copy) int64 { return off }, func(c *cache.Copy) error {
		n, err = c.WriteAt(p, off)
		h.f.wroteLocked(off, n)
		return err
	})
	return n, err
}

// Append writes p at the end of the file, wherever that is by now.
func (h *Handle) Append(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = h.f.change(h, (*cache.Copy).Size, func(c *cache.Copy) error {
		off := c.Size()
		n, err = c.WriteAt(p, off)
		h.f.wroteLocked(off, n)
		return err
	})
	return n, err
}

// Truncate makes the file size bytes long; what is new reads as zeros.
func (h *Handle) Truncate(size int64) error {
	return h.f.change(h, func(c *cache.Copy) int64 { return min(size, c.Size()) }, func(c *cache.Copy) error {
		h.f.disorderLocked()
		return c.Truncate(size)
	})
}

// Attr returns the attributes of the file as this handle sees it.
func (h *Handle) Attr() Attr {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.f.attrLocked()
}

// Content identifies the bytes that the handle reads: equal values, equal
// bytes but for what was written through this mount. Nil if none were read.
func (h *Handle) Content() any {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	switch c := h.f.copy; {
	case c == nil:
		return nil
	case c.Exposed():
		return new(byte) // the kernel can write it: equal to nothing
	default:
		return c
	}
}

// Flush is close(2) of one of the descriptors of the handle. It uploads what
// was written through the handle and returns what became of it. A handle that
// only created or emptied the file uploads nothing yet, since shells flush
// before they write; and one that is written again after an upload uploads at
// most once a second: the journal has the rest until then.
func (h *Handle) Flush(ctx context.Context) error {
	f := h.f
	if err := f.m.takeOwed(f.currentPath()); err != nil {
		return err
	}
	f.mu.Lock()
	h.leaveLocked()
	if err := h.lookLocked(); err != nil {
		f.mu.Unlock()
		return err
	}
	back := f.m.o.Write == WriteBack
	for j := f.job; !back && h.sent && j != nil && f.failed == 0 && h.gen > f.sentGen; j = f.job { // not another one a moment after it
		f.mu.Unlock()
		if err := await(ctx, j.done); err != nil {
			return err
		}
		f.mu.Lock()
	}
	switch {
	case h.lost != nil:
		defer f.mu.Unlock()
		return h.lost
	case f.unlinked || !f.dirty || !h.write:
		f.mu.Unlock()
		return nil
	case h.gen <= f.sentGen: // nothing came through this handle that the server has not
		defer f.mu.Unlock()
		if f.emptied && !f.onServer && f.job == nil { // a file that was only created outlives us; one that was emptied does not yet
			if _, err := f.sealLocked(); !errors.Is(err, cache.ErrNotPending) {
				return err
			}
		}
		return nil
	}
	if wait := resendAfter - time.Since(f.sentAt); h.sent && wait > 0 && f.failed == 0 && f.job == nil && f.copy.Complete() {
		s, err := f.sealLocked()
		f.retryLocked(wait)
		f.mu.Unlock()
		if errors.Is(err, cache.ErrNotPending) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Sync(); !errors.Is(err, cache.ErrNotPending) { // else it is on the server by now, or a newer one is sealed
			return err
		}
		return nil
	}
	h.sent = true
	here := f.local || back
	f.mu.Unlock()
	if here {
		return f.secure(ctx)
	}
	return f.sync(ctx)
}

// Sync is fsync(2): it returns when the server has the file, or why not.
func (h *Handle) Sync(ctx context.Context) error {
	if err := h.f.m.takeOwed(h.f.currentPath()); err != nil {
		return err
	}
	h.f.mu.Lock()
	err := h.lost
	if err == nil {
		err = h.lookLocked()
	}
	if err == nil {
		err = h.lost // as it turned out now
	}
	local := h.f.local
	h.f.mu.Unlock()
	switch {
	case err != nil:
		return err
	case local:
		return h.f.secure(ctx)
	}
	return h.f.sync(ctx)
}

// Release ends the handle. What it, or the last one that can write, has left
// to upload is uploaded in the background. As long as a program has a map that the kernel writes for the
// handle, that goes on.
func (h *Handle) Release() {
	f := h.f
	h.compare()
	f.mu.Lock()
	bound := h.unbindLocked(h.Release) // before a version is sealed: that costs no clone then
	ends := h.bound == nil             // else the next Release ends h, which may come before this one gets on
	f.mu.Unlock()
	f.m.mu.Lock()
	f.mu.Lock()
	if err := h.lookLocked(); err != nil {
		f.m.log.Warn("what was written to a file cannot be uploaded", "path", f.path, "error", err)
	}
	if ends {
		f.handles--
		h.stayLocked()
		f.open--
		delete(f.writers, h)
	}
	f.m.mu.Unlock() // while a version is sealed, nobody else waits
	if f.dirty && !f.unlinked && h.write && (h.gen > f.sealedGen && !f.isBeingWrittenLocked() || len(f.writers) == 0) {
		f.askLocked()
		if f.emptied && !f.onServer && f.failed == 0 {
			f.putOffLocked(time.Now().Add(createdAtMost))
		} else {
			f.queueLocked()
		}
	}
	held := (*cache.Copy)(nil)
	if ends {
		held = h.showLocked(nil)
	}
	f.mu.Unlock()
	for _, c := range []*cache.Copy{bound, held} {
		if c != nil {
			f.m.logged(c.Close()) // without locks: it can move what nobody else wants to the recovery folder
		}
	}
	f.m.drop(f)
}

func (f *File) currentPath() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path
}
