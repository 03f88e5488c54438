package fs

import (
	"context"
	"errors"
	iofs "io/fs"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
	"ftpfs/fs/tree"
)

// moves are the renames that are under way, and the changes of directories,
// which must not be sent, or noted, under a path that a rename has just taken away.
// Guarded by Mount.names.
type moves struct {
	last    uint32                // number of the last rename that came about
	renames map[*passage]struct{} // by the path from which
	changes map[*passage]struct{} // by the directory
}

// passage is the time that a rename or a change takes.
type passage struct {
	path  string
	to    string        // of a rename
	sent  bool          // the server may be carrying it out; guarded by Mount.names
	ended chan struct{} // closed at its end
}

func newMoves() moves {
	return moves{renames: make(map[*passage]struct{}), changes: make(map[*passage]struct{})}
}

// found runs do, which works on the path of n, again if that was refused because
// n, or a directory above it, was being renamed: it moves here some time after it did on the
// server. Any refusal can be due to that: what is looked at to learn
// the reason may be back by then.
func (n *node) found(ctx context.Context, do func() error) error {
	const most = 20 // a loop of renames delays nobody for ever
	for tries := 1; ; tries++ {
		before := n.latestMove()
		err := do()
		refused := errors.Is(err, iofs.ErrNotExist) || conn.OutcomeOf(err) == conn.Refused
		if !refused || errors.Is(err, transfer.ErrUntold) || tries == most {
			return err
		}
		n.m.names.RLock()
		under := n.m.moves.above(n.pathLocked(), true)
		n.m.names.RUnlock()
		if err := await(ctx, under); err != nil {
			return err
		}
		if n.latestMove() == before {
			return err
		}
	}
}

// latestMove returns the number of the last rename of n or of a directory above it.
func (n *node) latestMove() (latest uint32) {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	for ; n.parent != nil; n = n.parent {
		latest = max(latest, n.lastMove)
	}
	return latest
}

// change runs do on the path of the name in n, as the server spells it, and
// returns that path. Until do ends, n and the directories above it are not renamed.
func (n *node) change(ctx context.Context, name string, do func(p string) error) (p string, err error) {
	done, err := n.m.changing(ctx, n)
	if err != nil {
		return "", err
	}
	defer done()
	if p, err = n.spelledPath(ctx, name); err == nil {
		err = do(p)
	}
	return p, err
}

// changing waits for the renames that move any of dirs, and keeps others from
// beginning until done is called. The error is that of ctx.
func (m *Mount) changing(ctx context.Context, dirs ...*node) (done func(), err error) {
	for {
		m.names.Lock()
		var under []*passage
		for _, d := range dirs {
			under = append(under, m.moves.above(d.pathLocked(), false)...)
		}
		if len(under) == 0 {
			break
		}
		m.names.Unlock()
		if err := await(ctx, under); err != nil {
			return nil, err
		}
	}
	defer m.names.Unlock()
	var ends []func()
	for _, d := range dirs {
		_, end := m.beginLocked(m.moves.changes, passage{path: d.pathLocked()})
		ends = append(ends, end)
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}, nil
}

// moving notes that what is at from is being renamed to to, until done is called, and
// waits for the changes below it that have begun. sent is to be called before the
// server is asked for anything. The error is that of ctx.
func (m *Mount) moving(ctx context.Context, from, to string) (sent, done func(), err error) {
	m.names.Lock()
	r, done := m.beginLocked(m.moves.renames, passage{path: from, to: to})
	var below []*passage
	for c := range m.moves.changes {
		if tree.IsBelow(c.path, from) {
			below = append(below, c)
		}
	}
	m.names.Unlock()
	if err := await(ctx, below); err != nil {
		done()
		return nil, nil, err
	}
	sent = func() {
		m.names.Lock()
		defer m.names.Unlock()
		r.sent = true
	}
	return sent, done, nil
}

// beginLocked puts p into all until end is called.
func (m *Mount) beginLocked(all map[*passage]struct{}, p passage) (begun *passage, end func()) {
	p.ended = make(chan struct{})
	begun = &p
	all[begun] = struct{}{}
	return begun, func() {
		m.names.Lock()
		defer m.names.Unlock()
		delete(all, begun)
		close(begun.ended)
	}
}

// above returns the renames of p and of what is above it, or those that are sent alone.
func (m moves) above(p string, sent bool) (all []*passage) {
	for r := range m.renames {
		if tree.IsBelow(p, r.path) && (r.sent || !sent) {
			all = append(all, r)
		}
	}
	return all
}

// await waits until all have ended.
func await(ctx context.Context, all []*passage) error {
	for _, a := range all {
		select {
		case <-a.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
