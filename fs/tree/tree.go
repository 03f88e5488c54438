package tree

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	defaultTTL     = 30 * time.Second
	leastAge       = 100 * time.Millisecond // a listing serves the lookups of the "ls -l" that asked for it, whatever the TTL
	maxEntries     = 1 << 20                // in all cached listings together
	relistAtMost   = 1000                   // a directory of up to so many entries is listed again to revalidate one of them
	exactAtMost    = 1000                   // minute times are made exact in directories of up to so many files
	trustedAge     = time.Second            // attributes younger than this need no revalidation (DECISIONS: open, O_EXCL)
	maxRefusedLogs = 1 << 12                // directories whose bad lines were logged already
)

// Options configure a Tree.
type Options struct {
	TTL      time.Duration // how old a listing may be; 0: 30 s; negative: each listing is asked for anew
	Stale    time.Duration // how old what is shown may be while the server cannot be reached; 0: none is
	Symlinks Symlinks      // what becomes of the server's symlinks
	Delay    bool          // a server that cannot be reached is no error of New: it is looked for at each use
	Log      *slog.Logger  // nil: discard
}

// Tree is the remote tree below Root. It is safe for concurrent use.
type Tree struct {
	pool     *conn.Pool
	dir      string // of the root, as New was given it
	ttl      time.Duration
	stale    time.Duration
	symlinks Symlinks
	log      *slog.Logger
	dirs     *cache.Listings
	seen     witnesses
	walk     *walker

	mu       sync.Mutex
	root     string                           // until found, what it is on most servers; guarded by mu
	found    bool                             // the root; guarded by mu
	changes  uint64                           // of ours to listings; guarded by mu
	shown    map[string]map[string]conn.Entry // directory → name → what is shown instead; guarded by mu
	writable map[string]struct{}              // directories in which a create succeeded; guarded by mu
	warned   map[string]struct{}              // directories whose bad lines were logged; guarded by mu

	outage     outage  // guarded by mu
	folding    folding // guarded by mu
	rmdRefuses bool    // directories that are not empty, as was tried out; guarded by mu
	rmdTrials  int     // guarded by mu
}

// New finds the directory dir on the server: absolute, or relative to the
// login directory. fs.ErrNotExist, conn.ErrNotDir, fs.ErrPermission.
func New(ctx context.Context, pool *conn.Pool, dir string, o Options) (*Tree, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tree{
		pool: pool, dir: dir, root: path.Join("/", dir), ttl: o.TTL, stale: o.Stale, symlinks: o.Symlinks, log: o.Log,
		shown: make(map[string]map[string]conn.Entry), writable: make(map[string]struct{}), warned: make(map[string]struct{}),
	}
	if t.ttl == 0 {
		t.ttl = defaultTTL
	}
	t.dirs = cache.NewListings(maxEntries, t.ttl)
	t.walk = newWalker(t)
	_, err := t.findRoot(ctx)
	if err == nil {
		_, err = t.load(ctx, t.Root(), t.ttl)
		t.dirs.Forget(t.Root()) // who mounts and then looks wants what is there now
	}
	if o.Delay && conn.IsAway(err) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Peek returns what is known of dir, sorted by name, and when the server told
// it; nothing if that is too old.
func (t *Tree) Peek(dir string) (cache.Entries, time.Time) {
	d, ok := t.dirs.Peek(dir)
	if !ok || d.Age() >= t.ttl {
		return cache.Entries{}, time.Time{}
	}
	return d.Entries(), d.Filled()
}

// Lookup returns the entry at p. fs.ErrNotExist says that it is not there.
// While the server cannot be reached, what was known is returned; see Stale.
func (t *Tree) Lookup(ctx context.Context, p string) (conn.Entry, error) {
	if t.away() {
		if e, _, ok := t.staleEntry(p); ok {
			return e, nil
		}
	}
	e, err := t.lookup(ctx, p, max(t.ttl, leastAge))
	if err != nil {
		if old, _, ok := t.Stale(p, err); ok {
			return old, nil
		}
	}
	return e, err
}

// current is Lookup for who is about to change something.
func (t *Tree) current(ctx context.Context, p string) (conn.Entry, error) {
	return t.lookup(ctx, p, max(t.ttl, leastAge))
}

// Fresh is Lookup with attributes that are at most a second old.
// fs.ErrNotExist is as old, too.
func (t *Tree) Fresh(ctx context.Context, p string) (conn.Entry, error) {
	dir := path.Dir(p)
	if d, ok := t.dirs.Peek(dir); ok && p != t.Root() && d.Len() > relistAtMost && time.Since(d.Filled()) > trustedAge {
		if e, ok := t.shownAt(p); ok {
			return e, nil
		}
		return t.Stat(ctx, p)
	}
	return t.lookup(ctx, p, min(trustedAge, max(t.ttl, leastAge)))
}

// TTL returns how old a listing may be.
func (t *Tree) TTL() time.Duration { return max(0, t.ttl) }

// Left returns for how long the cached listing of dir still holds: how long
// the kernel may keep what it was told of it.
func (t *Tree) Left(dir string) time.Duration {
	d, ok := t.dirs.Peek(dir)
	if !ok {
		return 0
	}
	return max(0, t.ttl-time.Since(d.Filled()))
}

func (t *Tree) lookup(ctx context.Context, p string, maxAge time.Duration) (conn.Entry, error) {
	if p == t.Root() {
		return conn.Entry{Name: path.Base(p), Kind: conn.KindDir, Size: -1}, nil
	}
	if e, ok := t.shownAt(p); ok {
		return e, nil
	}
	dir, name := path.Split(p)
	if IsTemporary(name) {
		return conn.Entry{}, absent(p)
	}
	d, err := t.load(ctx, path.Clean(dir), maxAge)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return t.lookupUnlisted(ctx, p, err)
	case conn.IsAway(err) && t.isAboveShown(p):
		return conn.Entry{Name: name, Kind: conn.KindDir, Size: -1}, nil // what is shown is here, also without the server
	case err != nil:
		return conn.Entry{}, err
	}
	if e, ok := d.Lookup(name); ok {
		return e, nil
	}
	if !d.Complete() {
		return t.Stat(ctx, p)
	}
	return conn.Entry{}, absent(p)
}

