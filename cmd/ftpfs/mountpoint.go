package main

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// resolveMountpoint returns the absolute path of dir without symbolic links,
// as far as it can be followed: a dead mount at its end stops nobody.
func resolveMountpoint(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", failf("cannot find out the working directory: %v", err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return abs, nil // checkMountpoint says what is wrong
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// checkMountpoint reports why dir cannot be mounted on. A dead mount of ours,
// left by a process that was killed, is detached first, by detachDead.
func checkMountpoint(dir string, nonEmpty bool, detachDead func(dir string) (bool, error)) error {
	if err := checkFree(dir, detachDead); err != nil {
		return err
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return failf("the mountpoint %s does not exist: mkdir -p %s", dir, dir)
	case errors.Is(err, syscall.ENOTCONN):
		return failf("the mountpoint %s is a dead mount of another program: unmount it first, fusermount3 -uz %s", dir, dir)
	case err != nil:
		return failf("cannot use the mountpoint: %v", err)
	case !st.IsDir():
		return failf("the mountpoint %s is not a directory: give a directory", dir)
	}
	if nonEmpty {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return failf("cannot use the mountpoint: %v", err)
	}
	defer d.Close()
	if names, _ := d.Readdirnames(1); len(names) > 0 {
		return failf("the mountpoint %s is not empty: give an empty directory, or hide its files with -o nonempty", dir)
	}
	return nil
}

// checkFree reports whether something is mounted at dir.
func checkFree(dir string, detachDead func(dir string) (bool, error)) error {
	m, err := mountedAt(dir)
	if err != nil || m == nil {
		return err
	}
	if m.isOurs() {
		detached, err := detachDead(dir)
		if err != nil {
			return failf("a dead ftpfs mount at %s cannot be detached (%v): fusermount3 -uz %s", dir, err, dir)
		}
		if detached {
			return checkFree(dir, func(string) (bool, error) { return false, nil })
		}
		return failf("the mountpoint %s is busy, ftpfs is mounted there already: ftpfs umount %s", dir, dir)
	}
	return failf("the mountpoint %s is busy, something is mounted there: give another one or unmount it first", dir)
}

// mount is a line of the kernel's list of mounts, as far as it matters here.
type mount struct {
	dir    string
	fstype string // "fuse.ftpfs" for ours; "" where the system does not tell
	uid    int    // of the user who mounted, -1 if unknown
}

func (m *mount) isOurs() bool { return m != nil && m.fstype == "fuse.ftpfs" }

// unmountByHelper asks the system's own program to unmount dir.
func unmountByHelper(ctx context.Context, dir string) error {
	c := unmountCommand(ctx, dir)
	out, err := c.CombinedOutput()
	if err != nil && len(out) > 0 {
		return failf("cannot unmount %s: %s", dir, oneLine(string(out)))
	}
	if err != nil {
		return failf("cannot unmount %s: %v", dir, err)
	}
	return nil
}
