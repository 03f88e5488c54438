package transfer

import "ftpfs/cache"

// Copy returns the local copy that the handle works on.
func (h *Handle) Copy() *cache.Copy {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.copy
}

// Busy runs fn while nobody else can look for a file.
func (m *Manager) Busy(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

// Lingers tells whether Release found that somebody can still write for h.
func (h *Handle) Lingers() bool {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.lingers > 0
}
