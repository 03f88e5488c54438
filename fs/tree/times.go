package tree

import (
	"context"
	"path"
	"time"

	"ftpfs/conn"
)

// sharpen makes times that a listing shows to the minute exact, so that they
// are the same however they were learned: from the listing before, where size
// and minute agree, else by asking for them in one batch.
func (t *Tree) sharpen(ctx context.Context, s conn.Session, dir string, entries []conn.Entry) error {
	t.keepExact(dir, entries)
	var ask []int
	var paths []string
	for i, e := range entries {
		if isCoarse(e) {
			ask = append(ask, i)
			paths = append(paths, path.Join(dir, e.Name))
		}
	}
	if len(ask) == 0 || len(entries) > exactAtMost {
		return nil
	}
	times, err := s.Times(ctx, paths)
	if err != nil {
		return err
	}
	for k, at := range times {
		if !at.IsZero() {
			e := &entries[ask[k]]
			e.Time, e.Precision = at, time.Second
		}
	}
	return nil
}

// keepExact gives entries the exact times of the listing before.
func (t *Tree) keepExact(dir string, entries []conn.Entry) {
	old, known := t.dirs.Peek(dir)
	if !known {
		return
	}
	for i := range entries {
		e := &entries[i]
		if !isCoarse(*e) {
			continue
		}
		// An exact time that was asked for in the minute that it names, or soon after, by a clock that may
		// not be ours, says nothing of what happened in the rest of that minute.
		settled := old.Filled().Sub(e.Time) > 2*e.Precision
		if o, ok := old.Lookup(e.Name); ok && settled && o.Precision <= time.Second && o.Version().Same(e.Version()) {
			e.Time, e.Precision = o.Time, o.Precision
		}
	}
}

// isCoarse tells whether e is a file whose time is not exact to the second.
func isCoarse(e conn.Entry) bool {
	return e.Kind == conn.KindFile && e.Precision > time.Second && !e.Time.IsZero()
}