func absent(p string) error {
	return &conn.Error{Op: "lookup", Path: p, Outcome: conn.Refused, Err: fs.ErrNotExist}
}

// lookupUnlisted looks for p in a directory that cannot be listed, which
// refused says. If it can be entered, as a drop box, names in it are known to
// whoever knows them; else there is no telling.
func (t *Tree) lookupUnlisted(ctx context.Context, p string, refused error) (conn.Entry, error) {
	e, err := t.Stat(ctx, p)
	if !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	if dir, dirErr := t.Stat(ctx, path.Dir(p)); dirErr != nil || dir.Kind != conn.KindDir {
		return conn.Entry{}, refused
	}
	return conn.Entry{}, err
}

// Stat asks the server for one entry and puts the answer into the parent's
// listing. fs.ErrNotExist, fs.ErrPermission.
func (t *Tree) Stat(ctx context.Context, p string) (e conn.Entry, err error) {
	if err := t.reach(ctx); err != nil {
		return conn.Entry{}, err
	}
	before := t.changed()
	err = t.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		e, err = s.Stat(ctx, p)
		return err
	})
	dir, name := path.Dir(p), path.Base(p)
	if t.changed() != before { // the answer may be older than a change of ours: it is given, not kept
		e.Name = name
		return e, err
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.dirs.Change(dir, func(d *cache.Dir) { d.Delete(name) })
		}
		return conn.Entry{}, err
	}
	e.Name = name
	t.dirs.Change(dir, func(d *cache.Dir) {
		if old, ok := d.Lookup(name); ok {
			e = withStat(old, e)
		}
		d.Set(e)
	})
	return e, nil
}

// withStat returns old, from a listing, with what a SIZE and MDTM told since.
func withStat(old, e conn.Entry) conn.Entry {
	if old.Kind != e.Kind && e.Kind != conn.KindUnknown && old.Kind != conn.KindSymlink {
		return e
	}
	if e.Size >= 0 {
		old.Size = e.Size
	}
	if !e.Time.IsZero() {
		old.Time, old.Precision = e.Time, e.Precision
	}
	if e.HasMode {
		old.Mode, old.HasMode = e.Mode, true
	}
	return old
}

// Forget drops the cached listings of dir and everything below it.
func (t *Tree) Forget(dir string) { t.dirs.ForgetTree(dir) }

// ForgetOne drops the cached listing of dir.
func (t *Tree) ForgetOne(dir string) { t.dirs.Forget(dir) }

// ForgetAll drops all cached listings.
func (t *Tree) ForgetAll() { t.dirs.ForgetAll() }

// Stored puts e, which an upload to p has just made, into the listing, and
// ends Show.
func (t *Tree) Stored(p string, e conn.Entry) {
	t.SetWritable(path.Dir(p))
	t.Put(p, e)
	t.Hide(p)
}

// changed counts our own changes.
func (t *Tree) changed() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes
}

func (t *Tree) countChange() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes++
}

// Put puts e into the listing of its directory, if that is cached.
func (t *Tree) Put(p string, e conn.Entry) {
	t.countChange()
	e.Name = path.Base(p)
	t.dirs.Change(path.Dir(p), func(d *cache.Dir) { d.Set(e) })
	t.touched(path.Dir(p))
}

// SetWritable notes that the server lets us create files in dir.
func (t *Tree) SetWritable(dir string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writable[dir] = struct{}{}
}

// Writable tells whether the server is known to let us create files in dir.
func (t *Tree) Writable(dir string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.writable[dir]
	return ok
}

// moveLocal moves what is known of from, and of everything below it, to to.
func (t *Tree) moveLocal(from, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.writable, to)
	for dir, names := range t.shown {
		if moved, ok := moved(dir, from, to); ok {
			delete(t.shown, dir)
			t.shown[moved] = names
		}
	}
}

// IsBelow tells whether p is dir or below it.
func IsBelow(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// moved returns where p is after from became to, and whether that concerns it.
func moved(p, from, to string) (string, bool) {
	rest, ok := strings.CutPrefix(p, from)
	if !ok || rest != "" && rest[0] != '/' {
		return p, false
	}
	return to + rest, true
}
