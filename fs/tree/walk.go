package tree

import (
	"context"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	aheadDirs    = 32              // directories that are listed ahead of a walk at most
	aheadPerDir  = 2               // how many more each directory allows that the program enters
	aheadEntries = 20000           // entries in them
	aheadAtOnce  = 8               // listings at once
	walkPause    = 2 * time.Second // a walk that enters no directory for so long has stopped
	maxSeen      = 1 << 10         // directories that a walker remembers
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

	mu      sync.Mutex
	top     string                  // where the walk began; guarded by mu
	at      string                  // what was listed last; guarded by mu
	seen    map[string]time.Time    // directories that programs listed, and when; guarded by mu
	tried   map[string]struct{}     // directories that were listed ahead, or failed to be; guarded by mu
	below   map[*cache.Dir][]string // the directories in a listing; guarded by mu
	life    context.Context         // of the walk; nil: there is none; guarded by mu
	stop    *time.Timer             // ends life; guarded by mu
	credit  int                     // directories that may still be listed ahead; guarded by mu
	large   bool                    // one of them was; guarded by mu
	workers int                     // guarded by mu
}

func newWalker(t *Tree) *walker {
	return &walker{t: t, seen: make(map[string]time.Time), tried: make(map[string]struct{}), below: make(map[*cache.Dir][]string)}
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
		}
	})
}

// hireLocked starts workers while there is something to list, one for every two
// directories: a login takes as long as that.
func (w *walker) hireLocked() {
	if len(w.tried) >= maxSeen {
		clear(w.tried)
	}
	wanted := len(w.nextLocked(2 * aheadAtOnce))
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
// waits, too, if listings are what is waited for and each is soon done.
func (w *walker) class() conn.Class {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.large || w.waiting.Load() == 0 {
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
	return len(w.nextLocked(1)) > 0
}

// listOne lists the directory that is wanted most by now.
func (w *walker) listOne(ctx context.Context, s conn.Session) error {
	w.mu.Lock()
	next := w.nextLocked(1)
	if len(next) == 0 {
		w.mu.Unlock()
		return nil
	}
	dir := next[0]
	w.tried[dir] = struct{}{}
	w.credit--
	w.mu.Unlock()
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

// nextLocked returns up to n directories to list, those wanted first in front.
func (w *walker) nextLocked(n int) []string {
	s := search{w: w, want: min(n, w.credit)}
	for dir, below := w.at, ""; s.want > 0; dir, below = path.Dir(dir), path.Base(dir) {
		if !s.visit(dir, below) || dir == w.top || dir == "/" {
			break
		}
	}
	return s.found
}

// search looks for directories to list.
type search struct {
	w             *walker
	want          int
	found         []string
	dirs, entries int // met so far, listed ahead or to be
}

// visit searches the directories in dir that follow the name after, and goes
// down into those that are listed already. It returns false when it is done.
func (s *search) visit(dir, after string) bool {
	d, ok := s.w.t.dirs.Peek(dir)
	if !ok {
		return after == "" // what is above may be known
	}
	for _, name := range s.w.dirsInLocked(d) {
		if name <= after {
			continue
		}
		p := path.Join(dir, name)
		_, tried := s.w.tried[p]
		known, ok := s.w.t.dirs.Peek(p)
		s.dirs++
		if ok {
			s.entries += known.Len()
		}
		switch {
		case s.dirs > aheadDirs || s.entries > aheadEntries:
			return false
		case ok && known.Age() < s.w.t.ttl:
			if !s.visit(p, "") {
				return false
			}
		case !tried:
			if s.found = append(s.found, p); len(s.found) >= s.want {
				return false
			}
		}
	}
	return true
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
