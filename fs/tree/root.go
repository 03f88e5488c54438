package tree

import (
	"context"
	"path"

	"ftpfs/conn"
)

// findRoot finds out, once, where the root is, and tells whether that is not
// where it was taken to be.
func (t *Tree) findRoot(ctx context.Context) (moved bool, err error) {
	t.mu.Lock()
	found := t.found
	t.mu.Unlock()
	if found {
		return false, nil
	}
	root := path.Clean(t.dir)
	if !path.IsAbs(t.dir) {
		err := t.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(_ context.Context, s conn.Session) error {
			root = path.Join("/", s.Home(), t.dir)
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	if err := conn.CheckPath(root); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	moved = t.root != root
	t.root, t.found = root, true
	return moved, nil
}

// reach finds the root before anything is asked of the server. A path that
// was made before the root was found elsewhere is wrong: its caller is told
// once more that there is no server.
func (t *Tree) reach(ctx context.Context) error {
	moved, err := t.findRoot(ctx)
	if err == nil && moved {
		err = &conn.Error{Op: "connect", Outcome: conn.NotExecuted, Err: conn.ErrHostDown}
	}
	return err
}

// Root returns the absolute server path of the mounted directory.
func (t *Tree) Root() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.root
}

// Path returns the server path of rel, a path relative to Root ("" is Root).
func (t *Tree) Path(rel string) string { return path.Join(t.Root(), rel) }
