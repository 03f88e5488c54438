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
	if err != nil { // of some of them; the others are here
		m.log.Warn("what a mount left cannot be taken over; its folder stays in the cache folder", "error", err)
		err = nil
	}
	m.adopted = stores
	var errs []error
	newest := make(map[string]*cache.Sealed)
	for _, s := range stores {
		m.adoptTemps(s) // before uploads make new ones
		for _, v := range s.Pending() {
			old := newest[v.Path()]
			switch {
			case old == nil:
				newest[v.Path()] = v
			case old.Attrs().Time.After(v.Attrs().Time):
				_, err = v.Refuse("another mount left a newer version of the file")
			default:
				newest[v.Path()] = v
				_, err = old.Refuse("another mount left a newer version of the file")
			}
			errs = append(errs, err)
		}
	}
	m.tidy(func() { m.sweepTemps(m.life, "/") }) // no mount that ends at once leaves them to the next
	for _, s := range stores {
		for _, v := range s.Pending() { // oldest first
			if newest[v.Path()] == v {
				errs = append(errs, m.adoptFile(s, v))
			}
		}
	}
	return errors.Join(errs...)
}

// adoptTemps takes over the temporary files that the mount of s has left.
func (m *Manager) adoptTemps(s *cache.Store) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, temp := range s.Temps() {
		m.temps[temp] = s
	}
}

func (m *Manager) adoptFile(s *cache.Store, v *cache.Sealed) error {
	c, err := v.Copy()
	if err != nil {
		return err
	}
	p, a := v.Path(), v.Attrs()
	if !a.Local {
		m.log.Info("finishing an upload of a mount that ended", "path", p, "bytes", v.Size())
	}
	f := newFile(m, p, s)
	f.copy, f.dirty, f.adopted, f.uncertain = c, true, true, v.Sent()
	f.sealed, f.sealedGen = v, c.Generation()
	f.mtime, f.mode, f.withMode, f.local = a.Time, a.Mode, a.SetMode, a.Local
	f.onServer = a.Base.State == conn.Present
	f.entry = conn.Entry{
		Name: path.Base(p), Kind: conn.KindFile, Size: a.Base.Size, Time: a.Base.Time, Precision: a.Base.Precision,
		Mode: a.Mode, HasMode: a.SetMode, Links: 1,
	}
	if a.Tail > 0 {
		f.tail.from, f.tail.sealed = a.Tail, a.Tail
		m.tryAppend(path.Dir(p))
	}
	shown := f.entry
	shown.Size, shown.Time, shown.Precision = v.Size(), a.Time, time.Second
	m.mu.Lock()
	m.files[p] = f
	m.mu.Unlock()
	m.tree.Show(p, shown)
	f.mu.Lock()
	f.queueLocked()
	f.mu.Unlock()
	return nil
}
