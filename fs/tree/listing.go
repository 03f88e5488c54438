package tree

import (
	"context"
	"errors"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

// load returns the listing of dir, at most maxAge old.
func (t *Tree) load(ctx context.Context, dir string, maxAge time.Duration) (d *cache.Dir, err error) {
	if err := t.reach(ctx); err != nil {
		return nil, err
	}
	t.walk.waiting.Add(1)
	defer t.walk.waiting.Add(-1)
	err = t.orAgain(ctx, func(ours *bool) error {
		d, err = t.dirs.Load(ctx, dir, maxAge, func(ctx context.Context) (conn.Listing, error) {
			*ours = true
			return t.fetch(ctx, dir, nil)
		})
		return err
	})
	if err == nil && d.Age() < trustedAge {
		t.seen.put(dir, d)
	}
	return d, err
}

// orAgain waits for a listing and, if that was not ours but a listing ahead,
// and the session failed, for another: only ours is tried on two sessions. Who
// has waited for a server that does not answer has waited long enough. Who
// gave up does not know whose it was: it may just be beginning.
func (t *Tree) orAgain(ctx context.Context, wait func(ours *bool) error) error {
	ours := false
	err := wait(&ours)
	if err == nil || ctx.Err() != nil || ours || errors.Is(err, conn.ErrTimeout) || conn.OutcomeOf(err) == conn.Refused {
		return err
	}
	return wait(&ours)
}

// fetch lists dir for somebody who waits. early gets what has come, see
// conn.Session; it may be nil.
func (t *Tree) fetch(ctx context.Context, dir string, early func([]conn.Entry)) (l conn.Listing, err error) {
	err = t.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, s conn.Session) error {
		l, err = t.read(ctx, s, dir, early)
		early = nil // another session begins from the start
		return err
	})
	return l, err
}

// read lists dir on s.
func (t *Tree) read(ctx context.Context, s conn.Session, dir string, early func([]conn.Entry)) (conn.Listing, error) {
	exact := early
	if t.symlinks == FollowSymlinks {
		exact = nil // a link may be shown as something else
	} else if early != nil {
		exact = func(some []conn.Entry) {
			t.keepExact(dir, some)
			early(some)
		}
	}
	l, err := s.ListEarly(ctx, dir, conn.Coming{Early: exact, Sent: func(all []conn.Entry) { t.walk.sent(dir, all) }})
	if err == nil {
		t.reached()
		err = t.sharpen(ctx, s, dir, l.Entries)
	}
	if err == nil && t.symlinks == FollowSymlinks {
		err = t.follow(ctx, s, dir, l.Entries)
	}
	if err == nil && (l.NRefused > 0 || !l.Complete) {
		t.warn(dir, l)
	}
	return l, err
}

// warn logs once for each directory what was refused in its listing.
func (t *Tree) warn(dir string, l conn.Listing) {
	if l.NRefused == 0 && t.firstWarning(dir) {
		t.log.Warn("the server cut (truncated) the listing of a directory: names that are missing are found only by name",
			"directory", dir, "entries", l.Len())
	} else if t.firstWarning(dir) {
		t.log.Warn("the server's listing has lines that cannot be used; the other entries are shown",
			"directory", dir, "refused", l.NRefused, "lines", l.Refused)
	}
}

// firstWarning tells whether there was no warning about dir yet.
func (t *Tree) firstWarning(dir string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, again := t.warned[dir]
	if !again && len(t.warned) < maxRefusedLogs {
		t.warned[dir] = struct{}{}
	}
	return !again
}
