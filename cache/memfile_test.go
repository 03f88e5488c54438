package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"
)

type memFile struct {
	d        *memDisk
	n        *inode
	epoch    int
	readOnly bool
	closed   bool
}

// enter takes the lock and says whether the file can be used.
func (f *memFile) enter(changes bool) error {
	f.d.mu.Lock()
	switch {
	case f.epoch != f.d.epoch || f.d.dead:
		return errDead
	case f.closed:
		return fs.ErrClosed
	case changes:
		return f.d.step()
	}
	return nil
}

// change is enter for what a file that is open for reading only refuses.
func (f *memFile) change() error {
	if err := f.enter(true); err != nil || !f.readOnly {
		return err
	}
	return syscall.EBADF
}

func (f *memFile) leave() { f.d.mu.Unlock() }

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	err := f.enter(false)
	defer f.leave()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes a part only when the process dies meanwhile, or the disk is full.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	wasDead := f.d.isDead()
	err := f.change()
	defer f.leave()
	if err != nil {
		if errors.Is(err, errDead) && !wasDead && f.epoch == f.d.epoch {
			f.n.put(p[:len(p)/2], off)
		}
		return 0, err
	}
	if f.d.room >= 0 && int64(len(p)) > f.d.room {
		n := int(f.d.room)
		f.d.room = 0
		f.n.put(p[:n], off)
		return n, syscall.ENOSPC
	}
	if f.d.room >= 0 {
		f.d.room -= int64(len(p))
	}
	f.n.put(p, off)
	return len(p), nil
}

func (d *memDisk) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// setSteps lets the process die after n more operations that change something.
func (d *memDisk) setSteps(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps = n
}

func (n *inode) put(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	n.resize(max(int64(len(n.data)), off+int64(len(p))))
	copy(n.data[off:], p)
}

func (n *inode) resize(size int64) {
	n.mtime = time.Unix(2, 0)
	if size <= int64(len(n.data)) {
		n.data = n.data[:size:size]
		return
	}
	n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
}

func (f *memFile) Truncate(size int64) error {
	err := f.change()
	defer f.leave()
	if err == nil {
		f.n.resize(size)
	}
	return err
}

func (f *memFile) Sync() error {
	err := f.enter(true)
	defer f.leave()
	if err == nil {
		f.n.synced = slices.Clone(f.n.data)
	}
	return err
}

func (f *memFile) Size() (int64, error) {
	err := f.enter(false)
	defer f.leave()
	return int64(len(f.n.data)), err
}

func (f *memFile) ModTime() (time.Time, error) {
	err := f.enter(false)
	defer f.leave()
	return f.n.mtime, err
}

func (f *memFile) SetModTime(at time.Time) error {
	err := f.enter(true)
	defer f.leave()
	if err == nil {
		f.n.mtime = at
	}
	return err
}

func (f *memFile) WriteBack() error {
	err := f.enter(false)
	defer f.leave()
	return err
}

func (f *memFile) TellsMaps() bool { return true }

// Writable implements File as a read lease does: a file of our own that can write counts.
func (f *memFile) Writable() (bool, error) {
	err := f.enter(false)
	defer f.leave()
	return f.n.mapped || f.d.writers[f.n] > 0, err
}

func (f *memFile) Bytes() (int64, error) { return f.Size() }

func (f *memFile) Punch(off, n int64) error {
	err := f.change()
	defer f.leave()
	if err == nil {
		clear(f.n.data[min(off, int64(len(f.n.data))):min(off+n, int64(len(f.n.data)))])
	}
	return err
}

func (f *memFile) CloneFrom(from File, n int64) error {
	if f.d.cloning != nil {
		f.d.cloning()
	}
	err := f.change()
	defer f.leave()
	if err != nil {
		return err
	}
	src := from.(*memFile)
	if src.closed || src.epoch != f.epoch {
		return fmt.Errorf("clone of %d bytes, closed %v", n, src.closed)
	}
	if f.d.room >= 0 && n > f.d.room {
		return syscall.ENOSPC
	}
	f.n.data = slices.Clone(src.n.data[:min(n, int64(len(src.n.data)))])
	f.n.resize(n)
	f.n.mtime = time.Unix(2, 0)
	return nil
}

func (f *memFile) Close() error {
	err := f.enter(false)
	defer f.leave()
	if err == nil {
		f.closed = true
		f.d.open--
		if !f.readOnly {
			f.d.writers[f.n]--
		}
	}
	return err
}
