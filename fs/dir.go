package fs

import (
	"context"
	"errors"
	"math"
	"path"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
	"ftpfs/fs/tree"
)

func parentOf(p string) string { return path.Dir(p) }

// dirHandle is an open directory: a snapshot of its listing.
type dirHandle struct {
	n       *node
	reading *tree.Reading // nil after rewinddir, until the next READDIR
	next    int           // 0 and 1 are "." and ".."
	last    conn.Entry    // that Readdirent returned
	ino     uint64        // what was said to be the number of last; 0 once that is kept
	plus    bool          // the entry before last was looked up: this is READDIRPLUS
	out     fuse.DirEntry // what Readdirent returned, for go-fuse to copy
}

var (
	_ gofs.FileReaddirenter = (*dirHandle)(nil)
	_ gofs.FileLookuper     = (*dirHandle)(nil)
	_ gofs.FileSeekdirer    = (*dirHandle)(nil)
	_ gofs.FileReleasedirer = (*dirHandle)(nil)
	_ gofs.FileFsyncdirer   = (*dirHandle)(nil)
)

// OpendirHandle lists the directory, so that opendir(3) tells what is wrong
// with it.
func (n *node) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	d := &dirHandle{n: n}
	if err := d.open(ctx); err != nil {
		return nil, 0, n.errno("opendir", err)
	}
	n.m.watch.begin(n)
	return d, 0, 0
}

func (d *dirHandle) open(ctx context.Context) error {
	return d.n.found(ctx, func() (err error) {
		d.reading, err = d.n.m.tree.Open(ctx, d.n.path())
		return err
	})
}

// Readdirent returns the next entry. Attributes come by Lookup, from the same
// listing. The first entries of a large directory come while the server is
// still listing the rest.
func (d *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.reading == nil || !d.reading.Has(d.next-2) {
		var done context.CancelFunc
		ctx, done = grace(ctx)
		defer done()
	}
	if d.reading == nil {
		if err := d.open(ctx); err != nil {
			return nil, d.n.errno("readdir", err)
		}
	}
	d.keepPromise()
	de := &d.out
	*de = fuse.DirEntry{Mode: syscall.S_IFDIR, Off: uint64(d.next + 1), Name: "."}
	switch i := d.next; i {
	case 0:
		de.Ino = d.n.StableAttr().Ino
	case 1:
		de.Name, de.Ino = "..", d.n.parentIno()
	default:
		e, ok, err := d.reading.Entry(ctx, i-2)
		if err != nil {
			return nil, d.n.errno("readdir", err)
		}
		if !ok {
			return nil, 0
		}
		if tree.IsTemporary(e.Name) {
			d.next++
			return d.Readdirent(ctx)
		}
		d.last = e
		de.Name, de.Mode, de.Ino = e.Name, fileType(e.Kind), d.promise()
	}
	d.next++
	return de, 0
}

// promise returns the inode number that last has, or will have when it is
// looked up. In READDIRPLUS that is next: the promise need not be kept for later.
func (d *dirHandle) promise() uint64 {
	ino, ok := d.n.numberOf(d.last.Name)
	if !ok {
		ino = d.n.m.nextIno()
		d.ino = ino
	}
	if !d.plus {
		d.keepPromise()
	}
	d.plus = false
	return ino
}

// keepPromise keeps the number of last for a lookup that comes later.
func (d *dirHandle) keepPromise() {
	if d.ino != 0 {
		d.n.promise(d.last.Name, d.ino)
		d.ino = 0
	}
}

// Lookup is the lookup of READDIRPLUS for the entry that Readdirent returned:
// it is answered from the same listing, also while that is still coming.
func (d *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	d.plus = true
	if name != d.last.Name || d.reading == nil {
		return d.n.Lookup(ctx, name, out)
	}
	var left time.Duration
	e, ours, err := d.n.m.transfer.Look(d.lastPath(), func() (e conn.Entry, err error) {
		var ok bool
		if e, left, ok = d.reading.Now(d.last); !ok {
			err = syscall.ESTALE
		}
		return e, err
	})
	if err != nil {
		d.keepPromise()
		return d.n.Lookup(ctx, name, out)
	}
	c := d.n.child(ctx, e, d.ino)
	d.ino = 0
	d.n.m.fillEntry(e, ours, c, left, out)
	return c, 0
}

// lastPath returns the path of last; "" if nothing is known of any file but what is listed.
func (d *dirHandle) lastPath() string {
	if !d.n.m.transfer.Any() {
		return ""
	}
	return path.Join(d.n.path(), d.last.Name)
}

// Seekdir continues at off; rewinddir lists anew.
func (d *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		d.close()
	}
	d.next = int(min(off, math.MaxInt32))
	return 0
}

// Releasedir ends the listing if it is still coming and nobody else waits for it.
func (d *dirHandle) Releasedir(context.Context, uint32) {
	d.close()
	d.n.m.watch.end(d.n)
}

