package cache

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// cloneTries is how often a clone is made anew because somebody wrote into the
// file meanwhile.
const cloneTries = 2

// ErrNotExposed says that a copy needs no Clone: a version can share its file.
var ErrNotExposed = errors.New("the copy is not exposed")

// Clone has the bytes for a version of an exposed copy, which itself keeps the
// file that others write. One of Seal and Drop must be called.
type Clone struct {
	copy *Copy
	data *data
	size int64
	gen  uint64 // of the copy, when it was begun
	sum  uint32
}

// Clone makes what a version of c is sealed from, which is exposed. That can take as long as copying all of
// it, and nobody waits meanwhile who uses c, but for another Clone. If somebody
// goes on writing, the clone can have a part of what is written after Clone was
// called; c then has unsealed changes again. ErrNotExposed. Until Seal, a crash finds all changes of c unsealed.
func (s *Store) Clone(c *Copy) (*Clone, error) {
	c.turn.Lock()
	k, from, err := s.beginClone(c)
	if err != nil {
		c.turn.Unlock()
		return nil, err
	}
	err = k.fill(from)
	if err = errors.Join(err, from.Close()); err != nil {
		return nil, errors.Join(err, k.Drop())
	}
	return k, nil
}

// beginClone returns an empty Clone, and what to make it from.
func (s *Store) beginClone(c *Copy) (k *Clone, from File, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Exposed() {
		return nil, nil, ErrNotExposed
	}
	if err := s.alert(c.data); err != nil {
		return nil, nil, err
	}
	if from, err = c.data.reopen(); err != nil {
		return nil, nil, err
	}
	to, err := s.newData()
	if err != nil {
		return nil, nil, errors.Join(err, from.Close())
	}
	c.cloning = true
	return &Clone{copy: c.Retain(), data: to, gen: c.gen.Load()}, from, nil
}

// alert journals that d has unsealed changes, whatever its time says.
func (s *Store) alert(d *data) error {
	s.mu.Lock()
	defer s.unlock()
	m, ok := s.index.marks[d.id]
	if !ok || !m.quiet {
		return nil
	}
	_, err := s.logLocked(record{Op: "dirty", Node: m.node.id, File: d.id})
	return err
}

// fill makes k a clone of from. From its begin on, whatever is written there shows in its time.
func (k *Clone) fill(from File) error {
	for try := 1; ; try++ {
		size, err := k.copy.hush()
		if err != nil {
			return err
		}
		if err := from.WriteBack(); err != nil {
			return err
		}
		if err := k.data.become(from, size); err != nil {
			return err
		}
		at, err := from.ModTime()
		if err != nil {
			return err
		}
		if at.Equal(quiet()) || try == cloneTries || size > MaxExposed {
			break
		}
	}
	now, err := from.Size()
	if err != nil {
		return err
	}
	if k.size, err = k.data.cut(now); err != nil { // it was truncated meanwhile
		return err
	}
	k.sum, err = k.data.checksum()
	return err
}

// hush makes the file of c look as nobody had written it, and returns its size:
// from then on whatever is written shows, and Look tells it.
func (c *Copy) hush() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.data.beQuiet(); err != nil {
		return 0, err
	}
	c.seen = quiet()
	size, _, err := c.data.measure()
	if err == nil {
		c.size.Store(size)
	}
	return size, err
}

// Generation returns that of the Copy that the clone is of.
func (k *Clone) Generation() uint64 { return k.gen }

// Seal is Store.Seal with the bytes of the clone. After an error it is dropped.
func (k *Clone) Seal(path string, a Attrs) (*Sealed, error) {
	c := k.copy
	s := c.store
	v, err := k.log(path, a)
	if err != nil {
		return nil, errors.Join(err, k.Drop())
	}
	c.mu.Lock()
	c.sum, c.cloning = &k.sum, false
	c.mu.Unlock()
	c.turn.Unlock()
	if err := errors.Join(k.data.release(), c.Close()); err != nil {
		s.log.Warn("a copy cannot be closed", "path", path, "err", err)
	}
	return v, nil
}

// log journals the version.
func (k *Clone) log(path string, a Attrs) (*Sealed, error) {
	s := k.copy.store
	s.mu.Lock()
	defer s.unlock()
	id, recs := s.index.reach(path)
	r := record{Op: "seal", ID: s.index.newID(), Node: id, File: k.data.id, Size: k.size, Gen: k.gen}
	a.record(&r)
	ended, err := s.logLocked(append(recs, r, record{Op: "dirty", Node: id, File: k.copy.data.id, Quiet: true})...)
	if err != nil {
		return nil, err
	}
	v := s.index.versions[r.ID]
	s.guardLocked(v, k.data)
	s.endLocked(ended)
	return v, nil
}

// Drop ends a Clone that nobody wants: the copy has all its changes still unsealed.
func (k *Clone) Drop() error {
	c := k.copy
	c.mu.Lock()
	err := c.data.rouse()
	c.cloning = false
	c.mu.Unlock()
	c.turn.Unlock()
	s := c.store
	s.mu.Lock()
	s.reapLocked(k.data)
	s.unlock()
	return errors.Join(err, k.data.release(), c.Close())
}

// Compare finds a store through a map that came just while a version was
// sealed: the kernel sets the time first, then lets the program store, and hush can come in between.
// It is called before Cover, reads all of c if nobody else can write it any
// more, and nobody who uses c waits for it.
func (c *Copy) Compare() error {
	sum, file, err := c.comparable()
	if file == nil {
		return err
	}
	size, err := file.Size()
	var got uint32
	if err == nil {
		got, err = checksum(file, size)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, at, err := c.data.measure()
	if err != nil || !at.Equal(quiet()) { // we have written it meanwhile
		return err
	}
	if got != *sum {
		err = c.data.rouse()
	}
	if err == nil {
		c.compared = sum
	}
	return err
}

// comparable returns the checksum of the last version, and the file to compare
// with it; nil: there is nothing to compare, or somebody else can write it.
func (c *Copy) comparable() (*uint32, File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exposed.Load() != 1 || c.cloning || c.sum == c.compared {
		return nil, nil, nil
	}
	if _, at, err := c.data.measure(); err != nil || !at.Equal(quiet()) { // it shows that it was written
		return nil, nil, err
	}
	if writable, err := c.data.writable(); writable || err != nil {
		return nil, nil, err
	}
	file, err := c.data.reopen()
	return c.sum, file, err
}

// reopen opens the file once more, for reading.
func (d *data) reopen() (File, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return nil, fs.ErrClosed
	}
	return d.store.disk.OpenFile(d.path, os.O_RDONLY, 0)
}

// become makes d, which nobody else changes, the first n bytes of from.
func (d *data) become(from File, n int64) error {
	if _, err := d.cut(0); err != nil {
		return err
	}
	d.mu.RLock()
	file := d.file
	d.mu.RUnlock()
	if file == nil {
		return fs.ErrClosed
	}
	if err := file.CloneFrom(from, n); err != nil { // without d.mu: Usage asks every file
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size = n
	d.present.add(0, n)
	return nil
}

// cut makes d at most n bytes long and returns its length.
func (d *data) cut(n int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.resizeLocked(min(n, d.size))
	return d.size, err
}

// checksum returns that of the whole file.
func (d *data) checksum() (uint32, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return 0, fs.ErrClosed
	}
	return checksum(d.file, d.size)
}

func checksum(f io.ReaderAt, size int64) (uint32, error) {
	h := crc32.New(castagnoli)
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(f, 0, size), make([]byte, cloneBlock))
	return h.Sum32(), err
}
