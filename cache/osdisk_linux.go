package cache

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID is the kernel's random id of this boot.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// reflink lets dst share all blocks of src: btrfs, xfs and bcachefs can,
// ext4 and tmpfs cannot.
func reflink(dst, src *os.File) error {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
}

// copySparse copies the first n bytes of src, skipping its holes. The file
// offset that lseek moves is used by nobody: all our I/O is pread and pwrite.
func copySparse(dst, src *os.File, n int64) error {
	for off := int64(0); off < n; {
		data, err := unix.Seek(int(src.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil { // a file system that cannot tell
			return copyRange(dst, src, off, n)
		}
		hole, err := unix.Seek(int(src.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return copyRange(dst, src, data, n)
		}
		if err := copyRange(dst, src, data, min(hole, n)); err != nil {
			return err
		}
		off = hole
	}
	return nil
}

// writeBack begins to write the dirty pages. Each is read-only in maps from
// then on, so that the kernel sees the next store to it and sets the time.
func writeBack(f *os.File) error {
	return unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE)
}

// tellsMaps is true of the file systems of which it is known.
func tellsMaps(f *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

// writable asks for a read lease, which the kernel refuses as long as the file
// is open for writing (fcntl(2), F_SETLEASE). A map counts as what it was made from.
func writable(f *os.File) (bool, error) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return true, nil
	case err != nil:
		return false, errors.Join(errors.ErrUnsupported, err)
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK) // or the next who opens it to write waits for us
	return false, err
}

// punch gives the blocks of a range back to the file system.
func punch(f *os.File, off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}
