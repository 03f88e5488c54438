package transfer

import "errors"

// errMoving says that a rename or a removal of the path has begun.
var errMoving = errors.New("being renamed")

// errMade says that a create that has to begin again has made the file.
var errMade = errors.New("made by us")

// opening is an open under way. What it has learned of its path is stale once
// a rename or a removal that concerns the path has ended meanwhile, or we have
// forgotten a File there that knew better.
type opening struct {
	path  string
	stale bool // guarded by Manager.mu
}

func (m *Manager) beginOpen(p string) *opening {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := &opening{path: p}
	m.opens[o] = struct{}{}
	return o
}

func (m *Manager) endOpen(o *opening) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.opens, o)
}

func (m *Manager) isStale(o *opening) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.stale
}

// hold returns a new handle of the File at the path of o; meet brings the File
// up to date.
func (m *Manager) hold(o *opening, write bool, meet func(*File)) (*Handle, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := o.path
	if o.stale || m.moveLocked(func(v *move) bool { return v.concerns(p) }) != nil {
		return nil, errMoving
	}
	f := m.files[p]
	if f == nil {
		f = newFile(m, p, m.store)
		m.files[p] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.handleLocked(write)
	meet(f)
	return h, nil
}
