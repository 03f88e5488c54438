package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Held is the folder of another mount of the same identity that a process has.
type Held struct {
	ID      string
	Owner   Owner // zero if it is not told
	Pending int   // versions in its journal that must reach the server
}

// PendingIdentity is another identity for which dead mounts left something to do.
type PendingIdentity struct {
	Identity string
	Pending  int // versions that must reach the server
}

// Adopt takes over the folders of this identity that no process has any more,
// each as a Store of its own with the same options, and returns those that have something to do: versions
// pending, or temporary files that may be on the server. What is not fit to be uploaded is in
// the recovery folder then. A folder that cannot be taken over stays as it
// is and is part of the error; the others are returned all the same.
func (s *Store) Adopt() ([]*Store, error) {
	mounts := path.Join(s.home, "mounts")
	names, err := s.disk.ReadDir(mounts)
	if err != nil {
		return nil, err
	}
	var out []*Store
	var errs []error
	for _, id := range names {
		if id == s.id {
			continue
		}
		if strings.HasPrefix(id, ".") {
			errs = append(errs, s.sweep(path.Join(mounts, id)))
			continue
		}
		a, err := s.adopt(id)
		if err != nil {
			errs = append(errs, fmt.Errorf("adopt %s: %w", path.Join(mounts, id), err))
			continue
		}
		if a == nil {
			continue
		}
		errs = append(errs, s.inherit(a))
		if a.index.empty() {
			errs = append(errs, a.Close())
			continue
		}
		out = append(out, a)
	}
	return out, errors.Join(errs...)
}

// adopt opens the folder of the mount called id; nil if a process has it.
func (s *Store) adopt(id string) (*Store, error) {
	a := newStore(s.root, s.home, Options{CacheSize: s.cacheSize, Disk: s.disk, Log: s.log})
	a.id = id
	a.setDir(path.Join(s.home, "mounts", id))
	lock, err := s.disk.Lock(path.Join(a.dir, "lock"))
	if errors.Is(err, ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a.lock = lock
	err = a.restore()
	if err == nil {
		return a, nil
	}
	err = errors.Join(err, a.abandon())
	if errors.Is(err, fs.ErrNotExist) { // its process removed it just now
		return nil, nil
	}
	return nil, err
}

// abandon closes what restore opened, and changes nothing on the disk.
func (s *Store) abandon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return errors.Join(s.journal.close(), s.unlockFolder())
}

// sweep removes the folder of a mount that was being made or removed when its process died.
func (s *Store) sweep(dir string) error {
	if !strings.HasPrefix(path.Base(dir), ".old-") {
		lock, err := s.disk.Lock(path.Join(dir, "lock"))
		if err != nil {
			return nil // being made
		}
		defer lock.Close()
	}
	return retire(s.disk, dir)
}

// retire removes a mount's folder. It is renamed first: nobody adopts or
// keeps on making a part of it.
func retire(disk Disk, dir string) error {
	old := dir
	if name := path.Base(dir); !strings.HasPrefix(name, ".old-") {
		old = path.Join(path.Dir(dir), ".old-"+strings.TrimPrefix(name, ".new-"))
		if err := disk.Rename(dir, old); err != nil {
			return err
		}
	}
	return removeTree(disk, old)
}

// Others tells of the other mounts of this identity that live processes have.
func (s *Store) Others() ([]Held, error) {
	mounts := path.Join(s.home, "mounts")
	names, err := s.disk.ReadDir(mounts)
	if err != nil {
		return nil, err
	}
	var out []Held
	for _, id := range names {
		dir := path.Join(mounts, id)
		if id == s.id || strings.HasPrefix(id, ".") || !isHeld(s.disk, dir) {
			continue
		}
		h := Held{ID: id}
		if rp, err := readJournal(s.disk, path.Join(dir, "journal")); err == nil {
			h.Pending = rp.index.waiting()
		}
		if text, err := readFile(s.disk, path.Join(dir, "owner")); err == nil {
			if json.Unmarshal(text, &h.Owner) != nil {
				h.Owner = Owner{}
			}
		}
		out = append(out, h)
	}
	return out, nil
}

// isHeld reports whether a process has the mount's folder.
func isHeld(disk Disk, dir string) bool {
	lock, err := disk.Lock(path.Join(dir, "lock"))
	if err != nil {
		return errors.Is(err, ErrLocked)
	}
	lock.Close()
	return false
}

// OtherIdentities tells of the other identities below the same root for which
// dead mounts left versions that must reach the server.
func (s *Store) OtherIdentities() ([]PendingIdentity, error) {
	homes, err := s.disk.ReadDir(s.root)
	if err != nil {
		return nil, err
	}
	var out []PendingIdentity
	for _, name := range homes {
		home := path.Join(s.root, name)
		text, err := readFile(s.disk, path.Join(home, "identity"))
		if err != nil || home == s.home {
			continue
		}
		p := PendingIdentity{Identity: strings.TrimSuffix(string(text), "\n")}
		mounts, err := s.disk.ReadDir(path.Join(home, "mounts"))
		if err != nil {
			continue
		}
		for _, id := range mounts {
			dir := path.Join(home, "mounts", id)
			if strings.HasPrefix(id, ".") || isHeld(s.disk, dir) {
				continue
			}
			if rp, err := readJournal(s.disk, path.Join(dir, "journal")); err == nil {
				p.Pending += rp.index.waiting()
			}
		}
		if p.Pending > 0 {
			out = append(out, p)
		}
	}
	return out, nil
}
