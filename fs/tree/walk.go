package tree

import (
	"context"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	aheadDirs    = 32                    // directories that are listed ahead of a walk at most
	aheadPerDir  = 2                     // how many more each directory allows that the program enters
	aheadEntries = 20000                 // entries in them
	aheadAtOnce  = 8                     // listings at once
	aheadWindow  = 2 * aheadAtOnce       // directories of which the next one is chosen, those that are being listed ahead among them
	walkPause    = 2 * time.Second       // a walk that enters no directory for so long has stopped
	spareForWalk = 4                     // idle sessions for what may be the beginning of a walk: a login takes longer than listing a directory
	betweenDirs  = 20 * time.Millisecond // a program that only lists opens another directory after
	maxSeen      = 1 << 10               // directories that a walker remembers
)

// walker lists the directories that a program will enter next, before it does:
// those below the one that it has just listed, in the order of the listing,
// then those that follow it and the directories above it, up to the one where
// the walk began. That is the order of find, ls -R, du, cp -r and rm -r. A
// program walks once it lists a directory soon after its parent.
//
// Listings ahead take the place of nobody who waits, and whoever comes to a
// directory that is being listed ahead waits for that listing.
type walker struct {
	t       *Tree
	waiting atomic.Int32 // programs that wait for a listing
	opened  atomic.Int64 // when one was opened last, in nanoseconds of Unix time

	mu      sync.Mutex
	top     string                  // where the walk began; guarded by mu
	at      string                  // what was listed last; guarded by mu
	seen    map[string]time.Time    // directories that programs listed, and when; guarded by mu
	tried   map[string]bool         // directories that were listed ahead, or failed to be; true: that is under way; guarded by mu
	below   map[*cache.Dir][]string // the directories in a listing; guarded by mu
	coming  map[string][]string     // those in a listing that the server has sent and not confirmed; guarded by mu
	life    context.Context         // of the walk; nil: there is none; guarded by mu
	stop    *time.Timer             // ends life; guarded by mu
	credit  int                     // directories that may still be listed ahead; guarded by mu
	large   bool                    // one of them was; guarded by mu
	workers int                     // guarded by mu
}

func newWalker(t *Tree) *walker {
	return &walker{t: t, seen: make(map[string]time.Time), tried: make(map[string]bool), below: make(map[*cache.Dir][]string), coming: make(map[string][]string)}
}

// entering notes that a program begins to list dir, and lists ahead of it if it walks.
func (w *walker) entering(dir string) {
	if w.t.pool.Status().Limit < 2 || w.t.ttl < walkPause {
		return // the only session is for who waits; what is soon old is no use
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	parent, ok := w.seen[path.Dir(dir)]
	_, before := w.tried[dir]
	if len(w.seen) >= maxSeen {
		clear(w.seen)
	}
	w.seen[dir] = now
	switch {
	case w.life != nil:
		if w.top != "/" && !strings.HasPrefix(dir, w.top+"/") {
			w.top = path.Dir(dir)
		}
		w.stop.Reset(walkPause)
		w.credit = min(w.credit+aheadPerDir, aheadDirs)
	case before || ok && now.Sub(parent) < walkPause:
		w.top = path.Dir(dir)
		w.beginLocked()
	default:
		if d, ok := w.t.dirs.Peek(dir); !ok || d.Age() >= w.t.ttl {
			w.t.pool.Spare(spareForWalk)
		}
		return
	}
	w.at = dir
	w.hireLocked()
}

// entered notes that dir, which a program lists, is here: the directories in it
// may be wanted next.
func (w *walker) entered(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life != nil && w.at == dir {
		w.hireLocked()
	}
}

// sent notes what is in dir, before the server has said whether that is all.
// The directories in it are listed ahead already: should the listing turn out
// to be none, that was for nothing.
func (w *walker) sent(dir string, entries []conn.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life == nil {
		return
	}
	var names []string
	for _, e := range entries {
		if e.Kind == conn.KindDir && !IsTemporary(e.Name) {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	if len(w.coming) >= maxSeen {
		clear(w.coming)
	}
	w.coming[dir] = names
	w.hireLocked()
}

func (w *walker) beginLocked() {
	life, end := context.WithCancel(context.Background())
	w.life, w.credit, w.large = life, aheadDirs, false
	w.stop = time.AfterFunc(walkPause, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		end()
		if w.life == life {
			w.life = nil
			clear(w.below)
			clear(w.coming)
		}
	})
}

// hireLocked starts workers while there is something to list, one for every two
// directories: a login takes as long as that.
func (w *walker) hireLocked() {
	if len(w.tried) >= maxSeen {
		clear(w.tried)
	}
	wanted := len(w.windowLocked())
	for ; w.workers < min(aheadAtOnce, (wanted+1)/2); w.workers++ {
		go w.work(w.life)
	}
}

// work lists ahead until there is nothing more to list.
func (w *walker) work(ctx context.Context) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.workers--
	}()
	for w.more(ctx) {
		err := w.t.pool.Run(ctx, w.class(), conn.Repeatable, w.listOne)
		if err != nil && conn.OutcomeOf(err) != conn.Refused {
			return // no session, no server, or no walk
		}
	}
}

