package transfer

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

const defaultReadAhead = 32 << 20

// Manager holds the files that are open or have something to upload.
type Manager struct {
	pool  *conn.Pool
	tree  *tree.Tree
	store *cache.Store
	log   *slog.Logger

	readAhead int64
	pace      pace
	blocks    blocks
	ahead     *prefetcher

	life context.Context // of streams and uploads; ends at Close
	end  context.CancelFunc
	work sync.WaitGroup // streams and uploads

	o         Options
	queue     queue
	appending appending
	tidying   atomic.Int32 // see tidy
	noCopy    atomic.Bool  // the server does not copy files

	spawning sync.Mutex // a leaf: held by spawn and by Close for a moment
	closed   bool       // nothing is spawned any more; guarded by spawning

	mu       sync.Mutex
	files    map[string]*File        // by server path; guarded by mu
	uploads  uint64                  // that have ended; guarded by mu
	self     owner                   // of the files that we make, once it is known; guarded by mu
	moves    map[*move]struct{}      // renames and removals under way; guarded by mu
	opens    map[*opening]struct{}   // opens under way; guarded by mu
	asides   map[*File]struct{}      // that have lost their names and are on the server under temporary ones; guarded by mu
	temps    map[string]*cache.Store // temporary files on the server that are to be removed, by path; guarded by mu
	sweeper  *time.Timer             // removes them later; guarded by mu
	inPlace  map[string]struct{}     // directories in which the server refuses temporary files; guarded by mu
	young    map[string]conn.Version // of files that were here whole just now, too young to be kept, by path; guarded by mu
	removed  map[string]conn.Version // versions whose upload a removal has given up, by path; guarded by mu
	owed     map[string]error        // failures that no close could report, by path; guarded by mu
	refusals map[string]error        // that no program was told, since the last Flush, by path; guarded by mu
	failures []Failure               // newest first; guarded by mu
	troubled bool                    // the last upload failed; guarded by mu
	adopted  []*cache.Store          // guarded by mu
	settled  chan struct{}           // closed and replaced whenever an upload ended; guarded by mu
}

// New returns a Manager that keeps its copies in store. What store's journal
// and those of mounts that died have pending is shown in the tree when New
// returns, and uploaded in the background.
func New(pool *conn.Pool, t *tree.Tree, store *cache.Store, o Options) (*Manager, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		pool: pool, tree: t, store: store, log: o.Log, readAhead: cmp.Or(o.ReadAhead, defaultReadAhead),
		files: make(map[string]*File), owed: make(map[string]error), refusals: make(map[string]error), settled: make(chan struct{}),
		o:       o,
		inPlace: make(map[string]struct{}), moves: make(map[*move]struct{}), opens: make(map[*opening]struct{}),
		asides: make(map[*File]struct{}), temps: make(map[string]*cache.Store),
		young: make(map[string]conn.Version), removed: make(map[string]conn.Version),
	}
	m.life, m.end = context.WithCancel(context.Background())
	m.ahead = &prefetcher{m: m, budget: o.Prefetch}
	if err := m.adopt(); err != nil {
		m.end()
		return nil, err
	}
	return m, nil
}

// Close stops uploads and downloads. What is pending stays in the journal.
func (m *Manager) Close() error {
	m.spawning.Lock()
	m.closed = true
	m.spawning.Unlock()
	m.end()
	m.mu.Lock()
	for _, f := range m.files {
		f.mu.Lock()
		f.stopRetryLocked()
		f.mu.Unlock()
	}
	adopted := m.adopted
	if m.sweeper != nil {
		m.sweeper.Stop()
	}
	m.mu.Unlock()
	m.work.Wait()
	var errs []error
	for _, s := range adopted {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, m.store.Close())...)
}

// spawn runs fn in a goroutine that Close waits for; false after Close.
func (m *Manager) spawn(fn func()) bool {
	m.spawning.Lock()
	defer m.spawning.Unlock()
	if !m.closed {
		m.work.Go(fn)
	}
	return !m.closed
}

