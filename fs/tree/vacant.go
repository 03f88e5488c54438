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
	mu   sync.Mutex            // a leaf
	dirs map[string]*cache.Dir // guarded by mu
}

// witnessesAtMost is how many directories are remembered: those that programs
// create files in at the same time.
const witnessesAtMost = 16

func (w *witnesses) put(dir string, d *cache.Dir) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dirs == nil || len(w.dirs) >= witnessesAtMost {
		w.dirs = make(map[string]*cache.Dir)
	}
	w.dirs[dir] = d
}

// absent tells whether name was not in dir at most trustedAge ago.
func (w *witnesses) absent(dir, name string) bool {
	w.mu.Lock()
	d := w.dirs[dir]
	w.mu.Unlock()
	if d == nil || d.Age() >= trustedAge || !d.Complete() {
		return false
	}
	_, there := d.Lookup(name)
	return !there
}

// Vacant is Fresh for who wants to create p and expects nothing there: a name
// that is unknown here, and that was not on the server a second ago, is
// absent. Of many files that are created in one directory it asks for a
// listing once a second.
func (t *Tree) Vacant(ctx context.Context, p string) (conn.Entry, error) {
	if _, err := t.Lookup(ctx, p); errors.Is(err, fs.ErrNotExist) && t.seen.absent(path.Dir(p), path.Base(p)) {
		return conn.Entry{}, err
	}
	return t.Fresh(ctx, p)
}
