package cache

import (
	"cmp"
	"errors"
	"maps"
	"path"
	"slices"
	"time"

	"ftpfs/conn"
)

// syncAtMost is how long Close works on making clean copies durable. Those
// that are not are still good as long as the machine runs.
const syncAtMost = 3 * time.Second

// keep is what the journal says of a clean copy: one that is whole, and that
// a later mount may use.
type keep struct {
	path    string
	version conn.Version
	synced  bool   // the bytes were durable before the record
	used    uint64 // the larger, the later it was used
}

// record returns what makes k, of a file, in a journal.
func (k keep) record(file uint64) record {
	r := record{Op: "keep", File: file, Base: toBase(k.version), Synced: k.synced}
	r.setName(k.path)
	return r
}

// applyKeep enters a clean copy as the one that was used last.
func (x *index) applyKeep(r record) {
	x.uses++
	x.keeps[r.File] = keep{r.name(), r.Base.version(), r.Synced, x.uses}
}

// keepRecords returns the clean copies, the one that was used last at the end.
func (x *index) keepRecords() (recs []record) {
	files := slices.SortedFunc(maps.Keys(x.keeps), func(a, b uint64) int {
		return cmp.Compare(x.keeps[a].used, x.keeps[b].used)
	})
	for _, file := range files {
		recs = append(recs, x.keeps[file].record(file))
	}
	return recs
}

// recordLocked puts c, which is kept, into the journal, if it is fit to be used by
// another mount.
func (s *Store) recordLocked(c *Copy, synced bool) {
	if s.cacheSize == 0 || c.kept == nil || c.kept.racy || len(c.data.guards) > 0 || !c.wholeLocked() {
		return
	}
	k := keep{path: c.kept.path, version: c.kept.version, synced: synced}
	if old, ok := s.index.keeps[c.data.id]; ok && old.path == k.path && old.synced == synced {
		return
	}
	if _, err := s.logLocked(k.record(c.data.id)); err != nil {
		s.log.Info("a copy will not be there for the next mount", "path", c.kept.path, "err", err)
	}
}

// wholeLocked reports whether all of c is present.
func (c *Copy) wholeLocked() bool {
	_, missing := c.data.missing(0, c.size.Load())
	return !missing
}

// unrecordLocked takes c out of the journal, before its bytes change.
func (s *Store) unrecordLocked(c *Copy) {
	k, ok := s.index.keeps[c.data.id]
	if !ok {
		return
	}
	if _, err := s.logLocked(record{Op: "drop", File: c.data.id}); err != nil {
		s.log.Info("the journal cannot be written", "err", err) // nobody finds the file: it is being removed
	}
	if k.synced {
		c.data.settle.Store(s.journal.written.Load())
	}
}

// reviveLocked makes the clean copies of the journal, of which the files are
// there with their right size. sameBoot: else only those that were durable.
func (s *Store) reviveLocked(sizes map[uint64]int64, sameBoot bool) {
	for _, r := range s.index.keepRecords() {
		k, d := s.index.keeps[r.File], s.files[r.File]
		size, there := sizes[r.File]
		if !there || size != k.version.Size || !k.synced && !sameBoot || len(d.guards) > 0 || s.kept[k.path] != nil {
			delete(s.index.keeps, r.File)
			continue
		}
		d.present.add(0, size)
		s.keepNewLocked(d, k)
	}
}

// keepNewLocked makes a clean copy, used by nobody, of the whole file d.
func (s *Store) keepNewLocked(d *data, k keep) {
	c := &Copy{store: s, data: d, kept: &kept{path: k.path, version: k.version}}
	c.size.Store(d.size)
	d.owner = c
	s.kept[k.path] = c
	n := d.bytes()
	s.idle.Add(c, n)
	s.idleBytes += n
}

// inherit takes the clean copies over from a, which a dead mount has left and
// nobody uses yet. Of one path the copy that is here stays.
func (s *Store) inherit(a *Store) error {
	a.mu.Lock()
	defer a.unlock()
	s.mu.Lock()
	defer s.unlock()
	moved := false
	for _, r := range a.index.keepRecords() {
		k, from := a.index.keeps[r.File], a.files[r.File]
		c := from.owner
		if c == nil || c.refs > 0 || s.kept[k.path] != nil {
			continue
		}
		to := s.dataLocked(s.index.newID())
		if err := s.disk.Rename(from.path, to.path); err != nil {
			delete(s.files, to.id)
			return err
		}
		moved = true
		a.busyLocked(c)
		delete(a.kept, k.path)
		delete(a.files, from.id)
		delete(a.index.keeps, from.id)
		to.size = from.size
		to.present.add(0, to.size)
		if _, err := s.logLocked(k.record(to.id)); err != nil {
			s.log.Info("a copy will not be there for the next mount", "path", k.path, "err", err)
		}
		s.keepNewLocked(to, k)
	}
	s.shrinkLocked(s.idleBytes - s.cacheSize)
	if !moved {
		return nil
	}
	// A power cut must not bring a file back under its old name, where a journal
	// calls it clean, when its bytes have been changed here.
	return errors.Join(s.disk.SyncDir(path.Join(s.dir, "copies")), s.disk.SyncDir(path.Join(a.dir, "copies")))
}

// syncKeptLocked makes clean copies durable, those first that were used last,
// for as long as it may take, and notes the order in which they were used.
func (s *Store) syncKeptLocked() {
	order := s.idle.Keys()
	for _, c := range s.kept {
		if !s.idle.Contains(c) {
			order = append(order, c)
		}
	}
	until, named := time.Now().Add(syncAtMost), s.disk.SyncDir(path.Join(s.dir, "copies")) == nil
	for i, c := range slices.Backward(order) {
		k, ok := s.index.keeps[c.data.id]
		if !ok {
			continue
		}
		k.used = s.index.uses + uint64(i)
		k.synced = k.synced || named && time.Now().Before(until) && s.syncFile(c.data) == nil
		s.index.keeps[c.data.id] = k
	}
}

// syncFile makes the bytes of a file durable, be it open or not.
func (s *Store) syncFile(d *data) error {
	if err := d.acquire(); err != nil {
		return err
	}
	return errors.Join(d.sync(), d.release())
}