func (d *dirHandle) close() {
	d.keepPromise()
	if d.reading != nil {
		d.reading.Close()
		d.reading = nil
	}
}

// Fsyncdir succeeds: what changes a directory has reached the server before
// it returns.
func (d *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

func (n *node) parentIno() uint64 {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	if n.parent == nil {
		return n.StableAttr().Ino
	}
	return n.parent.StableAttr().Ino
}

// Mkdir creates a directory. The mode is set where the server can, if it is
// not what servers use anyway.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	const usual = 0o755
	var e conn.Entry
	p, err := n.change(ctx, name, func(p string) (err error) {
		if e, err = n.m.tree.Mkdir(ctx, p); err != nil || mode&0o777 == usual {
			return err
		}
		if err := n.m.tree.Chmod(ctx, p, goMode(mode)); err != nil {
			n.m.log.Info("the server does not set the mode of a directory", "path", p, "error", err)
		} else {
			e.Mode, e.HasMode = goMode(mode), true
		}
		return nil
	})
	if err != nil {
		return nil, n.errno("mkdir", err)
	}
	c := n.newChild(ctx, name, 0, syscall.S_IFDIR)
	n.m.fillEntry(e, false, c, n.m.left(p), out)
	return c, 0
}

// Rmdir removes an empty directory.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	p, err := n.change(ctx, name, func(p string) error { return n.m.transfer.Rmdir(ctx, p) })
	if err == nil && !isNamed(p, name) {
		n.tellOther(p, true)
	}
	return n.errno("rmdir", err)
}

// Unlink removes a file or a symlink.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	_, err := n.change(ctx, name, func(p string) error {
		were := n.nodesOf(name)
		return n.m.transfer.Remove(ctx, p, func() { n.lost(name, p, were) })
	})
	return n.errno("unlink", err)
}

const renameNoReplace = 1 // RENAME_NOREPLACE of renameat2(2)

// Rename moves a child. RENAME_EXCHANGE and RENAME_WHITEOUT cannot be done.
func (n *node) Rename(ctx context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	to, ok := newParent.(*node)
	if !ok || flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	changed, err := n.m.changing(ctx, n, to)
	if err != nil {
		return n.errno("rename", err)
	}
	defer changed()
	oldPath, err := n.spelledPath(ctx, name)
	if err != nil {
		return n.errno("rename", err)
	}
	newPath, err := to.childPath(newName)
	if err != nil {
		return n.errno("rename", err)
	}
	if spelled := n.m.tree.Spelled(ctx, newPath); spelled != oldPath { // else only the case changes
		newPath = spelled
	}
	if newPath == oldPath { // by an alias: it is there already
		return 0
	}
	if tree.IsBelow(newPath, oldPath) { // by an alias: the kernel does not see it, and it would wait for itself
		return syscall.EINVAL
	}
	sent, moved, err := n.m.moving(ctx, oldPath, newPath)
	if err != nil {
		return n.errno("rename", err)
	}
	defer moved()
	were := to.nodesOf(newName)
	err = n.m.transfer.Rename(ctx, oldPath, newPath, flags&renameNoReplace != 0, sent, func() {
		to.lost(newName, newPath, were)
		n.moved(name, oldPath, to, newName, newPath)
	})
	return n.errno("rename", err)
}

// moved sees to the inodes after a rename of a child.
func (n *node) moved(name, oldPath string, to *node, newName, newPath string) {
	for _, child := range n.nodesOf(name) {
		n.m.names.Lock()
		n.m.moves.last++
		child.parent, child.name, child.known, child.lastMove = to, path.Base(newPath), newName, n.m.moves.last
		n.m.names.Unlock()
	}
	if !isNamed(oldPath, name) {
		n.lostOther(oldPath)
	}
}

// Mknod makes regular files only.
func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if mode&syscall.S_IFMT != syscall.S_IFREG && mode&syscall.S_IFMT != 0 {
		return nil, syscall.EPERM
	}
	c, fh, _, errno := n.Create(ctx, name, syscall.O_WRONLY|syscall.O_EXCL, mode, out)
	if errno != 0 {
		return nil, errno
	}
	n.m.backings.step.Unlock() // of Create: go-fuse never hears of this handle
	h := fh.(*handle)
	errno = h.Fsync(ctx, 0)
	h.Release(ctx)
	n.m.backings.followed(ctx.Done())
	return c, errno
}

// Link refuses: FTP has no hard links.
func (n *node) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink makes a symlink where the server can: EPERM elsewhere, as POSIX says.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	var e conn.Entry
	p, err := n.change(ctx, name, func(p string) (err error) {
		e, err = n.m.tree.Symlink(ctx, target, p)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, syscall.EPERM
	}
	if err != nil {
		return nil, n.errno("symlink", err)
	}
	c := n.newChild(ctx, name, 0, syscall.S_IFLNK)
	n.m.fillEntry(e, false, c, n.m.left(p), out)
	return c, 0
}