// How says how a file is opened.
type How struct {
	Write    bool // for writing
	Truncate bool // O_TRUNC: the caller will Empty it
}

// Open opens the file at p. The attributes that it starts from are at most a
// second old. conn.ErrIsDir, fs.ErrNotExist, fs.ErrPermission.
func (m *Manager) Open(ctx context.Context, p string, how How) (*Handle, error) {
	if err := m.takeOwed(p); err != nil {
		return nil, err
	}
	for {
		var err error
		if p, err = m.afterMoves(ctx, p); err != nil {
			return nil, err
		}
		h, err := m.open(ctx, p, how)
		if !errors.Is(err, errMoving) {
			return h, err
		}
	}
}

func (m *Manager) open(ctx context.Context, p string, how How) (*Handle, error) {
	o := m.beginOpen(p)
	defer m.endOpen(o)
	e, seen, err := m.lookNow(ctx, p)
	known := time.Now()
	if err != nil && !how.Write && !how.Truncate {
		if old, at, ok := m.tree.Stale(p, err); ok { // what is here of the file can be read
			e, known, err = old, at, nil
		}
	}
	switch {
	case m.isStale(o): // also an error may be of what was there before
		return nil, errMoving
	case err != nil:
		return nil, err
	case e.Kind == conn.KindDir:
		return nil, &conn.Error{Op: "open", Path: p, Outcome: conn.Refused, Err: conn.ErrIsDir}
	case e.Kind == conn.KindOther, (how.Write || how.Truncate) && !m.MayWrite(p, e):
		return nil, &conn.Error{Op: "open", Path: p, Outcome: conn.Refused, Err: fs.ErrPermission}
	}
	h, err := m.hold(o, how.Write || how.Truncate, func(f *File) { f.meet(e, known, seen) })
	if err == nil && how.Write && !how.Truncate && e.Size >= appendFrom {
		m.tryAppend(path.Dir(p))
	}
	if err == nil && !how.Write && !how.Truncate {
		m.ahead.opened(p, e)
	}
	return h, err
}

// lookNow returns attributes of p that are at most a second old, and what
// Manager.uploads was when they were asked for. An upload that ends meanwhile
// may have made them wrong; what it leaves in the tree is asked for again then.
func (m *Manager) lookNow(ctx context.Context, p string) (e conn.Entry, seen uint64, err error) {
	const tries = 3
	look := m.tree.Fresh
	for range tries {
		seen = m.ended()
		e, err = look(ctx, p)
		if _, local := m.Local(p); !local && err == nil && e.Kind != conn.KindDir && (e.Size < 0 || e.Precision > time.Second) {
			e, err = m.tree.Stat(ctx, p)
		}
		if m.ended() == seen {
			break
		}
		look = m.tree.Lookup
	}
	return e, seen, err
}

// ended counts the uploads that have ended.
func (m *Manager) ended() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uploads
}

// Create creates the file at p, or opens it if there is one and excl is not
// set. In a directory that is not known to be writable an empty file is stored
// at once, so that a refusal is an error of open(2), where shells look for it;
// elsewhere the file is on the server when it is first flushed or released.
// fs.ErrExist, fs.ErrPermission.
func (m *Manager) Create(ctx context.Context, p string, mode fs.FileMode, excl, truncate bool) (*Handle, conn.Entry, error) {
	if err := m.takeOwed(p); err != nil {
		return nil, conn.Entry{}, err
	}
	for {
		var err error
		if p, err = m.afterMoves(ctx, p); err != nil {
			return nil, conn.Entry{}, err
		}
		h, e, err := m.create(ctx, p, mode, excl, truncate)
		if !errors.Is(err, errMoving) {
			return h, e, err
		}
		excl = excl && !errors.Is(err, errMade)
	}
}

