package cache

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"ftpfs/conn"
)

// ErrNotPending says that a sealed version has ended: it is done, dropped,
// refused, or superseded by a later one, or its path was unlinked.
var ErrNotPending = errors.New("the version is not pending any more")

// Attrs is what a sealed version carries to the server beside its bytes.
type Attrs struct {
	Base    conn.Version // what the changes were made from, and where missing ranges come from
	Time    time.Time    // modification time to set; zero: leave
	Mode    fs.FileMode  // permission bits to set, if SetMode
	SetMode bool
	Tail    int64 // if not 0: the bytes before it are those of Base, whether or not they are present
	Local   bool  // it stays here: nothing of it is to reach the server
}

// Sealed is a version of a file that must reach the server, or stay here (Attrs.Local). Its bytes never
// change. It is pending from Seal until Done, Refuse or Drop, until another
// version of its path is sealed, or the path is unlinked or replaced by
// Rename; the journal keeps it as long, also through the death of the process. It is safe for
// concurrent use.
type Sealed struct {
	id    uint64
	file  uint64
	size  int64
	gen   uint64
	store *Store
	data  *data

	node   *node   // guarded by Store.mu
	attrs  Attrs   // guarded by Store.mu
	tried  bool    // guarded by Store.mu; see Attempted
	sent   bool    // guarded by Store.mu; as tried, also to a temporary name
	synced bool    // guarded by Store.mu
	lacks  []Range // guarded by Store.mu; missing ranges as the journal has them: at least those that are
	temp   uint64  // guarded by Store.mu; node of the last attempt's temporary file, 0: none

	// earlier versions were superseded after an attempt; see Earlier.
	earlier []conn.Version // guarded by Store.mu

	// shadow is a durable version that this one superseded. The journal keeps
	// it until this one is durable: a power cut brings it back, and not nothing.
	shadow *Sealed // guarded by Store.mu
}

