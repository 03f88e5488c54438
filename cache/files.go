package cache

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// mkdirAll makes dir and what is missing above it, for this user only, durably.
func mkdirAll(disk Disk, dir string) error {
	err := disk.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(dir) != dir {
		if err := mkdirAll(disk, path.Dir(dir)); err != nil {
			return err
		}
		err = disk.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return disk.SyncDir(path.Dir(dir))
}

// writeFile makes the file called name, which must not exist, with its
// content durable. After an error it is not there.
func writeFile(disk Disk, name string, text []byte) error {
	f, err := disk.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil && len(text) > 0 {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, disk.Remove(name))
	}
	return nil
}

// replaceFile makes the file called name, or replaces it by one with the
// content text, atomically.
func replaceFile(disk Disk, name string, text []byte) error {
	tmp := name + ".new"
	if err := disk.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(disk, tmp, text); err != nil {
		return err
	}
	return disk.Rename(tmp, name)
}

// readFile returns the content of a file.
func readFile(disk Disk, name string) ([]byte, error) {
	f, err := disk.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	n, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, n))
	return text, errors.Join(err, f.Close())
}

// fileSize returns the length of a file.
func fileSize(disk Disk, name string) (int64, error) {
	f, err := disk.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	n, err := f.Size()
	return n, errors.Join(err, f.Close())
}

// removeTree removes dir and all in it. What is gone already is no error.
func removeTree(disk Disk, dir string) error {
	names, err := disk.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range names {
		name = path.Join(dir, name)
		err := disk.Remove(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if derr := removeTree(disk, name); derr != nil { // not empty, then
			return errors.Join(err, derr)
		}
	}
	if err := disk.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
