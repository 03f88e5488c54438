package transfer

import (
	"errors"
	"path"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// adopt takes over what mounts that died have left in their journals: it is
// shown in the tree at once and uploaded in the background.
func (m *Manager) adopt() error {
	stores, err := m.store.Adopt()
	if err != nil {
		return err
	}
	m.adopted = stores
	var errs []error
	for _, s := range stores {
		temps := s.Temps() // before uploads make new ones
		m.spawn(func() { m.cleanUp(s, temps) })
		for _, v := range s.Pending() {
			errs = append(errs, m.adoptFile(s, v))
		}
	}
	return errors.Join(errs...)
}

// cleanUp removes the temporary files that a mount which died has left.
func (m *Manager) cleanUp(s *cache.Store, temps []string) {
	for _, temp := range temps {
		if !m.removeTemp(m.life, temp) {
			continue
		}
		if err := s.TempGone(temp); err != nil {
			m.log.Warn("the journal cannot be written", "error", err)
		}
	}
}

func (m *Manager) adoptFile(s *cache.Store, v *cache.Sealed) error {
	c, err := v.Copy()
	if err != nil {
		return err
	}
	p, a := v.Path(), v.Attrs()
	m.log.Info("finishing an upload of a mount that ended", "path", p, "bytes", v.Size())
	f := newFile(m, p, s)
	f.copy, f.dirty = c, true
	f.sealed, f.sealedGen = v, c.Generation()
	f.mtime, f.mode, f.withMode = a.Time, a.Mode, a.SetMode
	f.onServer = a.Base.State == conn.Present
	f.entry = conn.Entry{
		Name: path.Base(p), Kind: conn.KindFile, Size: a.Base.Size, Time: a.Base.Time, Precision: a.Base.Precision,
		Mode: a.Mode, HasMode: a.SetMode, Links: 1,
	}
	shown := f.entry
	shown.Size, shown.Time, shown.Precision = v.Size(), a.Time, time.Second
	m.mu.Lock()
	m.files[p] = f
	m.mu.Unlock()
	m.tree.Show(p, shown)
	f.mu.Lock()
	f.startLocked()
	f.mu.Unlock()
	return nil
}
