package cache

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// Disk is all that a Store does on the local file system. There is one
// implementation for the operating system; tests have one that forgets
// everything not synced, as a power cut does. Names are slash-separated paths.
// Errors are those of package os, so that errors.Is finds fs.ErrNotExist,
// fs.ErrExist and syscall.ENOSPC.
type Disk interface {
	// OpenFile is os.OpenFile.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Mkdir is os.Mkdir.
	Mkdir(name string, perm fs.FileMode) error
	// Remove is os.Remove: a file or an empty directory.
	Remove(name string) error
	// Rename is os.Rename: a file at to is replaced, atomically.
	Rename(from, to string) error
	// ReadDir returns the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// SyncDir makes the names in a directory durable: what was created in,
	// renamed into or removed from it.
	SyncDir(name string) error
	// Lock takes the exclusive lock of an existing file, without waiting, or
	// returns ErrLocked. The lock ends with Close or with the process.
	Lock(name string) (io.Closer, error)
	// Boot identifies the time since the machine was started; what was not
	// synced is only there as long as it stays the same. "" if unknown.
	Boot() string
}

// File is an open file of a Disk.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate is ftruncate(2): what is gained reads as zeros.
	Truncate(size int64) error
	// Sync makes content and size durable; the file's name is SyncDir's.
	Sync() error
	// Size returns the length in bytes.
	Size() (int64, error)
	// ModTime returns when the content was last changed, or what SetModTime said.
	ModTime() (time.Time, error)
	// SetModTime sets that time.
	SetModTime(t time.Time) error
	// WriteBack begins to write what is in memory only, so that the next store
	// through a map changes ModTime again, if TellsMaps.
	WriteBack() error
	// TellsMaps reports whether the first store through a map to a page that is
	// not waiting to be written changes ModTime.
	TellsMaps() bool
	// Writable reports whether somebody has the file open to write, or a map of
	// it that can be written. This one must be open for reading only.
	// errors.ErrUnsupported where that cannot be told.
	Writable() (bool, error)
	// Bytes returns how much the file takes on the disk; holes are free.
	Bytes() (int64, error)
	// Punch makes a hole of n bytes at off, which then reads as zeros and takes
	// no room. errors.ErrUnsupported where the file system cannot.
	Punch(off, n int64) error
	// CloneFrom makes the file, which must be empty and of the same Disk, a
	// copy of the first n bytes of from; zeros are what that lacks. Blocks
	// are shared where the file system can, and holes stay holes as well as possible.
	CloneFrom(from File, n int64) error
}

// ErrLocked is what Disk.Lock returns when another process, or another Store
// of this one, holds the lock.
var ErrLocked = errors.New("locked by another process")
