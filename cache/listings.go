package cache

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"ftpfs/conn"
)

// Listings keeps the listings of remote directories in memory, keyed by
// absolute server path. It is bounded by the number of entries over all
// directories; the directories used longest ago go first.
//
// It is the generation guard of the tree: a listing whose load began before a
// local change is never stored, and a caller that comes after the change
// never gets it.
type Listings struct {
	maxEntries int
	ttl        time.Duration

	mu       sync.Mutex
	replaced func(dir string, old, new *Dir)    // nil: nobody wants to know; guarded by mu
	dirs     *simplelru.LRU[string, *cachedDir] // guarded by mu
	entries  int                                // guarded by mu; the sum of cost over dirs
	flights  map[string]*flight                 // guarded by mu; loads that new callers may join
}

// cachedDir is a Dir with what it was counted as in Listings.entries.
type cachedDir struct {
	*Dir
	cost int
}

// flight is one load under way. Once it is out of Listings.flights, it serves
// those who wait for it already and is not stored.
type flight struct {
	cancel  context.CancelFunc
	waiters int           // guarded by Listings.mu
	packer  packer        // of early; guarded by Listings.mu
	early   []packed      // that have come so far, as far as load tells; guarded by Listings.mu
	more    chan struct{} // closed and replaced when early grows; guarded by Listings.mu
	done    chan struct{} // closed once dir and err are set
	dir     *Dir
	err     error
}

func newFlight() *flight { return &flight{more: make(chan struct{}), done: make(chan struct{})} }

// NewListings returns an empty cache for at most maxEntries directory
// entries; a single directory with more is kept alone. ttl is what TTL
// returns; each Load says itself what age it accepts.
func NewListings(maxEntries int, ttl time.Duration) *Listings {
	// The only error is a size that is not positive. The bound is on entries,
	// not on directories, so the LRU itself has none.
	dirs, _ := simplelru.NewLRU[string, *cachedDir](math.MaxInt, nil)
	return &Listings{maxEntries: maxEntries, ttl: ttl, dirs: dirs, flights: make(map[string]*flight)}
}

// OnReplace has fn called whenever a listing of a directory takes the place of
// one that was cached, in the goroutine that loaded it and with no lock held.
func (l *Listings) OnReplace(fn func(dir string, old, new *Dir)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replaced = fn
}

// TTL returns the age up to which listings are to be believed.
func (l *Listings) TTL() time.Duration { return l.ttl }

// Len returns the number of entries in all cached directories. A directory
// counts as one entry at least.
func (l *Listings) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries
}

// Load returns the cached listing of dir if it is younger than maxAge, else
// what load returns. With maxAge zero or less the cache is not asked, but a
// load already under way is joined.
//
// At most one load for a directory runs between two changes; it runs in a goroutine of
// its own, with no lock held, under a context with the values of the first
// caller's ctx. It is cancelled only when nobody waits for it any more. A
// caller whose ctx ends stops waiting and gets the cause. An error goes to
// all who wait and is not kept.
func (l *Listings) Load(ctx context.Context, dir string, maxAge time.Duration,
	load func(context.Context) (conn.Listing, error)) (*Dir, error) {
	d, f := l.join(ctx, dir, maxAge, func(ctx context.Context, _ func([]conn.Entry)) (conn.Listing, error) { return load(ctx) })
	if d != nil {
		return d, nil
	}
	select {
	case <-f.done:
		return f.dir, f.err
	case <-ctx.Done():
		l.leave(dir, f)
		return nil, context.Cause(ctx)
	}
}

// join returns the cached listing of dir if it is younger than maxAge, else
// the load under way, which it begins if there is none. The caller waits for
// that, or leaves.
func (l *Listings) join(ctx context.Context, dir string, maxAge time.Duration, load earlyLoad) (*Dir, *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d, ok := l.dirs.Get(dir); ok && maxAge > 0 && d.Age() < maxAge {
		return d.Dir, nil
	}
	f := l.flights[dir]
	if f == nil {
		f = newFlight()
		l.flights[dir] = f
		var flightCtx context.Context
		flightCtx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go l.fly(flightCtx, dir, f, func(ctx context.Context) (conn.Listing, error) {
			return load(ctx, func(some []conn.Entry) { l.arrived(f, some) })
		})
	}
	f.waiters++
	return nil, f
}

// Prefetch loads dir for who may want it soon, unless a listing younger than
// maxAge is cached or a load is under way. load runs in the caller's goroutine.
// It is cancelled when ctx ends, unless somebody else waits for it by then.
func (l *Listings) Prefetch(ctx context.Context, dir string, maxAge time.Duration,
	load func(context.Context) (conn.Listing, error)) error {
	l.mu.Lock()
	if d, ok := l.dirs.Peek(dir); ok && d.Age() < maxAge || l.flights[dir] != nil {
		l.mu.Unlock()
		return nil
	}
	f := newFlight()
	f.waiters = 1
	l.flights[dir] = f
	var flightCtx context.Context
	flightCtx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { l.leave(dir, f) })
	defer stop()
	l.fly(flightCtx, dir, f, load)
	return f.err
}

