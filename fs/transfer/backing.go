package transfer

import (
	"os"

	"ftpfs/cache"
)

// Backing opens the local copy that the handle reads, for the kernel to read
// it without us: if all of it is here, as the server has confirmed it, and
// nothing in it waits for an upload. The caller closes the file; nil if there is none.
func (h *Handle) Backing() *os.File {
	f := h.f
	f.mu.Lock()
	defer f.mu.Unlock()
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
	}
	return file
}

// Expose says that the kernel may let the program map the file of the copy,
// which another handle reads without us, and write there without our knowing.
func (h *Handle) Expose() {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if c, err := h.f.contentOf(h); err == nil {
		h.f.store.Forget(h.f.path) // what changes unseen must not be taken for clean
		h.exposed, h.seen = true, c.ModTime()
	}
}

// lookLocked marks what was written into an exposed copy unseen.
func (h *Handle) lookLocked() error {
	f := h.f
	if !h.exposed || h.copy == nil || h.copy != f.copy {
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
