package cache

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
)

// leftover is a file in copies/ that is not fit to be uploaded and goes to
// the recovery folder.
type leftover struct {
	file uint64
	r    Recovered // without Size
	all  bool      // whatever the length of the file is; else at most limit bytes
	max  int64
}

// restore makes s what the journal in its folder, which is locked, says:
// versions are pending if their bytes are known to be whole, all else that
// may be the only copy of something goes to the recovery folder, and the rest is removed.
func (s *Store) restore() error {
	rp, err := readJournal(s.disk, path.Join(s.dir, "journal"))
	if err != nil {
		return err
	}
	if rp.header.Op != "" && rp.header.Format != journalFormat {
		return fmt.Errorf("the journal has format %d, this program knows %d: %w",
			rp.header.Format, journalFormat, errors.ErrUnsupported)
	}
	sizes, err := s.listCopies()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.index = rp.index
	for id := range sizes {
		s.index.next = max(s.index.next, id+1)
	}
	boot := s.disk.Boot()
	left := s.selectMarked(sizes) // first: they want their files whole
	sameBoot := boot != "" && boot == rp.header.Boot
	left = append(left, s.selectPending(sizes, sameBoot)...)
	if rp.damaged {
		clear(s.index.keeps)
		s.log.Warn("the journal is damaged; what it does not explain is in the recovery folder", "dir", s.dir)
		left = append(left, s.selectUnknown(sizes, rp.names)...)
	}
	s.loadLocked(sizes)
	s.reviveLocked(sizes, sameBoot)
	s.unlock()
	if err := s.salvage(left, sizes); err != nil {
		return err
	}
	// A process that died while it moved a file to the recovery folder may not
	// have made that durable; the journal is about to forget the file.
	if err := s.disk.SyncDir(path.Join(s.home, "recovery")); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.unlock()
	for _, file := range slices.Sorted(maps.Keys(s.files)) {
		s.reapLocked(s.files[file])
	}
	return s.rewriteLocked()
}

// listCopies returns the files in copies/ with their length.
func (s *Store) listCopies() (map[uint64]int64, error) {
	dir := path.Join(s.dir, "copies")
	names, err := s.disk.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[uint64]int64)
	for _, name := range names {
		id, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		if sizes[id], err = fileSize(s.disk, path.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

// selectPending keeps those versions pending whose bytes are whole. sameBoot:
// all that was ever written is; else only what was synced. A version that is
// not gives way to its shadow.
func (s *Store) selectPending(sizes map[uint64]int64, sameBoot bool) (left []leftover) {
	for _, v := range s.index.pending() {
		refused := false
		for v != nil {
			size, there := sizes[v.file]
			reason := v.unfit(size, sameBoot)
			if refused {
				reason = "a later version was refused when the process died"
			}
			if there && reason == "" {
				break
			}
			if there {
				left = append(left, leftover{v.file, Recovered{Path: v.node.path(), Base: v.attrs.Base,
					Missing: v.lacks, Reason: reason}, false, v.size})
			} else {
				// The process died while it moved the file to the recovery
				// folder; or, after a power cut, the removal of the file is
				// known and the end of the version is not.
				s.log.Info("a version in the journal has no file", "path", v.node.path(), "file", v.file)
				refused = sameBoot
			}
			v = s.index.replaceByShadow(v)
		}
	}
	return left
}

// unfit says why v, whose file has size bytes, must not be uploaded; empty if it may.
func (v *Sealed) unfit(size int64, sameBoot bool) string {
	if !sameBoot && !v.synced {
		return "the machine was restarted before the bytes were known to be on the disk"
	}
	if size < v.size {
		return fmt.Sprintf("only %d of %d bytes are there", size, v.size)
	}
	return ""
}

// replaceByShadow ends v; its shadow, which is returned, is pending instead, if there is one.
func (x *index) replaceByShadow(v *Sealed) *Sealed {
	shadow := v.shadow
	v.shadow = nil
	if shadow == nil {
		x.end(v)
		return nil
	}
	delete(x.versions, v.id)
	v.node.version = shadow
	shadow.tried = v.tried
	return shadow
}

// selectMarked takes off all dirty marks. Their files go to the recovery folder.
func (s *Store) selectMarked(sizes map[uint64]int64) (left []leftover) {
	for _, file := range slices.Sorted(maps.Keys(s.index.marks)) {
		m := s.index.marks[file]
		if _, there := sizes[file]; there && !(m.quiet && s.isQuiet(file)) {
			left = append(left, leftover{file: file, all: true, r: Recovered{Path: m.node.path(),
				Missing: m.missing, Reason: "the changes were not sealed when the process died"}})
		}
		s.index.unmark(file)
	}
	return left
}

// isQuiet reports whether nobody has written into a file that was exposed. If
// that cannot be told, somebody has.
func (s *Store) isQuiet(file uint64) bool {
	f, err := s.disk.OpenFile(path.Join(s.dir, "copies", strconv.FormatUint(file, 10)), os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	at, err := f.ModTime()
	return err == nil && at.Equal(quiet())
}

// selectUnknown selects the files that no version needs.
func (s *Store) selectUnknown(sizes map[uint64]int64, names map[uint64]string) (left []leftover) {
	for _, file := range slices.Sorted(maps.Keys(sizes)) {
		left = append(left, leftover{file: file, all: true, r: Recovered{Path: names[file],
			Reason: "the journal was damaged"}})
	}
	return left
}

// loadLocked makes the files and binds the versions to theirs.
func (s *Store) loadLocked(sizes map[uint64]int64) {
	for id, size := range sizes {
		d := s.dataLocked(id)
		d.size = size
	}
	for _, v := range s.index.versions {
		d := s.files[v.file]
		s.guardLocked(v, d)
		d.named.Store(v.synced)
		// Files of two versions have the bytes of both.
		all := ranges{[]Range{{0, v.size}}}
		if v.size == 0 {
			all.list = nil
		}
		for _, m := range v.lacks {
			all.remove(m.Off, m.End())
		}
		for _, p := range all.list {
			d.present.add(p.Off, p.End())
		}
	}
}

// salvage moves files to the recovery folder, each once. A file that pending
// versions need is copied there, if it has more than they do.
func (s *Store) salvage(left []leftover, sizes map[uint64]int64) error {
	seen := make(map[uint64]bool)
	for _, l := range left {
		d := s.files[l.file]
		if seen[l.file] {
			continue
		}
		seen[l.file] = true
		l.r.Size = sizes[l.file]
		if !l.all {
			l.r.Size = min(l.r.Size, l.max)
		}
		if l.r.Size <= d.protected.Load() && len(d.guards) > 0 {
			continue
		}
		if err := d.acquire(); err != nil {
			return err
		}
		_, err := s.toRecovery(d, nil, l.r)
		if err = errors.Join(err, d.release()); err != nil {
			return err
		}
	}
	return nil
}
