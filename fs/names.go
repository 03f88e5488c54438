package fs

import (
	"context"
	"path"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// A server on Windows finds names in any case. Programs expect that of it, or
// not at all: what they find under "A" must be what is there, lest they make it
// anew. So a name in another case than the server lists is an alias: a node of
// its own, with the path of the real one. It is not the same node, or the kernel
// would take a rename from "a" to "A" for one that changes nothing. The kernel
// keeps nothing of it, and is told when the real one has changed by it.

// spelledPath is childPath with the name as the server spells it.
func (n *node) spelledPath(ctx context.Context, name string) (string, error) {
	p, err := n.childPath(name)
	if err != nil {
		return "", err
	}
	return n.m.tree.Spelled(ctx, p), nil
}

// isNamed tells whether the last name of p is name.
func isNamed(p, name string) bool { return path.Base(p) == name }

// lookupAlias finds what is at p under a name in another case.
func (n *node) lookupAlias(ctx context.Context, name, p string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	e, ours, err := n.m.look(ctx, p)
	if err != nil {
		return nil, n.errno("lookup", err)
	}
	c := n.aliasOf(ctx, name, e)
	n.m.fillEntry(e, ours, c, 0, out)
	return c, 0
}

// aliasOf returns the inode of e under a name in another case.
func (n *node) aliasOf(ctx context.Context, name string, e conn.Entry) *gofs.Inode {
	mode := fileType(e.Kind)
	if c := n.GetChild(name); c != nil && c.StableAttr().Mode == mode {
		child := c.Operations().(*node)
		n.m.names.RLock()
		same := child.parent == n && child.name == e.Name
		n.m.names.RUnlock()
		_, unlinked, _ := child.asOpened(nil) // by the name that the server lists
		if same && !unlinked {
			return c
		}
	}
	return n.NewInode(ctx, &node{m: n.m, parent: n, name: e.Name, known: name, alias: true}, gofs.StableAttr{Mode: mode, Ino: n.m.nextIno()})
}

// lost notes that p, which the kernel knew as name, and as were, is gone from there,
// and tells the kernel if it may know it by its own name, too.
func (n *node) lost(name, p string, were []*node) {
	n.m.lose(append(were, n.nodesOf(name)...), false) // and who has looked it up meanwhile
	if !isNamed(p, name) {
		n.lostOther(p)
	}
}

// lostOther notes that p is gone from n by another spelling of its name.
func (n *node) lostOther(p string) {
	n.m.lose(n.nodesOf(path.Base(p)), true)
	n.tellOther(p, true)
}

// tellOther has the kernel told of a change to p by an alias.
func (n *node) tellOther(p string, gone bool) {
	n.m.notifier.add([]tree.Change{{Path: p, Gone: gone, Content: !gone}})
}
