package cache

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// MaxExposed is the size in bytes up to which a copy is exposed. Each version
// that is sealed of it costs a clone of all of it, which many file systems copy.
const MaxExposed = 256 << 20

// quiet is the modification time of a file that nobody has written since it
// was exposed, or since the last version of it was sealed.
func quiet() time.Time { return time.Unix(1, 0) }

// Expose allows others, who have the file of c open, to write into it unseen
// until Cover is called. It tells whether that can be: all bytes are here and
// no sealed version shares the file, there are no unsealed changes, c is not larger than MaxExposed, and the file system notes the time of stores through
// maps. What they write belongs to path; a crash moves it to the recovery folder, as after
// Dirty. A version that is sealed meanwhile gets a clone, and the copy keeps its file.
func (s *Store) Expose(path string, c *Copy) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.data
	switch {
	case c.exposed.Load() > 0:
		c.exposed.Add(1)
		return true, nil
	case c.size.Load() > MaxExposed || d.protected.Load() > 0 || !c.wholeLocked():
		return false, nil
	}
	if s.isMarked(d) {
		return false, nil // its time tells of changes
	}
	if ok, err := d.beQuiet(); !ok || err != nil {
		return false, err
	}
	if writable, err := d.writable(); errors.Is(err, errors.ErrUnsupported) || writable {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := s.watch(path, c); err != nil {
		return false, err
	}
	if err := s.settle(d); err != nil { // a power cut must not bring it back as a clean copy with other bytes
		return false, errors.Join(err, s.unmarkFile(d))
	}
	c.seen, c.sum, c.compared = quiet(), nil, nil
	c.exposed.Store(1)
	return true, nil
}

func (s *Store) isMarked(d *data) bool {
	s.mu.Lock()
	defer s.unlock()
	_, marked := s.index.marks[d.id]
	return marked
}

// watch journals that c is about to be exposed.
func (s *Store) watch(path string, c *Copy) error {
	s.mu.Lock()
	defer s.unlock()
	d := c.data
	id, recs := s.index.reach(path)
	durable := s.index.keeps[d.id].synced
	if _, err := s.logLocked(append(recs, record{Op: "dirty", Node: id, File: d.id, Quiet: true})...); err != nil {
		return err
	}
	if durable {
		d.settle.Store(s.journal.written.Load())
	}
	s.dropKeptLocked(c)
	return nil
}

// Exposed reports whether others can write into the file of c. It never blocks.
func (c *Copy) Exposed() bool { return c.exposed.Load() > 0 }

// Look takes note of what others have written into c since it was exposed, or
// looked at or sealed last: Size and Generation are right then. It reports whether there was anything.
func (c *Copy) Look() (bool, error) {
	if !c.Exposed() {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookLocked()
}

// Written returns when others last wrote into c, as far as Look has told.
func (c *Copy) Written() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.written
}

func (c *Copy) lookLocked() (bool, error) {
	if !c.Exposed() {
		return false, nil
	}
	size, at, err := c.data.measure()
	if err != nil || at.Equal(c.seen) && size == c.size.Load() {
		return false, err
	}
	if c.seen = at; !at.Equal(quiet()) {
		c.written = at
	}
	c.size.Store(size)
	c.gen.Add(1)
	return true, nil
}

// ownLocked notes that a change of the file was not that of others: Look does
// not tell it. What they have written in the same instant it does not tell either: that is in the next version.
func (c *Copy) ownLocked() error {
	if !c.Exposed() {
		return nil
	}
	_, at, err := c.data.measure()
	c.seen = at
	return err
}

// Cover ends one Expose: the one who called it has closed the file. It does
// nothing and returns false if it is the last, and somebody else has the file open for writing, or a map
// of it: what that writes must be looked for, and Cover be tried again. So it is while a clone is made,
// and before Compare. What was written since the last Seal stays marked as unsealed.
func (s *Store) Cover(c *Copy) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exposed.Load() > 1 {
		c.exposed.Add(-1)
		return true, nil
	}
	if c.cloning {
		return false, nil
	}
	if writable, err := c.data.writable(); writable || err != nil {
		return false, err
	}
	if _, err := c.lookLocked(); err != nil { // after it: nothing comes any more
		return false, err
	}
	if c.seen.Equal(quiet()) && c.sum != c.compared {
		return false, nil
	}
	c.exposed.Store(0)
	if !c.seen.Equal(quiet()) {
		return true, nil
	}
	return true, s.unmarkFile(c.data)
}

// beQuiet gives the file the time quiet, and reports whether that tells of all
// that is written from then on: of stores through maps to pages that are not
// waiting to be written.
func (d *data) beQuiet() (tells bool, err error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return false, fs.ErrClosed
	}
	return d.file.TellsMaps(), d.file.SetModTime(quiet())
}

// writable reports whether somebody else can write into the file. It is open
// for reading only meanwhile, and stays so until it is to be written if it cannot be opened again.
func (d *data) writable() (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return false, fs.ErrClosed
	}
	if !d.reads {
		file, err := d.store.disk.OpenFile(d.path, os.O_RDONLY, 0)
		if err != nil {
			return false, err
		}
		err = d.file.Close()
		if d.file, d.reads = file, true; err != nil {
			return false, err
		}
	}
	is, err := d.file.Writable()
	d.toWriteLocked() // else the next who writes tries again
	return is, err
}

// rouse makes the file look as written again, after beQuiet.
func (d *data) rouse() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return fs.ErrClosed
	}
	return d.file.SetModTime(time.Now())
}

// measure returns the size and the modification time of the file, and takes
// note of what others have appended to it, or cut off.
func (d *data) measure() (int64, time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return 0, time.Time{}, fs.ErrClosed
	}
	at, err := d.file.ModTime()
	if err != nil {
		return 0, at, err
	}
	size, err := d.file.Size()
	if err != nil {
		return 0, at, err
	}
	d.present.remove(size, d.size)
	d.present.add(d.size, size)
	d.size = size
	return size, at, nil
}
