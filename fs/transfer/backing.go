package transfer

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// Backing opens the local copy that the handle reads, for the kernel to read
// it without us: if all of it is here, as the server has confirmed it, and
// nothing in it waits for an upload. The caller closes the file; nil if there is none.
func (h *Handle) Backing() *os.File {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.backingLocked()
}

func (h *Handle) backingLocked() *os.File {
	f := h.f
	f.lookLocked()
	c, ok := f.hereLocked()
	if !ok || h.copy != nil && h.copy != c || f.dirty || f.unlinked || f.unsure || len(f.streams) > 0 || !c.Complete() {
		return nil
	}
	file, err := c.OSFile()
	if err != nil {
		f.m.log.Info("the kernel cannot read a copy by itself", "path", f.path, "error", err)
		return nil
	}
	if file != nil {
		h.copy = c
		if h.held == nil {
			h.showLocked(c)
		}
	}
	return file
}

// againWithin is how long an open waits for a copy that was here just now.
const againWithin = 2 * time.Second

// BackingToWrite is Backing for the kernel to write the copy, too: until
// Release, or Unback if it does not. What it writes we find when somebody asks, at
// the latest at Flush. nil also where a crash could lose that (cache.Store.Expose).
// A copy that was here whole, and not kept for its youth, is fetched again
// first: it is going to be needed whole, and the kernel cannot begin in the middle.
func (h *Handle) BackingToWrite(ctx context.Context) *os.File {
	f := h.f
	if f.wasWhole() {
		ctx, cancel := context.WithTimeout(ctx, againWithin)
		defer cancel()
		if f.needAll(ctx, 0, h.Attr().Size, conn.Transfer) == nil {
			f.awaitStreams(ctx)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	file := h.backingLocked()
	if file == nil {
		return nil
	}
	ok, err := f.store.Expose(f.path, h.copy)
	if err != nil {
		f.m.log.Info("the kernel cannot write a copy by itself", "path", f.path, "error", err)
	}
	if !ok {
		file.Close()
		return nil
	}
	h.bound = h.copy.Retain()
	return file
}

// youngLocked notes that version v of p was here whole.
func (m *Manager) youngLocked(p string, v conn.Version) {
	const most = 64
	if len(m.young) >= most {
		clear(m.young) // it is only about time
	}
	m.young[p] = v
}

// wasWhole tells whether a copy of the version of f was here whole when f was
// closed, and is to be fetched again.
func (f *File) wasWhole() bool {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.m.young[f.path]
	delete(f.m.young, f.path)
	return ok && f.copy == nil && f.onServer && !f.unlinked && v.Same(f.entry.Version()) && v.Size <= cache.MaxExposed
}

// awaitStreams waits until the server has confirmed what was fetched.
func (f *File) awaitStreams(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.streams) > 0 && ctx.Err() == nil {
		f.sleepLocked(ctx, time.Now().Add(againWithin))
	}
}

// Unback takes BackingToWrite back. The caller has closed the file.
func (h *Handle) Unback() {
	h.f.mu.Lock()
	bound := h.unbindLocked(h.Unback)
	h.f.mu.Unlock()
	if bound != nil {
		h.f.m.logged(bound.Close())
	}
}

// unbindLocked ends that the kernel writes the copy for h, which it returns
// for the caller to close: nil if there is none. If a program can still write, by a map that has outlived
// its descriptor, h stays bound, and what it writes is looked for again and
// again: again is called until it has come to an end.
func (h *Handle) unbindLocked(again func()) *cache.Copy {
	c, f := h.bound, h.f
	if c == nil {
		return nil
	}
	if err := h.lookLocked(); err != nil {
		f.m.logged(err)
	}
	gen := c.Generation()
	done, err := c.Store().Cover(c)
	f.m.logged(err)
	if c.Generation() != gen {
		h.sawLocked()
	}
	if !done && !errors.Is(err, fs.ErrClosed) { // also if that could not be found out
		h.lingers++
		time.AfterFunc(min(lingerMost, lingerFirst<<min(2*(h.lingers-1), 20)), func() { f.m.spawn(again) })
		return nil
	}
	h.bound = nil
	for w := range f.writers {
		if w.exposed && w.copy == c {
			w.seen = c.ModTime() // not what Cover changed
		}
	}
	return c
}

// compare is what must be done before unbindLocked and needs no lock: it can take long.
func (h *Handle) compare() {
	h.f.mu.Lock()
	c := h.bound
	h.f.mu.Unlock()
	if c != nil {
		h.f.m.logged(c.Compare())
	}
}

// A map that outlives its descriptor is looked at after the first time, then
// four times as long, up to the most.
const (
	lingerFirst = 5 * time.Millisecond
	lingerMost  = 5 * time.Second
)

// askMaps does askMapsLocked for all files. Nothing is sealed with m.mu held.
func (m *Manager) askMaps() {
	m.mu.Lock()
	files := slices.Collect(maps.Values(m.files))
	m.mu.Unlock()
	for _, f := range files {
		f.mu.Lock()
		f.askMapsLocked()
		f.mu.Unlock()
	}
}

// askMapsLocked has uploaded what came through maps that outlive their descriptors.
func (f *File) askMapsLocked() {
	for w := range f.writers {
		if w.lingers == 0 || w.bound != f.copy {
			continue
		}
		f.lookLocked()
		if f.dirty && !f.unlinked && w.gen > f.sealedGen {
			f.askLocked()
		}
	}
}

// isBeingWrittenLocked tells whether a program that has not closed the file has emptied or written it,
// or the kernel may write the copy for one: nobody can tell whose the bytes in it are, and its close makes
// them a version.
func (f *File) isBeingWrittenLocked() bool {
	for w := range f.writers {
		if w.lingers == 0 && (f.emptied || w.gen > f.sealedGen || w.bound != nil && w.bound == f.copy) {
			return true
		}
	}
	return false
}

// logged logs that the journal cannot be written.
func (m *Manager) logged(err error) {
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		m.log.Warn("the journal cannot be written", "error", err)
	}
}

