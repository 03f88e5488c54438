package transfer

import "ftpfs/cache"

// Copy returns the local copy that the handle works on.
func (h *Handle) Copy() *cache.Copy {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.copy
}