// class says how many sessions the walk may use: the one that is kept for who
// waits, too, if listings are what is waited for, now or in a moment, and each
// is soon done.
func (w *walker) class() conn.Class {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := w.waiting.Load() > 0 || time.Now().UnixNano()-w.opened.Load() < int64(betweenDirs)
	if w.large || !wanted {
		return conn.Background
	}
	return conn.Brief
}

// more tells whether there is something to list, and sees to it that others
// help: a listing that has just come may name many directories.
func (w *walker) more(ctx context.Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil || w.life == nil {
		return false
	}
	w.hireLocked()
	_, ok := w.nextLocked()
	return ok
}

// listOne lists the directory that is wanted most by now.
func (w *walker) listOne(ctx context.Context, s conn.Session) error {
	w.mu.Lock()
	dir, ok := w.nextLocked()
	if !ok {
		w.mu.Unlock()
		return nil
	}
	w.tried[dir] = true
	w.credit--
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tried[dir] = false
	}()
	return w.t.dirs.Prefetch(ctx, dir, w.t.ttl, func(ctx context.Context) (conn.Listing, error) {
		l, err := w.t.read(ctx, s, dir, nil)
		if l.Len() > conn.EarlyFrom {
			w.mu.Lock()
			w.large = true
			w.mu.Unlock()
		}
		return l, err
	})
}

// nextLocked returns the directory to list next: the first in the order of the
// walk, or one that leads out of where all before it are. What is in that will
// be wanted when they are through, and no session shall be idle then.
func (w *walker) nextLocked() (dir string, ok bool) {
	if w.credit <= 0 {
		return "", false
	}
	least := math.MaxInt
	for _, p := range w.windowLocked() {
		underWay, depth := w.tried[p], strings.Count(p, "/")
		if !underWay && (!ok || depth < least) {
			dir, ok = p, true
		}
		least = min(least, depth)
	}
	return dir, ok
}

// windowLocked returns the next directories in the order of the walk that are
// not listed yet, those that are being listed ahead among them.
func (w *walker) windowLocked() []string {
	s := search{w: w}
	for dir, below := w.at, ""; ; dir, below = path.Dir(dir), path.Base(dir) {
		if !s.visit(dir, below) || dir == w.top || dir == "/" {
			return s.found
		}
	}
}

// search looks for directories to list.
type search struct {
	w             *walker
	found         []string
	dirs, entries int // met so far, listed ahead or to be
}

// visit searches the directories in dir that follow the name after, and goes
// down into those that are listed already. It returns false when it is done.
func (s *search) visit(dir, after string) bool {
	names, ok := s.w.namesLocked(dir)
	if !ok {
		return after == "" // what is above may be known
	}
	for _, name := range names {
		if name <= after {
			continue
		}
		p := path.Join(dir, name)
		underWay, tried := s.w.tried[p]
		known, ok := s.w.t.dirs.Peek(p)
		_, coming := s.w.coming[p]
		s.dirs++
		if ok {
			s.entries += known.Len()
		}
		switch {
		case s.dirs > aheadDirs || s.entries > aheadEntries:
			return false
		case coming, ok && known.Age() < s.w.t.ttl:
			if !s.visit(p, "") {
				return false
			}
		case underWay || !tried:
			if s.found = append(s.found, p); len(s.found) >= aheadWindow {
				return false
			}
		}
	}
	return true
}

// namesLocked returns the names of the directories in dir, as far as that is known.
func (w *walker) namesLocked(dir string) ([]string, bool) {
	if d, ok := w.t.dirs.Peek(dir); ok {
		delete(w.coming, dir)
		return w.dirsInLocked(d), true
	}
	names, ok := w.coming[dir]
	return names, ok
}

// dirsInLocked returns the names of the directories in d.
func (w *walker) dirsInLocked(d *cache.Dir) []string {
	names, ok := w.below[d]
	if ok {
		return names
	}
	for e := range d.Entries().From(0) {
		if e.Kind == conn.KindDir && !IsTemporary(e.Name) {
			names = append(names, e.Name)
		}
	}
	if len(w.below) >= maxSeen {
		clear(w.below)
	}
	w.below[d] = names
	return names
}
