package transfer

import (
	"context"
	"io/fs"
	"sync"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// File is a remote file that is open or has something to upload.
type File struct {
	m     *Manager
	store *cache.Store  // where its copy and its seals live
	turn  chan struct{} // semaphore of one: who uploads, renames or removes the file

	handles int // guarded by m.mu

	mu        sync.Mutex
	writers   map[*Handle]struct{} // that can write; guarded by mu
	path      string               // changes only with turn, m.mu and mu held
	entry     conn.Entry           // as the server last told; guarded by mu
	checkedAt time.Time            // when entry was known to be true; guarded by mu
	copiedAt  time.Time            // when the version in copy was known to be true; guarded by mu
	onServer  bool                 // there is a file at path on the server; guarded by mu
	streamed  bool                 // a transfer into copy was begun; guarded by mu
	uncertain bool                 // an upload was given up or cut, and can have come about all the same; guarded by mu
	copy      *cache.Copy          // nil until the content is needed; guarded by mu
	thrown    *cache.Copy          // a copy of which the server did not confirm the end; guarded by mu
	why       error                // it was thrown away; guarded by mu
	unsure    bool                 // all of copy has come, but not its confirmation: good for who has it open; guarded by mu
	dirty     bool                 // copy has what the server has not; guarded by mu
	emptied   bool                 // dirty by create or O_TRUNC alone: a Flush sends nothing; guarded by mu
	mtime     time.Time            // while dirty: to be set on the server; guarded by mu
	mode      fs.FileMode          // permission bits to be set with the next upload, if withMode; guarded by mu
	withMode  bool                 // guarded by mu
	aside     bool                 // unlinked, and kept on the server at path until the last handle is released; guarded by mu
	local     bool                 // it stays here: nothing of it goes to the server; guarded by mu
	unlinked  bool                 // there is no name for it any more: never uploaded; guarded by mu
	sealed    *cache.Sealed        // the version in the journal that is not on the server; guarded by mu
	sending   *cache.Sealed        // the version that job sends; guarded by mu
	sealedGen uint64               // of copy when sealed was made; guarded by mu
	sealedAt  time.Time            // guarded by mu
	cloning   chan struct{}        // closed when the clone for a version is made; nil: there is none; guarded by mu
	asked     bool                 // a close or fsync wants what is in copy sealed and uploaded; guarded by mu
	adopted   bool                 // from the journal of a mount that died, and not yet looked at on the server; guarded by mu
	tail      tail                 // what was appended; guarded by mu
	ordered   int64                // bytes written in order since f was empty; -1: there were others; guarded by mu
	live      *live                // the upload of them under way; guarded by mu
	job       *job                 // the upload under way or waiting for its turn; guarded by mu
	removals  int                  // that wait for turn; guarded by mu
	sentGen   uint64               // of copy, as the server has it; guarded by mu
	sentSeq   uint64               // m.uploads when the last upload ended; guarded by mu
	sentAt    time.Time            // when the last upload ended; guarded by mu
	queued    bool                 // waits in m.queue; guarded by mu
	retry     *time.Timer          // guarded by mu
	failed    int                  // uploads that failed in a row; guarded by mu
	open      int                  // handles; guarded by mu
	shown     map[*cache.Copy]int  // handles for which the kernel may reach it without us; guarded by mu
	leaving   int                  // handles that are being closed and read no more; guarded by mu
	left      chan struct{}        // closed and replaced when who waits for bytes is taken for gone; guarded by mu
	pattern   pattern              // of reads; guarded by mu
	streams   []*stream            // guarded by mu
	progress  chan struct{}        // closed and replaced whenever a stream got on; guarded by mu
}

func newFile(m *Manager, p string, s *cache.Store) *File {
	return &File{
		m: m, path: p, store: s, turn: make(chan struct{}, 1), progress: make(chan struct{}), left: make(chan struct{}),
		writers: make(map[*Handle]struct{}), shown: make(map[*cache.Copy]int), ordered: -1, tail: tail{from: -1, sealed: -1},
	}
}

// begin sets f up as a file that was just created; fresh: that there was none
// was known a second ago; local: it stays here. f.mu is held.
func (f *File) begin(e conn.Entry, onServer, fresh, local bool) {
	f.lookLocked()
	if f.dirty {
		return // somebody else created it at the same time
	}
	f.discardLocked() // of a file that was here before
	f.entry, f.onServer, f.local = e, onServer, local
	if fresh {
		f.checkedAt = time.Now()
	}
	f.ordered = 0
	f.mode, f.withMode = e.Mode, !onServer
}

// meet tells f what the server said of it at the time known, when seen uploads
// had ended. f.mu is held.
func (f *File) meet(e conn.Entry, known time.Time, seen uint64) {
	f.lookLocked()
	if f.dirty || f.sentSeq > seen {
		return // ours counts until it is uploaded, and e is older than an upload
	}
	if f.copy != nil && !f.entry.Version().Same(e.Version()) {
		f.discardLocked()
	}
	f.entry, f.onServer, f.checkedAt = e, true, known
}

// discardLocked lets go of a copy whose version the server no longer has.
func (f *File) discardLocked() {
	f.disorderLocked()
	for _, s := range f.streams {
		s.stopLocked()
	}
	f.streams = nil
	if f.copy != nil {
		for w := range f.writers {
			if w.bound == f.copy {
				w.stray = f.copy.Generation()
			}
		}
		f.copy.Close()
		f.copy = nil
	}
	f.sentGen, f.sealedGen, f.asked, f.streamed, f.pattern = 0, 0, false, false, pattern{}
	f.thrown, f.why, f.unsure = nil, nil, false
}

// parkLocked gives the copy of a file that is done with to the cache. The
// caller holds Manager.mu, too.
func (f *File) parkLocked() {
	c := f.copy
	f.copy = nil
	switch {
	case c == nil:
	case f.unlinked || f.unsure || f.store != f.m.store:
		c.Close()
	default:
		ours, racy := c.Generation() > 0, f.racyLocked()
		if ours || !racy {
			f.store.Keep(f.path, f.entry.Version(), racy, c)
		} else if c.Complete() {
			f.m.youngLocked(f.path, f.entry.Version())
		}
		c.Close()
	}
}

// racyFor is how long after its modification time, and the precision of that,
// a file can change again and look the same.
const racyFor = 2 * time.Second

// racyLocked tells whether the server may have another version of the same
// size and time: the file was too young when we learned of it. The clock is
// ours, since FTP does not tell the server's.
func (f *File) racyLocked() bool {
	known := f.copiedAt
	if f.sentAt.After(known) {
		known = f.sentAt
	}
	return f.entry.Time.IsZero() || f.entry.Time.Add(f.entry.Precision+racyFor).After(known)
}

// contentLocked returns the copy, and makes it first if there is none.
func (f *File) contentLocked() (*cache.Copy, error) {
	if c, ok := f.hereLocked(); ok {
		return c, nil
	}
	if f.entry.Size < 0 {
		return nil, &conn.Error{Op: "open", Path: f.path, Outcome: conn.Refused, Err: conn.ErrProtocol}
	}
	c, err := f.store.NewCopy(f.entry.Size)
	if err != nil {
		return nil, err
	}
	f.copy, f.copiedAt = c, f.checkedAt
	return c, nil
}

// hereLocked returns the copy, if there is one already.
func (f *File) hereLocked() (*cache.Copy, bool) {
	if f.copy != nil {
		return f.copy, true
	}
	c, ok := f.store.Reuse(f.path, f.entry.Version())
	if ok {
		f.copy, f.copiedAt = c, f.checkedAt
	}
	return c, ok
}

// contentOf returns the copy that h works on. One that was replaced since h
// first used it holds another version: conn.ErrConflict.
func (f *File) contentOf(h *Handle) (*cache.Copy, error) {
	c, err := f.contentLocked()
	if err != nil {
		return nil, err
	}
	switch {
	case h.copy == nil || h.copy == c:
		h.copy = c
		return c, nil
	case h.copy == f.thrown:
		return nil, f.why
	default:
		return nil, &conn.Error{Op: "read", Path: f.path, Outcome: conn.Refused, Err: conn.ErrConflict}
	}
}

func (f *File) attrLocked() Attr {
	f.lookLocked()
	a := Attr{Size: f.entry.Size, Time: f.entry.Time, Mode: f.entry.Mode, HasMode: f.entry.HasMode, Unlinked: f.unlinked}
	if f.copy != nil {
		a.Size = f.copy.Size()
	}
	if f.dirty {
		a.Time = f.mtime
	}
	if f.withMode {
		a.Mode, a.HasMode = f.mode, true
	}
	return a
}

// change runs fn on the copy, which it changes for h from the offset that off
// returns on, and marks f dirty.
func (f *File) change(h *Handle, off func(c *cache.Copy) int64, fn func(c *cache.Copy) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changeLocked(h, off, fn)
}

func (f *File) changeLocked(h *Handle, off func(c *cache.Copy) int64, fn func(c *cache.Copy) error) error {
	if h.lost != nil {
		return h.lost
	}
	f.lookLocked()
	c, err := f.contentOf(h)
	if err != nil {
		return err
	}
	from := off(c)
	if c.Exposed() { // the kernel may be writing anywhere in the same instant
		from = 0
		f.disorderLocked()
	}
	f.changedLocked(from)
	if err := f.dirtyLocked(c); err != nil {
		return err
	}
	f.emptied = false
	f.mtime = now()
	defer func() {
		h.gen = c.Generation()
		f.attributeLocked()
	}()
	return fn(c)
}

// now is the time to the second: what a server keeps of it. What is shown
// before an upload must not change by it.
func now() time.Time { return time.Now().Truncate(time.Second) }

// Empty is O_TRUNC, or the content of a created file.
func (h *Handle) Empty() error {
	f := h.f
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.copy
	if c == nil { // no need to look at what the server has
		var err error
		if c, err = f.store.NewCopy(0); err != nil {
			return err
		}
		f.copy = c
	}
	h.copy = c
	f.changedLocked(0)
	wasDirty := f.dirty && !f.emptied
	if err := f.dirtyLocked(c); err != nil {
		return err
	}
	f.disorderLocked()
	f.ordered = 0
	f.emptied = !wasDirty
	f.mtime = now()
	return c.Truncate(0)
}

// dirtyLocked notes, before the first change, that c will differ from what
// the server has: in the journal and in the tree.
func (f *File) dirtyLocked(c *cache.Copy) error {
	if f.unlinked {
		f.dirty = true
		return nil
	}
	if err := f.store.Dirty(f.path, c); err != nil {
		return err
	}
	if !f.dirty {
		f.dirty = true
		f.m.tree.Show(f.path, f.entry)
	}
	return nil
}

// wakeLocked tells those who wait that a stream got on.
func (f *File) wakeLocked() {
	close(f.progress)
	f.progress = make(chan struct{})
}

// take waits for f's turn: to upload, rename or remove it.
func (f *File) take(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		f.give()
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *File) give() { <-f.turn }