// Seal records that the content of c, of its present size, is the version of
// path that must reach the server; ranges missing in c are those of a.Base.
// It takes the place of an earlier version of path that is still pending, is
// safe from the death of the process when Seal returns, and from a power cut after Sync. c has no
// unsealed changes afterwards (see Dirty). Later changes of c go to a clone of the
// file, except what is appended; an exposed one (Expose) stays, and the version gets a Clone.
func (s *Store) Seal(path string, c *Copy, a Attrs) (*Sealed, error) {
	if c.Exposed() {
		k, err := s.Clone(c)
		if err != nil {
			return nil, err
		}
		return k.Seal(path, a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.data.frozen() {
		if err := c.detach(c.size.Load()); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.unlock()
	d := c.data
	id, recs := s.index.reach(path)
	r := record{Op: "seal", ID: s.index.newID(), Node: id, File: d.id, Size: c.size.Load(), Gen: c.gen.Load(),
		Missing: d.allMissing(c.size.Load())}
	a.record(&r)
	ended, err := s.logLocked(append(recs, r)...)
	if err != nil {
		return nil, err
	}
	v := s.index.versions[r.ID]
	s.guardLocked(v, d)
	s.endLocked(ended)
	s.dropKeptLocked(c) // what the server will have, the caller says when it has it
	return v, nil
}

// SealApart is Seal, but c keeps its file whatever is written later: who has that
// open goes on to see all of it. The version gets a clone, also of one that is not exposed.
func (s *Store) SealApart(path string, c *Copy, a Attrs) (*Sealed, error) {
	if c.Exposed() {
		return s.Seal(path, c, a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	size := c.size.Load()
	to, err := s.newData()
	if err != nil {
		return nil, err
	}
	err = c.data.cloneTo(to, size)
	s.mu.Lock()
	defer s.unlock()
	var ended []*Sealed
	id, recs := s.index.reach(path)
	r := record{Op: "seal", ID: s.index.newID(), Node: id, File: to.id, Size: size, Gen: c.gen.Load(), Missing: to.allMissing(size)}
	a.record(&r)
	recs = append(recs, r)
	if _, dirty := s.index.marks[c.data.id]; dirty {
		recs = append(recs, record{Op: "clean", File: c.data.id})
	}
	if err == nil {
		ended, err = s.logLocked(recs...)
	}
	if err != nil {
		s.reapLocked(to)
		return nil, errors.Join(err, to.release())
	}
	v := s.index.versions[r.ID]
	s.guardLocked(v, to)
	s.endLocked(ended)
	s.dropKeptLocked(c)
	return v, to.release()
}

// guardLocked binds v to its file.
func (s *Store) guardLocked(v *Sealed, d *data) {
	v.store, v.data = s, d
	d.guards[v] = 1
	d.protectLocked()
}

// endLocked lets go of the files of versions that ended.
func (s *Store) endLocked(ended []*Sealed) {
	for _, v := range ended {
		if v.synced {
			v.data.settle.Store(s.journal.written.Load())
		}
		s.unguardLocked(v)
	}
}

func (s *Store) unguardLocked(v *Sealed) {
	d := v.data
	d.guards[v]--
	if d.guards[v] > 0 {
		return
	}
	delete(d.guards, v)
	d.protectLocked()
	if c := d.owner; c != nil && c.refs == 0 && len(d.guards) == 0 {
		s.idleLocked(c) // it was kept, but could not be evicted
	}
	s.reapLocked(d)
}

// Store returns the Store whose journal has v; an adopted one has its own.
func (v *Sealed) Store() *Store { return v.store }

// Path returns the server path that v is to reach, which Rename changes. Of a
// version that ended it is the last one.
func (v *Sealed) Path() string {
	v.store.mu.Lock()
	defer v.store.unlock()
	return v.node.path()
}

// Size returns the length of the version in bytes.
func (v *Sealed) Size() int64 { return v.size }

// Generation returns that of the Copy when it was sealed.
func (v *Sealed) Generation() uint64 { return v.gen }

// Attrs returns what Seal was given, with the base of the last SetBase.
// After a restart the times are in UTC.
func (v *Sealed) Attrs() Attrs {
	v.store.mu.Lock()
	defer v.store.unlock()
	return v.attrs
}

// Attempted reports whether an upload in place of v, or of a version that v
// superseded, was begun (Attempt) since its base was set: the server may have
// its result, or a part of it, without our knowing. One to a temporary name
// changes nothing until it is renamed, and then all.
func (v *Sealed) Attempted() bool {
	v.store.mu.Lock()
	defer v.store.unlock()
	return v.tried
}

// Sent reports whether an upload of v, or of a version that v superseded, was
// begun since its base was set, also to a temporary name.
func (v *Sealed) Sent() bool {
	v.store.mu.Lock()
	defer v.store.unlock()
	return v.sent || len(v.earlier) > 0
}

// Earlier returns the sizes and times that the server can show of versions
// which v superseded: attempts at them were begun since the base was set, and
// one of them may have come about without our knowing.
func (v *Sealed) Earlier() []conn.Version {
	v.store.mu.Lock()
	defer v.store.unlock()
	return slices.Clone(v.earlier)
}

// Pending reports whether v must still reach the server.
func (v *Sealed) Pending() bool {
	v.store.mu.Lock()
	defer v.store.unlock()
	return v.pendingLocked()
}

func (v *Sealed) pendingLocked() bool { return v.node.version == v && !v.store.closed }

// Missing returns the first range of [off, off+n), cut at the end of the
// version, that is not present, and whether there is one. It belongs to the base version.
func (v *Sealed) Missing(off, n int64) (Range, bool) {
	return v.data.missing(off, clampEnd(off, n, v.size))
}

// Complete reports whether every byte is present.
func (v *Sealed) Complete() bool {
	_, missing := v.Missing(0, v.size)
	return !missing
}

// Fill puts bytes of the base version where they are missing. As long as the
// Copy that was sealed shares the file (until it is changed within the sealed
// size), its Fill does the same, and this one completes that Copy.
func (v *Sealed) Fill(p []byte, off int64) error {
	if err := v.hold(); err != nil {
		return err
	}
	defer v.unhold()
	err := v.data.fill(p, off, v.size)
	if errors.Is(err, errFrozen) {
		return ErrNotPending // it is being refused
	}
	return err
}

// hold keeps the file of a pending version, open, until unhold.
func (v *Sealed) hold() error {
	v.store.mu.Lock()
	defer v.store.unlock()
	if !v.pendingLocked() {
		return ErrNotPending
	}
	if err := v.data.acquire(); err != nil {
		return err
	}
	v.data.guards[v]++
	return nil
}

func (v *Sealed) unhold() error {
	err := v.data.release()
	v.store.mu.Lock()
	defer v.store.unlock()
	if !v.store.closed {
		v.store.unguardLocked(v)
	}
	return err
}

// Reader reads the bytes of a sealed version. A read of missing ones returns ErrMissing.
type Reader struct {
	*io.SectionReader
	sealed *Sealed
}

// Reader opens the version, which must be pending, for reading. The reader
// keeps the bytes as they are until it is closed, whatever becomes of the version.
func (v *Sealed) Reader() (*Reader, error) {
	if err := v.hold(); err != nil {
		return nil, err
	}
	return &Reader{io.NewSectionReader(sealedBytes{v}, 0, v.size), v}, nil
}

// Close ends the use of the bytes. It must be called once.
func (r *Reader) Close() error { return r.sealed.unhold() }

type sealedBytes struct{ v *Sealed }

func (b sealedBytes) ReadAt(p []byte, off int64) (int, error) {
	return b.v.data.readAt(p, off, b.v.size)
}

// Copy returns a Copy with the bytes of v, which must be pending: the one
// that was sealed, with what was appended to it since, while that is in use or
// kept and shares the file; else one of its own, as after a restart. The caller is a user of it.
func (v *Sealed) Copy() (*Copy, error) {
	s := v.store
	s.mu.Lock()
	defer s.unlock()
	if !v.pendingLocked() {
		return nil, ErrNotPending
	}
	d := v.data
	if d.owner != nil {
		return d.owner, s.useLocked(d.owner)
	}
	if err := d.acquire(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	err := d.resizeLocked(v.size) // without what was appended and never sealed
	d.mu.Unlock()
	if err != nil {
		return nil, errors.Join(err, d.release())
	}
	c := &Copy{store: s, data: d, refs: 1}
	c.size.Store(v.size)
	c.gen.Store(v.gen)
	d.owner = c
	return c, nil
}

// Sync makes the version safe from a power cut: its bytes, their file's name
// and the journal up to here are durable when it returns.
func (v *Sealed) Sync() error {
	if err := v.hold(); err != nil {
		return err
	}
	defer v.unhold()
	s, d := v.store, v.data
	lacks := d.allMissing(v.size) // before the fsync: what comes later is not covered
	if err := s.syncData(d); err != nil {
		return err
	}
	s.mu.Lock()
	if !v.pendingLocked() {
		s.unlock()
		return ErrNotPending
	}
	ended, err := s.logLocked(record{Op: "sync", ID: v.id, Missing: lacks})
	at := s.journal.written.Load()
	s.unlock()
	if err == nil {
		err = s.journal.flush(at)
	}
	s.mu.Lock()
	defer s.unlock()
	if !s.closed {
		s.endLocked(ended) // not before the flush: until then a power cut brings them back
	}
	return err
}

// Attempt records that an upload begins, before its first command. temp is
// the name of the temporary file it goes to, in the directory of the path, or
// empty if it goes to the path itself. The record is not synced: whoever
// overwrites a file in place, the only whole copy then being here, calls Sync first.
func (v *Sealed) Attempt(temp string) error {
	if strings.Contains(temp, "/") {
		return fs.ErrInvalid
	}
	return v.log(func(s *Store) (recs []record) {
		v.temp = 0
		if temp != "" {
			v.temp, recs = s.index.reach(v.node.parent.path() + "/" + temp)
		}
		return append(recs, record{Op: "try", ID: v.id, Node: v.temp})
	})
}

// SetBase records what the server has now, where this is known: a version
// that v superseded arrived after all, or a conflict was resolved. Earlier attempts are settled then.
func (v *Sealed) SetBase(b conn.Version) error {
	return v.log(func(*Store) []record {
		return []record{{Op: "base", ID: v.id, Base: toBase(b)}}
	})
}

// Done records that the server has confirmed the version, so that nothing of it needs to be
// kept: a Copy that shares it is clean, and without one (Copy) the bytes
// are removed. The temporary file of the last Attempt is taken as renamed.
// The record is not synced: after a power cut the version may be pending again.
func (v *Sealed) Done() error {
	return v.log(func(*Store) []record { return []record{{Op: "end", ID: v.id, Node: v.temp}} })
}

// Drop gives the version up: nobody wants its bytes on the server any more.
func (v *Sealed) Drop() error {
	return v.log(func(*Store) []record { return []record{{Op: "end", ID: v.id}} })
}

// log journals what fn returns, if v is pending.
func (v *Sealed) log(fn func(*Store) []record) error {
	s := v.store
	s.mu.Lock()
	defer s.unlock()
	if !v.pendingLocked() {
		return ErrNotPending
	}
	ended, err := s.logLocked(fn(s)...)
	if err != nil {
		return err
	}
	s.endLocked(ended)
	return nil
}
