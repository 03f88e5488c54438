package cache

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
)

// ErrMissing is returned by a read that wants bytes that are not here yet.
var ErrMissing = errors.New("not all bytes of the range are in the local copy")

// errFrozen says that a file has gone to the recovery folder: a Copy that
// wants to write goes on with a clone.
var errFrozen = errors.New("the file is in the recovery folder")

// fillAtOnce is how much is written at a time into a file that the kernel may
// write later. Linux 6.16 and later keep what comes in one piece in one piece
// of the page cache, and ext4 goes through all blocks of it for each small write.
const fillAtOnce = 32 << 10

// data is one file of bytes, with the set of those present. At most one Copy
// works on it, its owner; sealed versions share it, and what they cover is not
// changed any more: a clone is. The file is open only while somebody uses it.
type data struct {
	store *Store
	id    uint64 // names the file in copies/ and in the journal

	// protected is the length of the start that sealed versions forbid to
	// change; math.MaxInt64 once frozen. It is raised only with the owner's
	// Copy.mu or mu held.
	protected atomic.Int64

	owner  *Copy           // guarded by Store.mu; nil: none
	guards map[*Sealed]int // guarded by Store.mu; 1 while kept by the journal, and 1 for each Reader
	named  atomic.Bool     // its name in copies/ is durable
	settle atomic.Int64    // journal position of the end of a durable version, itself to be durable before the bytes change

	mu      sync.RWMutex
	path    string // guarded by mu
	file    File   // guarded by mu; nil while uses is 0
	reads   bool   // file is open for reading only; guarded by mu
	uses    int    // guarded by mu
	size    int64  // guarded by mu; length of the file
	present ranges // guarded by mu; within [0, size)
	syncErr error  // guarded by mu; a failed fsync: what it did to the pages nobody knows
}

// acquire opens the file for one more user.
func (d *data) acquire() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.uses == 0 {
		f, err := d.store.disk.OpenFile(d.path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		d.file, d.reads = f, false
	}
	d.uses++
	return nil
}

// toWriteLocked returns the file, which it opens again if it is open for reading only.
func (d *data) toWriteLocked() (File, error) {
	if d.file == nil {
		return nil, fs.ErrClosed
	}
	if !d.reads {
		return d.file, nil
	}
	f, err := d.store.disk.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = d.file.Close()
	d.file, d.reads = f, false
	return f, err
}

// release closes the file if nobody uses it any more.
func (d *data) release() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uses--
	if d.uses > 0 || d.file == nil {
		return nil
	}
	f := d.file
	d.file = nil
	return f.Close()
}

// frozen reports whether the file has gone to the recovery folder.
func (d *data) frozen() bool { return d.protected.Load() == math.MaxInt64 }

// readAt reads from the first size bytes, as io.ReaderAt does.
func (d *data) readAt(p []byte, off, size int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= size {
		return 0, io.EOF
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return 0, fs.ErrClosed
	}
	end := min(size, off+int64(len(p)))
	if !d.present.has(off, end) {
		return 0, ErrMissing
	}
	n, err := d.file.ReadAt(p[:end-off], off)
	switch {
	case n < int(end-off):
		if err == io.EOF { // somebody else cut our file
			err = io.ErrUnexpectedEOF
		}
		return n, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// fill writes those parts of p that are missing in the first size bytes.
func (d *data) fill(p []byte, off, size int64) error {
	if off < 0 {
		return fs.ErrInvalid
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen() {
		return errFrozen
	}
	file, err := d.toWriteLocked()
	if err != nil {
		return err
	}
	end := min(size, off+int64(len(p)))
	for at := off; ; {
		g, missing := d.present.gap(at, end)
		if !missing {
			return nil
		}
		part := p[g.Off-off : g.End()-off]
		if d.size <= MaxExposed {
			part = part[:min(len(part), fillAtOnce)]
		}
		n, err := file.WriteAt(part, g.Off)
		d.present.add(g.Off, g.Off+int64(n))
		if err != nil {
			return err
		}
		at = g.Off + int64(n)
	}
}

// write puts p at off, at or behind the protected start. errFrozen: somebody
// protected more meanwhile. What a write behind the end leaves out reads as zeros and is present.
func (d *data) write(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < d.protected.Load() {
		return 0, errFrozen
	}
	file, err := d.toWriteLocked()
	if err != nil {
		return 0, err
	}
	n, err := file.WriteAt(p, off)
	if n > 0 {
		d.present.add(min(d.size, off), off+int64(n))
		d.size = max(d.size, off+int64(n))
	}
	return n, err
}

// truncate sets the length to n, at or behind the protected start. errFrozen as in write.
func (d *data) truncate(n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n < d.protected.Load() {
		return errFrozen
	}
	return d.resizeLocked(n)
}

func (d *data) resizeLocked(n int64) error {
	file, err := d.toWriteLocked()
	if err != nil || n == d.size {
		return err
	}
	if err := file.Truncate(n); err != nil {
		return err
	}
	d.present.remove(n, d.size)
	d.present.add(d.size, n)
	d.size = n
	return nil
}

// cloneTo makes the empty file of to the first n bytes of d.
func (d *data) cloneTo(to *data, n int64) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	if d.file == nil || to.file == nil {
		return fs.ErrClosed
	}
	if err := to.file.CloneFrom(d.file, n); err != nil {
		return err
	}
	to.size, to.present = n, d.present.clipped(n)
	return nil
}

// sync makes the bytes durable. The file stays usable meanwhile; the caller
// has acquired it.
func (d *data) sync() error {
	d.mu.RLock()
	f, err := d.file, d.syncErr
	d.mu.RUnlock()
	if err != nil {
		return err
	}
	if f == nil {
		return fs.ErrClosed
	}
	if err := f.Sync(); err != nil {
		d.mu.Lock()
		d.syncErr = err
		d.mu.Unlock()
		return err
	}
	return nil
}

// missing returns the first missing part of [off, end).
func (d *data) missing(off, end int64) (Range, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.present.gap(max(0, off), end)
}

// allMissing returns all missing parts of [0, end).
func (d *data) allMissing(end int64) []Range {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.present.gaps(end)
}

// bytes returns what the file takes on the disk, 0 if that cannot be told.
func (d *data) bytes() int64 {
	if d.acquire() != nil {
		return 0
	}
	defer d.release()
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return 0
	}
	n, err := d.file.Bytes()
	if err != nil {
		return 0
	}
	return n
}

// protectLocked sets what the guards protect. The caller holds Store.mu.
func (d *data) protectLocked() {
	if d.frozen() {
		return
	}
	var n int64
	for v := range d.guards {
		n = max(n, v.size)
	}
	d.protected.Store(n)
}
