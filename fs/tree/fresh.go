package tree

import (
	"context"
	"path"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// Change is what somebody else did to a name: a new listing says something
// else of it than the one before.
type Change struct {
	Path    string
	Gone    bool // there is nothing of that name any more, or something of another kind
	Content bool // of a file: size or time differ; else attributes do
}

// OnChange has fn called with what others changed, as it is found out, from
// any goroutine. fn must be quick.
func (t *Tree) OnChange(fn func([]Change)) {
	t.dirs.OnReplace(func(dir string, old, now *cache.Dir) {
		if changes := differences(dir, old.Entries(), now.Entries()); len(changes) > 0 {
			fn(changes)
		}
	})
}

// differences compares two listings of dir, both sorted. New names are none.
func differences(dir string, old, now cache.Entries) (changes []Change) {
	for o := range old.From(0) {
		p := path.Join(dir, o.Name)
		n, ok := now.Named(o.Name)
		if !ok || n.Kind != o.Kind {
			changes = append(changes, Change{Path: p, Gone: true})
			continue
		}
		content := o.Kind == conn.KindFile && !o.Version().Same(n.Version())
		if content || o.Mode != n.Mode || o.Target != n.Target || !o.Time.Equal(n.Time) {
			changes = append(changes, Change{Path: p, Content: content})
		}
	}
	return changes
}

// Poll lists dir, which is in use, so that what others change in it is found
// out before its listing is too old. It gives way to all who wait.
func (t *Tree) Poll(ctx context.Context, dir string) error {
	return t.pool.Run(ctx, conn.Background, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		return t.dirs.Prefetch(ctx, dir, 0, func(ctx context.Context) (conn.Listing, error) {
			return t.read(ctx, s, dir, nil)
		})
	})
}

// downPause is how long a server that could not be reached is not tried again
// by who gets an old answer instead.
const downPause = 3 * time.Second

// outage is what a Tree knows of a server that cannot be reached. Guarded by
// Tree.mu.
type outage struct {
	down  bool
	again time.Time // when to try again
}

// Stale returns what was last known of p while the server cannot be reached,
// which err says, up to the age that Options allow, and when that was known. It
// never tells that something is not there.
func (t *Tree) Stale(p string, err error) (e conn.Entry, known time.Time, ok bool) {
	if !t.unreachable(err) {
		return conn.Entry{}, time.Time{}, false
	}
	return t.staleEntry(p)
}

func (t *Tree) staleEntry(p string) (e conn.Entry, known time.Time, ok bool) {
	if e, ok := t.shownAt(p); ok {
		return e, time.Now(), true
	}
	d, ok := t.staleDir(path.Dir(p))
	if !ok {
		return conn.Entry{}, time.Time{}, false
	}
	e, ok = d.Lookup(path.Base(p))
	return e, d.Filled(), ok
}

// staleDir returns the cached listing of dir, if it is not too old to be shown
// while the server is away.
func (t *Tree) staleDir(dir string) (*cache.Dir, bool) {
	d, ok := t.dirs.Peek(dir)
	if !ok || d.Age() > t.stale {
		return nil, false
	}
	return d, true
}

// unreachable tells whether err says that the server is away, and notes it.
func (t *Tree) unreachable(err error) bool {
	if !conn.IsAway(err) {
		return false
	}
	t.mu.Lock()
	news := !t.outage.down
	t.outage = outage{down: true, again: time.Now().Add(downPause)}
	t.mu.Unlock()
	if news && t.stale > 0 {
		t.log.Info("the server cannot be reached; what is known of it is shown meanwhile", "at most", t.stale, "error", err)
	}
	return true
}

// away tells whether the server could not be reached a moment ago. Of those
// who ask after that moment, one is told no and has to try.
func (t *Tree) away() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.outage.down || now.Before(t.outage.again) {
		return t.outage.down
	}
	t.outage.again = now.Add(downPause)
	return false
}

// reached notes that the server answers.
func (t *Tree) reached() {
	t.mu.Lock()
	news := t.outage.down
	t.outage = outage{}
	t.mu.Unlock()
	if news {
		t.log.Info("the server can be reached again")
	}
}

// Space returns how much the server lets us store.
// errors.ErrUnsupported where it does not tell.
func (t *Tree) Space(ctx context.Context) (space conn.Space, err error) {
	err = t.pool.Run(ctx, conn.Background, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		space, err = s.Space(ctx, t.Root())
		return err
	})
	return space, err
}