// Inode identifies the file on disk that the handle reads, as Content does
// its bytes: who keeps that open goes on with it when the copy moves to another. Nil if there is none.
func (h *Handle) Inode() any {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	c := cmp.Or(h.copy, h.f.copy)
	if c == nil {
		return nil
	}
	return inode{c, c.FileID()}
}

type inode struct {
	copy *cache.Copy
	file uint64
}

// Hold says that maps of the handle show the file with this Inode, of another handle that is
// open, or Holding it. It can hold an older version.
func (h *Handle) Hold(of any) {
	now, ok := of.(inode)
	if !ok {
		return
	}
	h.f.mu.Lock()
	old := (*cache.Copy)(nil)
	if h.held != now.copy {
		old = h.showLocked(now.copy)
	}
	h.f.mu.Unlock()
	if old != nil {
		h.f.m.logged(old.Close())
	}
}

// Unshown says that the kernel asks us for all that it reads or writes for h.
func (h *Handle) Unshown() {
	h.f.mu.Lock()
	old := h.showLocked(nil)
	h.f.mu.Unlock()
	if old != nil {
		h.f.m.logged(old.Close())
	}
}

// showLocked notes that the kernel may reach c without us for h; nil: none. It
// returns the one before, for the caller to close; nil: there was none.
func (h *Handle) showLocked(c *cache.Copy) (old *cache.Copy) {
	f := h.f
	old, h.held = h.held, nil
	if old != nil {
		if f.shown[old]--; f.shown[old] == 0 {
			delete(f.shown, old)
		}
	}
	if c != nil {
		h.held = c.Retain()
		f.shown[c]++
	}
	return old
}

// Holding keeps the file open, and what maps of the handle show, beyond its Release, so that another can be
// opened Again and Hold it: until done is called, which the caller must do.
func (h *Handle) Holding() (done func()) {
	_, closed := h.f.keepOpen()
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.held == nil {
		return closed
	}
	held := h.held.Retain()
	return func() {
		h.f.m.logged(held.Close())
		closed()
	}
}

// Expose says that the kernel may let the program map the file of the copy,
// which another handle reads or writes without us, and write there without our knowing.
func (h *Handle) Expose() {
	f := h.f
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.contentOf(h)
	switch {
	case err != nil || h.bound != nil: // what Unback could not end yet
		return
	case f.unlinked: // the journal has nothing of it
		h.exposed, h.seen = true, c.ModTime()
		return
	}
	if old := h.held; old != nil && old != c { // what is stored through a map is lost to the version that came since
		_, lookErr := old.Look()
		ok, err := f.store.Expose(f.path, old)
		f.m.logged(errors.Join(lookErr, err))
		if ok {
			h.bound, h.stray = old.Retain(), old.Generation()
		}
		return
	}
	f.store.Forget(f.path) // what changes unseen must not be taken for clean
	if !f.dirty || c.Exposed() {
		ok, err := f.store.Expose(f.path, c)
		f.m.logged(err)
		if ok {
			h.bound = c.Retain()
			return
		}
	}
	h.exposed, h.seen = true, c.ModTime()
}

// lookLocked takes note of what the kernel has written for h. What it has
// written into a copy whose version the server no longer has is lost to h.
func (h *Handle) lookLocked() error {
	f, c := h.f, h.bound
	switch {
	case c != nil && c != f.copy:
		_, err := c.Look()
		if c.Generation() != h.stray {
			h.sawLocked()
		}
		return err
	case f.copy != nil && f.copy.Exposed():
		f.lookLocked()
		return nil
	case !h.exposed || h.copy == nil || h.copy != f.copy:
		return nil
	}
	at := h.copy.ModTime()
	if at.Equal(h.seen) {
		return nil
	}
	h.seen = at
	f.disorderLocked()
	return f.changeLocked(h, func(*cache.Copy) int64 { return 0 }, func(c *cache.Copy) error {
		c.Touch()
		return nil
	})
}

// lookLocked takes note of what the kernel has written into the copy by itself.
func (f *File) lookLocked() {
	if f.copy == nil {
		return
	}
	saw, err := f.copy.Look()
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		f.m.log.Warn("a local copy cannot be looked at", "path", f.path, "error", err)
	}
	if saw {
		f.sawLocked()
	}
}

// sawLocked notes that the kernel has written for h, which is bound.
func (h *Handle) sawLocked() {
	switch {
	case h.bound == h.f.copy:
		h.f.sawLocked()
	case h.lost == nil:
		h.lost = &conn.Error{Op: "write", Path: h.f.path, Outcome: conn.Refused, Err: conn.ErrConflict}
	}
}

// sawLocked notes that the kernel has written into the copy.
func (f *File) sawLocked() {
	f.disorderLocked()
	f.changedLocked(0)
	if err := f.dirtyLocked(f.copy); err != nil {
		f.m.log.Warn("the journal cannot be written", "path", f.path, "error", err)
		f.dirty = true
	}
	f.emptied = false
	f.mtime = f.copy.Written().Truncate(time.Second)
	f.attributeLocked()
}

// attributeLocked makes what is in the copy now the changes of all handles
// through which the kernel can have made them.
func (f *File) attributeLocked() {
	for w := range f.writers {
		if w.bound != nil && w.bound == f.copy && f.dirty {
			w.gen = f.copy.Generation()
		}
	}
}
