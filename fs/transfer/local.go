package transfer

import (
	"path"
)

// isLocal tells whether a file that is created at p stays here: the swap
// files of editors and the like, which nobody else needs and which change with every
// key. It stays with the file until that is renamed to an ordinary name. Files of the server that are
// called so are ordinary ones.
func (m *Manager) isLocal(p string) bool {
	for _, pattern := range m.o.Local {
		if ok, _ := path.Match(pattern, path.Base(p)); ok { // a bad pattern matches nothing
			return true
		}
	}
	return false
}

// travelLocked makes f an ordinary file if its name is one now.
func (f *File) travelLocked() {
	if !f.local || f.m.isLocal(f.path) {
		return
	}
	f.local = false
	if f.sealed != nil && f.sealed.Pending() {
		f.askLocked()
		f.queueLocked()
	}
}
