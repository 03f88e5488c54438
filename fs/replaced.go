package fs

import (
	"context"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// A node is the file that the kernel found when it looked the name up. When the
// file is removed, or another is renamed over it, the name is no longer its, but
// who has it open goes on with it. Who opens it just then must not be shown a
// mixture: the attributes, bytes and cached pages of one node are those of one file,
// or what is opened in its place goes past the page cache.

func (n *node) isGone() bool {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	return n.gone
}

// lose notes that the child name, if the kernel knows it, has lost its name.
func (n *node) lose(name string) {
	c := n.GetChild(name)
	if c == nil {
		return
	}
	n.m.names.Lock()
	defer n.m.names.Unlock()
	c.Operations().(*node).gone = true
}

// isReplaced tells whether what is at the path of n is another file by now, or can be.
func (n *node) isReplaced() bool {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	if n.gone || len(n.m.moves.renames) == 0 {
		return n.gone
	}
	p := n.pathLocked()
	for r := range n.m.moves.renames {
		if r.sent && r.to == p && r.path != p {
			return true
		}
	}
	return false
}

// asOpened returns the attributes of n as h, nil: any handle, knows them, if the
// server is not, or may not be, who knows them; unlinked: it has no name. The kernel
// would read as far as the size of what has just taken its place. It asks
// for the size in front of a read without a handle.
func (n *node) asOpened(h *handle) (e conn.Entry, unlinked, ok bool) {
	if h == nil {
		if h, _ = n.anyHandle(); h == nil {
			return conn.Entry{}, false, false
		}
	}
	a := h.t.Attr()
	e = conn.Entry{Kind: conn.KindFile, Size: a.Size, Time: a.Time, Mode: a.Mode, HasMode: a.HasMode}
	return e, a.Unlinked, a.Unlinked || n.isReplaced()
}

// open opens the file of n. One that has lost its name since the kernel looked
// it up is opened all the same if somebody has it open, as on a local disk, else,
// and from then on, as what is at its path now: ESTALE the kernel takes once in an
// open(2), and a fast writer replaces a file twice meanwhile.
func (n *node) open(ctx context.Context, how transfer.How) (t *transfer.Handle, err error) {
	if h, passed := n.anyHandle(); h != nil && !passed {
		if t, err := h.t.Again(how); t != nil || err != nil {
			return t, err
		}
	}
	err = n.found(ctx, func() error {
		t, err = n.m.transfer.Open(ctx, n.path(), how)
		return err
	})
	return t, err
}

// anyHandle returns a handle of n, nil if nobody has it open.
func (n *node) anyHandle() (h *handle, passed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.handles) > 0 {
		h = n.handles[0]
	}
	return h, n.passed
}
