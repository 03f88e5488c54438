package tree

import (
	"context"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// Reading is a directory that is being read by one reader. Of a large one the
// first entries are there while the rest is still coming.
type Reading struct {
	t        *Tree
	dir      string
	before   map[string]conn.Entry // what was shown in dir when the reading began
	arrivals *cache.Arrivals       // nil: entries are all
	all      *cache.Dir            // nil while arrivals is not
	entries  cache.Entries
	overlaid bool  // some of what Entry returned is not from the listing
	err      error // of the listing
}

// Open begins to read dir. It returns when there is something to read, or all.
// The Reading must be closed. fs.ErrNotExist, conn.ErrNotDir, fs.ErrPermission.
func (t *Tree) Open(ctx context.Context, dir string) (*Reading, error) {
	if err := t.reach(ctx); err != nil {
		return nil, err
	}
	r := &Reading{t: t, dir: dir, before: t.shownIn(dir)}
	t.walk.entering(dir)
	t.walk.waiting.Add(1)
	defer func() {
		t.walk.opened.Store(time.Now().UnixNano())
		t.walk.waiting.Add(-1)
	}()
	if old, ok := t.staleDir(dir); ok && t.away() {
		r.complete(old)
		return r, nil
	}
	err := t.orAgain(ctx, func(ours *bool) error {
		all, arrivals := t.dirs.Open(ctx, dir, t.ttl, func(ctx context.Context, early func([]conn.Entry)) (conn.Listing, error) {
			*ours = true
			return t.fetch(ctx, dir, early)
		})
		if arrivals == nil {
			r.complete(all)
			return nil
		}
		r.arrivals, r.err = arrivals, nil
		return r.more(ctx)
	})
	if err == nil {
		return r, nil
	}
	if old, ok := t.staleDir(dir); ok && t.unreachable(err) {
		r.complete(old)
		return r, nil
	}
	r.Close()
	return nil, err
}

// List returns the entries of dir. Errors as of Open.
func (t *Tree) List(ctx context.Context, dir string) ([]conn.Entry, error) {
	r, err := t.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var entries []conn.Entry
	for i := 0; ; i++ {
		e, ok, err := r.Entry(ctx, i)
		if err != nil || !ok {
			return entries, err
		}
		if !IsTemporary(e.Name) {
			entries = append(entries, e)
		}
	}
}

// Has tells whether Entry returns the i-th entry without waiting.
func (r *Reading) Has(i int) bool { return i < r.entries.Len() || r.arrivals == nil }

// Entry returns the i-th entry, or false if there are no more than i; it waits
// for entries that are still coming. Among those are temporary names: see
// IsTemporary.
func (r *Reading) Entry(ctx context.Context, i int) (conn.Entry, bool, error) {
	for i >= r.entries.Len() && r.arrivals != nil {
		if err := r.more(ctx); err != nil {
			return conn.Entry{}, false, err
		}
	}
	if i >= r.entries.Len() {
		return conn.Entry{}, false, nil
	}
	e := r.entries.At(i)
	if r.arrivals != nil {
		if shown, ok := r.t.shownOf(r.dir, e.Name); ok {
			e, r.overlaid = shown, true
		}
	}
	return e, true, nil
}

// Now returns what is known by now of an entry that Entry returned, and for how
// long that holds, as a lookup would; false if it must be looked up.
func (r *Reading) Now(e conn.Entry) (now conn.Entry, left time.Duration, ok bool) {
	all := r.all
	if r.arrivals != nil {
		if r.arrivals.Current() {
			return e, r.t.TTL(), true // a listing that is coming is as good as one made now
		}
		all = r.arrivals.Dir()
	}
	d, ok := r.t.dirs.Peek(r.dir)
	if !ok || d != all {
		return e, 0, false
	}
	if left = r.t.ttl - d.Age(); left <= 0 {
		return e, 0, false
	}
	if now, ok = r.t.shownOf(r.dir, e.Name); ok {
		return now, left, true
	}
	if !r.overlaid && !d.Changed() {
		return e, left, true
	}
	now, ok = d.Lookup(e.Name)
	return now, left, ok
}

// Close ends the reading.
func (r *Reading) Close() {
	if r.arrivals != nil {
		r.arrivals.Close()
		r.arrivals = nil
	}
}

// more waits for entries.
func (r *Reading) more(ctx context.Context) error {
	if r.err != nil {
		return r.err
	}
	some, all, err := r.arrivals.Next(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		r.err = err
		return err
	case err != nil:
		return err
	case all != nil:
		r.complete(all)
		return nil
	}
	r.entries = some
	return nil
}

// complete adds what is not among the entries yet.
func (r *Reading) complete(all *cache.Dir) {
	r.Close()
	r.all = all
	r.t.walk.entered(r.dir)
	// What reached the server while it was being listed may be missing in the listing, and is not shown any more.
	entries, overlaid := r.t.overlaid(r.dir, all.Entries(), r.before)
	r.overlaid = r.overlaid || overlaid
	switch n := all.Len(); {
	case r.entries.Len() == 0:
		r.entries = entries
	case r.entries.Len() != n || entries.Len() != n: // else what has come is what there is
		r.entries = r.entries.Plus(entries)
	}
}
