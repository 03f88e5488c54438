package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// osDisk is the operating system's file system.
type osDisk struct{}

var (
	_ Disk = osDisk{}
	_ File = osFile{}
)

func (osDisk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }
func (osDisk) Remove(name string) error                  { return os.Remove(name) }
func (osDisk) Rename(from, to string) error              { return os.Rename(from, to) }

func (osDisk) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (osDisk) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock uses flock(2), which belongs to the open file: it excludes another
// Store of the same process as well, and ends when the process dies.
func (osDisk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

func (osDisk) Boot() string { return bootID() }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) ModTime() (time.Time, error) {
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// SetModTime goes by the descriptor: the file may have another name by now.
func (f osFile) SetModTime(t time.Time) error {
	at := unix.NsecToTimeval(t.UnixNano())
	return unix.Futimes(int(f.Fd()), []unix.Timeval{at, at})
}

func (f osFile) WriteBack() error { return writeBack(f.File) }
func (f osFile) TellsMaps() bool  { return tellsMaps(f.File) }

func (f osFile) Writable() (bool, error) { return writable(f.File) }

// Bytes counts st_blocks, whose unit is 512 bytes on every Unix we run on.
func (f osFile) Bytes() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512, nil
	}
	return info.Size(), nil
}

// Punch implements File. Some file systems cannot.
func (f osFile) Punch(off, n int64) error { return punch(f.File, off, n) }

func (f osFile) CloneFrom(from File, n int64) error {
	src, ok := from.(osFile)
	if !ok {
		return fmt.Errorf("clone from a file of another disk: %w", errors.ErrUnsupported)
	}
	if n == 0 {
		return nil
	}
	if reflink(f.File, src.File) != nil {
		if err := copySparse(f.File, src.File, n); err != nil {
			return err
		}
	}
	return f.Truncate(n) // cuts a longer clone, or makes a hole at the end
}

// cloneBlock is the unit of copying, and of finding zeros to leave out.
const cloneBlock = 256 << 10

// copyRange copies [off, end) of src to the same place in dst. Blocks of
// zeros are left out: dst has a hole there.
func copyRange(dst, src *os.File, off, end int64) error {
	buf := make([]byte, cloneBlock)
	zeros := make([]byte, cloneBlock)
	for off < end {
		b := buf[:min(cloneBlock, end-off)]
		n, err := src.ReadAt(b, off)
		if n < len(b) && err != io.EOF {
			return fmt.Errorf("clone: %w", err)
		}
		clear(b[n:])
		if !bytes.Equal(b, zeros[:len(b)]) {
			if _, err := dst.WriteAt(b, off); err != nil {
				return err
			}
		}
		off += int64(len(b))
	}
	return nil
}
