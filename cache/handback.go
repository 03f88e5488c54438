package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Left is something in a cache folder that is not on its server.
type Left struct {
	Identity string    // of the server
	Path     string    // on it; empty if it is not known any more
	Size     int64     // bytes
	Missing  int64     // at most so many of them were never here: they are zeros
	Time     time.Time // when it was written, or came to the recovery folder
	Reason   string    // why it is in the recovery folder; empty: it waits in the journal of a mount
	Local    bool      // it waits for nothing: it is to stay here
	Mounted  bool      // the mount lives
}

// Leftovers lists what the folders of all servers below root have that is not on
// the server: what mounts have in their journals, and the recovery folders.
func Leftovers(root string, o Options) (all []Left, err error) {
	err = eachHome(root, o, func(s *Store, identity string) error {
		recovered, err := s.Recovery()
		if err != nil {
			return err
		}
		for _, r := range recovered {
			all = append(all, Left{Identity: identity, Path: r.Path, Size: r.Size, Missing: length(r.Missing), Time: r.Time, Reason: r.Reason})
		}
		return s.eachMount(func(id string) error {
			dir := path.Join(s.home, "mounts", id)
			rp, err := readJournal(s.disk, path.Join(dir, "journal"))
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			} else if err != nil {
				return err
			}
			held := isHeld(s.disk, dir)
			for _, v := range rp.index.pending() {
				all = append(all, Left{Identity: identity, Path: v.node.path(), Size: v.size, Missing: length(v.lacks),
					Time: v.attrs.Time, Local: v.attrs.Local, Mounted: held})
			}
			return nil
		})
	})
	return all, err
}

// HandBack moves all that Leftovers lists, but for what live mounts have, to the
// folder dir, which exists: to IDENTITY/PATH there, or a name like it if that is taken. It calls told
// with each file that it has moved. What cannot be moved stays where it is, and is part of the error.
func HandBack(root, dir string, o Options, told func(l Left, file string)) error {
	return eachHome(root, o, func(s *Store, identity string) error {
		to := path.Join(dir, strings.ReplaceAll(identity, "/", "_"))
		err := s.eachMount(func(id string) error { return s.handBackMount(id, identity, to, told) })
		recovered, listErr := s.Recovery()
		err = errors.Join(err, listErr)
		for _, r := range recovered {
			file, moveErr := handBackFile(s.disk, r.File, to, r.Path, r.Size)
			if moveErr == nil {
				moveErr = errors.Join(s.disk.Remove(r.File), s.disk.Remove(r.File+".json"))
				told(Left{Identity: identity, Path: r.Path, Size: r.Size, Missing: length(r.Missing), Time: r.Time, Reason: r.Reason}, file)
			}
			err = errors.Join(err, moveErr)
		}
		return err
	})
}

// handBackMount takes over the folder of the mount called id, if nobody has
// it, and moves what it has pending.
func (s *Store) handBackMount(id, identity, to string, told func(Left, string)) error {
	a, err := s.adopt(id)
	if a == nil || err != nil {
		return err
	}
	var errs []error
	for _, v := range a.Pending() {
		l := Left{Identity: identity, Path: v.Path(), Size: v.size, Missing: length(v.data.allMissing(v.size)), Time: v.Attrs().Time, Local: v.Attrs().Local}
		file, err := handBackFile(a.disk, v.data.path, to, l.Path, v.size)
		if err == nil {
			err = v.Drop()
			told(l, file)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, a.Close())...)
}

// length returns the bytes in list.
func length(list []Range) (n int64) {
	for _, r := range list {
		n += r.Len
	}
	return n
}

// eachHome calls fn for the folder of each identity below root.
func eachHome(root string, o Options, fn func(s *Store, identity string) error) error {
	s := newStore(root, "", o)
	names, err := s.disk.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		home := path.Join(root, name)
		text, err := readFile(s.disk, path.Join(home, "identity"))
		if err != nil {
			continue // not ours
		}
		errs = append(errs, fn(newStore(root, home, o), strings.TrimSuffix(string(text), "\n")))
	}
	return errors.Join(errs...)
}

// eachMount calls fn for the id of each mount's folder.
func (s *Store) eachMount(fn func(id string) error) error {
	names, err := s.disk.ReadDir(path.Join(s.home, "mounts"))
	errs := []error{err}
	for _, id := range names {
		if !strings.HasPrefix(id, ".") {
			errs = append(errs, fn(id))
		}
	}
	return errors.Join(errs...)
}

// handBackFile copies the first n bytes of the file called from to a new file
// below the folder to that is named after the server path p, durably.
func handBackFile(disk Disk, from, to, p string, n int64) (name string, err error) {
	if p == "" {
		p = "unknown"
	}
	at := path.Join(to, path.Join("/", p))
	if err := mkdirAll(disk, path.Dir(at)); err != nil {
		return "", err
	}
	src, err := disk.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer src.Close()
	var dst File
	for i := 1; dst == nil; i++ {
		name = at
		if i > 1 {
			name = fmt.Sprintf("%s.%d", at, i)
		}
		if dst, err = disk.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	_, err = io.Copy(io.NewOffsetWriter(dst, 0), io.NewSectionReader(src, 0, n))
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err == nil {
		err = disk.SyncDir(path.Dir(name))
	}
	if err != nil {
		return "", errors.Join(err, disk.Remove(name))
	}
	return name, nil
}