func (m *Manager) create(ctx context.Context, p string, mode fs.FileMode, excl, truncate bool) (*Handle, conn.Entry, error) {
	o := m.beginOpen(p)
	defer m.endOpen(o)
	switch e, err := m.lookBefore(ctx, p, excl, truncate); {
	case m.isStale(o):
		return nil, conn.Entry{}, errMoving
	case err == nil && excl:
		return nil, conn.Entry{}, &conn.Error{Op: "STOR", Path: p, Outcome: conn.Refused, Err: fs.ErrExist}
	case err == nil:
		h, err := m.open(ctx, p, How{Write: true, Truncate: truncate})
		if err == nil && truncate {
			h, err = h.orReleased(h.Empty())
		}
		return h, e, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, conn.Entry{}, err
	}
	e := conn.Entry{
		Name: path.Base(p), Kind: conn.KindFile, Size: 0, Time: now().UTC(), Precision: time.Second,
		Mode: mode.Perm(), HasMode: true, Links: 1,
	}
	onServer, local := false, m.isLocal(p)
	if !local && !m.tree.Writable(path.Dir(p)) {
		stored, err := m.storeEmpty(ctx, p, mode)
		if err != nil {
			return nil, conn.Entry{}, err
		}
		m.tree.Stored(p, stored)
		e, onServer = stored, true
	}
	h, err := m.hold(o, true, func(f *File) { f.begin(e, onServer, excl, local) })
	switch {
	case err != nil && onServer:
		return nil, e, errors.Join(err, errMade)
	case err != nil || onServer:
		return h, e, err
	}
	m.tree.Show(p, e)
	h, err = h.orReleased(h.Empty())
	return h, e, err
}

// lookBefore finds what a create would meet. The listing may call a name
// absent that somebody has made meanwhile: O_TRUNC would empty it anyway,
// O_EXCL takes the word of a listing that is less than a second old, and who
// wants to go on with what is there has the server asked.
func (m *Manager) lookBefore(ctx context.Context, p string, excl, truncate bool) (conn.Entry, error) {
	switch {
	case excl:
		return m.tree.Vacant(ctx, p)
	case truncate:
		return m.tree.Lookup(ctx, p)
	}
	e, err := m.tree.Lookup(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return m.tree.Stat(ctx, p)
	}
	return e, err
}

func (m *Manager) storeEmpty(ctx context.Context, p string, mode fs.FileMode) (e conn.Entry, err error) {
	c := conn.Commit{Mode: mode.Perm(), SetMode: true}
	err = m.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		e, err = s.Store(ctx, p, noBytes{}, c)
		return err
	})
	if err != nil && conn.OutcomeOf(err) == conn.Unknown {
		m.tree.Forget(path.Dir(p)) // it may be there
	}
	e.Name, e.Kind = path.Base(p), conn.KindFile
	return e, err
}

// drop forgets f once nobody has it open and it has nothing to upload; what
// it has fetched stays in the cache.
func (m *Manager) drop(f *File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handles > 0 || !f.unlinked && (f.dirty || f.job != nil) {
		return
	}
	f.stopRetryLocked()
	for _, s := range f.streams {
		s.stopLocked()
	}
	if f.aside {
		f.aside = false
		delete(m.asides, f)
		m.temps[f.path] = f.store
		temp := f.path
		m.tidy(func() { m.tryTemp(m.life, temp) }) // else the journal keeps it for the next mount
	}
	if m.files[f.path] == f {
		delete(m.files, f.path)
		for o := range m.opens {
			o.stale = o.stale || o.path == f.path && !f.sealedAt.IsZero()
		}
	}
	f.parkLocked()
}

// Local returns the attributes of the file at p that the server does not have
// yet; ok is false if there are none.
func (m *Manager) Local(p string) (a Attr, ok bool) {
	m.mu.Lock()
	f := m.files[p]
	m.mu.Unlock()
	if f == nil {
		return Attr{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a = f.attrLocked() // which may find out that f is dirty
	return a, f.dirty
}

// Any tells whether Local may find anything.
func (m *Manager) Any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.files) > 0
}

// file returns the File at p, or nil.
func (m *Manager) file(p string) *File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files[p]
}