// fly runs load and stores what it gave unless f was made stale meanwhile.
func (l *Listings) fly(ctx context.Context, dir string, f *flight,
	load func(context.Context) (conn.Listing, error)) {
	defer f.cancel()
	listing, err := load(ctx)
	if err != nil {
		f.err = err
	} else {
		l.mu.Lock()
		early := Entries{f.early}
		l.mu.Unlock()
		f.dir = newDir(listing, early)
	}
	l.mu.Lock()
	var old *cachedDir
	stored, replaced := err == nil && l.flights[dir] == f, l.replaced
	if l.flights[dir] == f {
		delete(l.flights, dir)
	}
	if stored {
		old, _ = l.dirs.Peek(dir)
		l.storeLocked(dir, f.dir)
	}
	l.mu.Unlock()
	close(f.done)
	if stored && old != nil && replaced != nil {
		replaced(dir, old.Dir, f.dir)
	}
}

// leave takes one waiter off f; the last one cancels it.
func (l *Listings) leave(dir string, f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.waiters--
	if f.waiters > 0 {
		return
	}
	f.cancel()
	if l.flights[dir] == f {
		delete(l.flights, dir)
	}
}

// Peek returns the cached listing of dir, however old, and loads nothing.
func (l *Listings) Peek(dir string) (*Dir, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.dirs.Get(dir)
	if !ok {
		return nil, false
	}
	return d.Dir, true
}

// Change applies a local change to the listing of dir, if it is cached: fn
// gets it. A load of dir that is under way is made stale whether or not a
// listing is cached. fn runs under the lock of l: it must be quick and must not call l.
func (l *Listings) Change(dir string, fn func(*Dir)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flights, dir)
	d, ok := l.dirs.Peek(dir)
	if !ok {
		return
	}
	fn(d.Dir)
	l.recountLocked(d)
	l.evictLocked()
}

// PutEmpty stores that dir is empty, as a new one is, and makes a load under
// way stale.
func (l *Listings) PutEmpty(dir string) {
	d := newDir(conn.Listing{Complete: true}, Entries{})
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flights, dir)
	l.dropLocked(dir)
	l.storeLocked(dir, d)
}

// Forget drops the listing of dir and makes a load under way stale.
func (l *Listings) Forget(dir string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flights, dir)
	l.dropLocked(dir)
}

// ForgetTree does as Forget for dir and for everything below it.
func (l *Listings) ForgetTree(dir string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetTreeLocked(dir)
}

// ForgetAll does as Forget for every directory.
func (l *Listings) ForgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.flights)
	l.dirs.Purge()
	l.entries = 0
}

// Rename moves the listings of oldDir and everything below it to newDir,
// where it drops what was there. Loads under way below either are made stale.
// The entries in the two parents are the caller's business (Change).
func (l *Listings) Rename(oldDir, newDir string) {
	if oldDir == newDir {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var paths []string
	var moved []*Dir
	for _, p := range l.dirs.Keys() { // oldest first: their order stays
		if isUnder(p, oldDir) {
			d, _ := l.dirs.Peek(p)
			paths = append(paths, newDir+p[len(oldDir):])
			moved = append(moved, d.Dir)
		}
	}
	l.forgetTreeLocked(oldDir)
	l.forgetTreeLocked(newDir)
	for i, p := range paths {
		l.storeLocked(p, moved[i])
	}
}

func (l *Listings) forgetTreeLocked(dir string) {
	for p := range l.flights {
		if isUnder(p, dir) {
			delete(l.flights, p)
		}
	}
	for _, p := range l.dirs.Keys() {
		if isUnder(p, dir) {
			l.dropLocked(p)
		}
	}
}

func (l *Listings) storeLocked(dir string, d *Dir) {
	l.dropLocked(dir)
	c := &cachedDir{Dir: d}
	l.dirs.Add(dir, c)
	l.recountLocked(c)
	l.evictLocked()
}

func (l *Listings) dropLocked(dir string) {
	if d, ok := l.dirs.Peek(dir); ok {
		l.entries -= d.cost
		l.dirs.Remove(dir)
	}
}

func (l *Listings) recountLocked(d *cachedDir) {
	l.entries -= d.cost
	d.cost = max(1, d.Len()) // an empty directory is not free
	l.entries += d.cost
}

// evictLocked drops the directories used longest ago until the bound holds,
// but never the last one.
func (l *Listings) evictLocked() {
	for l.entries > l.maxEntries && l.dirs.Len() > 1 {
		_, d, _ := l.dirs.RemoveOldest()
		l.entries -= d.cost
	}
}
