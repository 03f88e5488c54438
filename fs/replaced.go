package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// A node is the file that the kernel found when it looked the name up. When the
// file is removed, or another is renamed over it, the name is no longer its, and it
// is gone, before anybody can open what is at its path then. Who has it open goes on
// with it, and so does who opens it now: by /proc/self/fd, or because the kernel had
// it looked up just before. All that is open of a node that is gone is one
// file: its pages, size and map are those of the node.

// held are the handles that a node is open by.
type held map[*transfer.Handle]struct{}

// any returns one of them, nil if there is none.
func (h held) any() *transfer.Handle {
	for t := range h {
		return t
	}
	return nil
}

func (n *node) isGone() bool {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	return n.gone
}

// nodesOf returns the node that the kernel knows as name in the directory n, if there is
// one. A lookup that was answered beside a rename can have left what is elsewhere by now.
func (n *node) nodesOf(name string) []*node {
	c := n.GetChild(name)
	if c == nil {
		return nil
	}
	child := c.Operations().(*node)
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	if child.parent != n || child.known != name {
		return nil
	}
	return []*node{child}
}

// lose notes that nodes have lost their name; astray: by another spelling of it.
func (m *Mount) lose(nodes []*node, astray bool) {
	m.names.Lock()
	defer m.names.Unlock()
	for _, n := range nodes {
		n.gone, n.astray = true, astray
		if n.late == nil {
			n.late = make(chan struct{}, 1)
		}
	}
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

// asOpened returns the attributes of n as h, nil: anybody who has it open, knows
// them, if the server does not, or may not, know them; unlinked: it has no name. The
// kernel would read as far as the size of what has just taken its place. It
// asks for the size in front of a read without a handle.
func (n *node) asOpened(h *transfer.Handle) (e conn.Entry, unlinked, ok bool) {
	if h == nil {
		n.mu.Lock()
		h = n.held.any()
		n.mu.Unlock()
	}
	if h == nil {
		return conn.Entry{}, false, false
	}
	a := h.Attr()
	e = conn.Entry{Kind: conn.KindFile, Size: a.Size, Time: a.Time, Mode: a.Mode, HasMode: a.HasMode}
	return e, a.Unlinked, a.Unlinked || n.isReplaced()
}

// isNobodys tells whether the mode and times of n, which h, if there is one, has
// open, are nobody's any more. Who names an alias always gets the node of what is there.
func (n *node) isNobodys(h *handle) bool {
	var t *transfer.Handle
	if h != nil {
		t = h.t
	}
	_, unlinked, open := n.asOpened(t)
	n.m.names.RLock()
	gone, astray := n.gone, n.astray
	n.m.names.RUnlock()
	if gone {
		return unlinked || !open || astray // else it was opened late, as what is at its path
	}
	return unlinked && (h != nil || n.alias)
}

// childNow returns the child name if it is still what is there under that name:
// not if it is gone, the alias of another, or open while its file has lost its name by another one.
func (n *node) childNow(name string) *gofs.Inode {
	c := n.GetChild(name)
	if c == nil {
		return nil
	}
	child := c.Operations().(*node)
	n.m.names.RLock()
	gone, dir, known, own := child.gone, child.parent, child.known, child.name
	n.m.names.RUnlock()
	same := dir == n && own == name
	if !child.alias && (dir != n || known != name) {
		// Being renamed, it is here by its old name until go-fuse has it by the new one, too: then it was left here.
		same = dir.GetChild(known) != c
	}
	if _, unlinked, _ := child.asOpened(nil); gone || !same || unlinked {
		return nil
	}
	return c
}

// open opens the file of n; the caller must leave n before it releases the
// handle. One that is gone is opened as the file that others have open by
// it. If nobody has, as what is at its path now: ESTALE the kernel takes once
// in an open(2), and a fast writer replaces a file twice meanwhile.
func (n *node) open(ctx context.Context, how transfer.How) (*transfer.Handle, error) {
	t, err := n.openNamed(ctx, how)
	if n.isGone() && (t == nil || !n.isHeldBy(t)) {
		if t != nil {
			t.Release()
		}
		t, err = n.openLate(ctx, how)
	}
	if err == nil && how.Truncate { // not before it is known to be this file
		if err = t.Empty(); err != nil {
			n.leave(t)
			t.Release()
		}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// openNamed opens what is at the path of n, which holds it unless it is gone by then.
func (n *node) openNamed(ctx context.Context, how transfer.How) (*transfer.Handle, error) {
	if n.isGone() {
		return nil, nil
	}
	t, err := n.openPath(ctx, how)
	if err != nil {
		return nil, err
	}
	_, unlinked, _ := n.asOpened(nil)
	if unlinked && !t.Attr().Unlinked && !n.isGone() { // by another spelling of a directory above: a node of its own is needed
		t.Release()
		return nil, n.stale()
	}
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	if !n.gone {
		n.hold(t)
	}
	return t, nil
}

// stale has the kernel look up again what it opens, to find another node.
func (n *node) stale() error {
	return &conn.Error{Op: "open", Path: n.path(), Outcome: conn.Refused, Err: conn.ErrConflict}
}

func (n *node) openPath(ctx context.Context, how transfer.How) (t *transfer.Handle, err error) {
	err = n.found(ctx, func() error {
		t, err = n.m.transfer.Open(ctx, n.path(), how)
		return err
	})
	return t, err
}

// openLate opens n, which is gone. One at a time, so that the next finds the file that this one opens.
func (n *node) openLate(ctx context.Context, how transfer.How) (*transfer.Handle, error) {
	n.m.names.RLock()
	astray, turn := n.astray, n.late
	n.m.names.RUnlock()
	if astray {
		return nil, n.stale()
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	n.mu.Lock()
	h := n.held.any()
	n.mu.Unlock()
	var t *transfer.Handle
	var err error
	if h != nil {
		t, err = h.Again(how)
	}
	if t == nil && err == nil {
		t, err = n.openPath(ctx, how)
	}
	if errors.Is(err, iofs.ErrNotExist) {
		err = n.stale() // an open(2) that creates must find that out by a lookup
	}
	if err == nil {
		n.hold(t)
	}
	return t, err
}

func (n *node) hold(t *transfer.Handle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held = make(held)
	}
	n.held[t] = struct{}{}
}

func (n *node) isHeldBy(t *transfer.Handle) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.held[t]
	return ok
}

// leave says that t is about to be released.
func (n *node) leave(t *transfer.Handle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaveLocked(t)
}

func (n *node) leaveLocked(t *transfer.Handle) {
	if delete(n.held, t); len(n.held) == 0 {
		n.held = nil // most are opened once
	}
}

// lastTold answers with what the kernel was told last of a file that is gone.
func (n *node) lastTold(out *fuse.AttrOut) syscall.Errno {
	n.mu.Lock()
	told := n.told
	n.mu.Unlock()
	n.m.fillAttr(conn.Entry{Kind: conn.KindFile, Size: told.size, Time: told.when()}, &out.Attr)
	return 0
}
