package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"strings"
)

// moves are the renames that are under way, and the changes of directories,
// which must not be sent, or noted, under a path that a rename has just taken away.
type moves struct {
	renames map[chan struct{}]string // by what is closed at their end, with the paths from which; guarded by Mount.names
	changes map[chan struct{}]string // likewise, with the directories; guarded by Mount.names
}

func newMoves() moves {
	return moves{renames: make(map[chan struct{}]string), changes: make(map[chan struct{}]string)}
}

// found runs do, which works on the path of n, again if it has found nothing
// there because n, or a directory above it, was being renamed: it moves here some time after it did on the server.
func (n *node) found(ctx context.Context, do func() error) error {
	for {
		moves := n.countMoves()
		if err := do(); !errors.Is(err, iofs.ErrNotExist) || !n.wasMoved(ctx, moves) {
			return err
		}
	}
}

// countMoves tells how often n and the directories above it were renamed.
func (n *node) countMoves() (moves uint32) {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	for ; n.parent != nil; n = n.parent {
		moves += n.moves
	}
	return moves
}

// wasMoved waits for the renames of n and of the directories above it that are
// under way, and tells whether any has come about since countMoves was moves.
func (n *node) wasMoved(ctx context.Context, moves uint32) bool {
	n.m.names.RLock()
	under := n.m.moves.above(n.pathLocked())
	n.m.names.RUnlock()
	return await(ctx, under) == nil && n.countMoves() != moves
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
		var under []chan struct{}
		for _, d := range dirs {
			under = append(under, m.moves.above(d.pathLocked())...)
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
		ends = append(ends, m.addLocked(m.moves.changes, d.pathLocked()))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}, nil
}

// moving notes that what is at from is being renamed, until done is called, and
// waits for the changes below it that have begun. The error is that of ctx.
func (m *Mount) moving(ctx context.Context, from string) (done func(), err error) {
	m.names.Lock()
	done = m.addLocked(m.moves.renames, from)
	var below []chan struct{}
	for end, dir := range m.moves.changes {
		if isAtOrBelow(dir, from) {
			below = append(below, end)
		}
	}
	m.names.Unlock()
	if err := await(ctx, below); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// addLocked puts p into all until end is called.
func (m *Mount) addLocked(all map[chan struct{}]string, p string) (end func()) {
	ended := make(chan struct{})
	all[ended] = p
	return func() {
		m.names.Lock()
		defer m.names.Unlock()
		delete(all, ended)
		close(ended)
	}
}

// above returns the renames of p and of what is above it.
func (m moves) above(p string) (all []chan struct{}) {
	for end, from := range m.renames {
		if isAtOrBelow(p, from) {
			all = append(all, end)
		}
	}
	return all
}

func isAtOrBelow(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// await waits until all are closed.
func await(ctx context.Context, all []chan struct{}) error {
	for _, c := range all {
		select {
		case <-c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
