package fs

import (
	"context"
	"path"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
)

func parentOf(p string) string { return path.Dir(p) }

// dirHandle is an open directory: a snapshot of its listing.
type dirHandle struct {
	n       *node
	entries []conn.Entry
	read    bool // entries are there
	next    int  // 0 and 1 are "." and ".."
}

var (
	_ gofs.FileReaddirenter = (*dirHandle)(nil)
	_ gofs.FileSeekdirer    = (*dirHandle)(nil)
	_ gofs.FileFsyncdirer   = (*dirHandle)(nil)
)

// OpendirHandle lists the directory, so that opendir(3) tells what is wrong
// with it.
func (n *node) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	d := &dirHandle{n: n}
	if err := d.list(ctx); err != nil {
		return nil, 0, n.errno("opendir", err)
	}
	return d, 0, 0
}

func (d *dirHandle) list(ctx context.Context) (err error) {
	d.entries, err = d.n.m.tree.List(ctx, d.n.path())
	d.read = err == nil
	return err
}

// Readdirent returns the next entry. Attributes come by Lookup, from the same
// listing.
func (d *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !d.read {
		ctx, done := grace(ctx)
		defer done()
		if err := d.list(ctx); err != nil {
			return nil, d.n.errno("readdir", err)
		}
	}
	i := d.next
	if i >= len(d.entries)+2 {
		return nil, 0
	}
	d.next++
	de := &fuse.DirEntry{Mode: syscall.S_IFDIR, Off: uint64(d.next), Name: "."}
	switch i {
	case 0:
		de.Ino = d.n.StableAttr().Ino
	case 1:
		de.Name, de.Ino = "..", d.n.parentIno()
	default:
		e := d.entries[i-2]
		de.Name, de.Mode, de.Ino = e.Name, fileType(e.Kind), d.n.promise(e.Name)
	}
	return de, 0
}

// Seekdir continues at off; rewinddir lists anew.
func (d *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		d.read = false
	}
	d.next = int(min(off, uint64(len(d.entries)+2)))
	return 0
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
	p, err := n.childPath(name)
	if err != nil {
		return nil, n.errno("mkdir", err)
	}
	e, err := n.m.tree.Mkdir(ctx, p)
	if err != nil {
		return nil, n.errno("mkdir", err)
	}
	if mode&0o777 != usual {
		if err := n.m.tree.Chmod(ctx, p, goMode(mode)); err != nil {
			n.m.log.Info("the server does not set the mode of a directory", "path", p, "error", err)
		} else {
			e.Mode, e.HasMode = goMode(mode), true
		}
	}
	c := n.newChild(ctx, name, syscall.S_IFDIR)
	n.m.fillEntry(p, e, c, out)
	return c, 0
}

// Rmdir removes an empty directory.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	p, err := n.childPath(name)
	if err == nil {
		err = n.m.tree.Rmdir(ctx, p)
	}
	return n.errno("rmdir", err)
}

// Unlink removes a file or a symlink.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	p, err := n.childPath(name)
	if err == nil {
		err = n.m.transfer.Remove(ctx, p)
	}
	if err == nil {
		n.lose(name)
	}
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
	oldPath, err := n.childPath(name)
	if err != nil {
		return n.errno("rename", err)
	}
	newPath, err := to.childPath(newName)
	if err != nil {
		return n.errno("rename", err)
	}
	if err := n.m.transfer.Rename(ctx, oldPath, newPath, flags&renameNoReplace != 0); err != nil {
		return n.errno("rename", err)
	}
	to.lose(newName)
	if c := n.GetChild(name); c != nil {
		moved := c.Operations().(*node)
		n.m.names.Lock()
		moved.parent, moved.name = to, newName
		n.m.names.Unlock()
	}
	return 0
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
	h := fh.(*handle)
	errno = h.Fsync(ctx, 0)
	h.Release(ctx)
	return c, errno
}

// Link refuses: FTP has no hard links.
func (n *node) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink refuses: FTP has no command to make one.
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
