package tree

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sync"

	"ftpfs/cache"
	"ftpfs/conn"
)

// witnesses are listings as they arrived, a few of those that came last. They
// tell what was not there a moment ago, also where changes of ours meanwhile
// have kept a listing from being stored.
type witnesses struct {
	mu       sync.Mutex            // a leaf
	dirs     map[string]*cache.Dir // guarded by mu
	renewing bool                  // one of them; guarded by mu
}

// witnessesAtMost is how many directories are remembered: those that programs
// create files in at the same time.
const witnessesAtMost = 16

func (w *witnesses) put(dir string, d *cache.Dir) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.dirs[dir]; known != nil && known.Filled().After(d.Filled()) {
		return
	}
	if w.dirs == nil || len(w.dirs) >= witnessesAtMost {
		w.dirs = make(map[string]*cache.Dir)
	}
	w.dirs[dir] = d
}

// absent tells whether name was not in dir at most trustedAge ago. old says
// that the listing which tells it should be renewed; who is told so sees to it,
// and calls renewed.
func (w *witnesses) absent(dir, name string) (absent, old bool) {
	w.mu.Lock()
	d := w.dirs[dir]
	w.mu.Unlock()
	if d == nil || d.Age() >= trustedAge || !d.Complete() {
		return false, false
	}
	if _, there := d.Lookup(name); there {
		return false, false
	}
	return true, d.Age() >= trustedAge/2 && d.Len() <= relistAtMost && w.renew(dir, d)
}

// renew tells whether d, the listing of dir, is still the last one, and none is
// being renewed; then one is, until renewed.
func (w *witnesses) renew(dir string, d *cache.Dir) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.renewing || w.dirs[dir] != d {
		return false
	}
	w.renewing = true
	return true
}

func (w *witnesses) renewed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.renewing = false
}

// Vacant is Fresh for who wants to create p and expects nothing there: a name
// that is unknown here, and that was not on the server a second ago, is
// absent. While many files are created in one directory, that is listed beside
// it every half second, so that none of them has to wait for a listing.
func (t *Tree) Vacant(ctx context.Context, p string) (conn.Entry, error) {
	if _, err := t.Lookup(ctx, p); errors.Is(err, fs.ErrNotExist) {
		absent, old := t.seen.absent(path.Dir(p), path.Base(p))
		if old {
			go t.renew(path.Dir(p))
		}
		if absent {
			return conn.Entry{}, err
		}
	}
	return t.Fresh(ctx, p)
}

// renew lists dir again, if there is a session for what nobody waits for. It
// ends with the pool at the latest.
func (t *Tree) renew(dir string) {
	defer t.seen.renewed()
	if t.pool.Status().Limit < 2 {
		return
	}
	err := t.pool.Run(context.Background(), conn.Background, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		d, err := t.dirs.Load(ctx, dir, 0, func(ctx context.Context) (conn.Listing, error) { return t.read(ctx, s, dir, nil) })
		if err == nil {
			t.seen.put(dir, d)
		}
		return err
	})
	if err != nil {
		t.log.Debug("a directory could not be listed again", "directory", dir, "error", err)
	}
}
