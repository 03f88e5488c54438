package fs

import (
	"context"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
)

// Raw is what the kernel asks.
func (m *Mount) Raw() fuse.RawFileSystem { return m.backings }

// HoldNode locks the node of a name in the root until release is called.
func (m *Mount) HoldNode(name string) (release func()) {
	n := m.root.GetChild(name).Operations().(*node)
	n.mu.Lock()
	return sync.OnceFunc(n.mu.Unlock)
}

// LookupDuringRename renames a directory as the kernel asks for it, and tells whether a
// lookup by its old name, which is answered before go-fuse has followed, is answered with it.
func (m *Mount) LookupDuringRename(ctx context.Context, from, name, to, newName string) (same bool) {
	dir := func(name string) *node { return m.root.GetChild(name).Operations().(*node) }
	a, b := dir(from), dir(to)
	c := a.GetChild(name)
	if e := a.Rename(ctx, name, b, newName, 0); e != 0 {
		panic(e)
	}
	got := a.child(ctx, conn.Entry{Name: name, Kind: conn.KindDir}, 0)
	a.AddChild(name, got, true)
	a.MvChild(name, &b.Inode, newName, true)
	return got == c
}
