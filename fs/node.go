package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"math"
	"strings"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// node is a file, directory or symlink that the kernel knows.
type node struct {
	gofs.Inode
	m *Mount

	parent *node  // nil: the root; guarded by m.names
	name   string // guarded by m.names
	known  string // the name by which the kernel has it; guarded by m.names
	alias  bool   // the kernel knows it by another name, that differs in case; see names.go

	lastMove uint32 // number of its last rename, see moves; guarded by m.names

	gone   bool          // it has lost its name; guarded by m.names
	astray bool          // gone by another spelling of its name: the kernel may still find it by its own; guarded by m.names
	late   chan struct{} // once it is gone: semaphore of one, who opens it; guarded by m.names

	mu      sync.Mutex
	modes   openModes         // guarded by mu
	held    held              // guarded by mu
	told    stamp             // of a file: what the kernel was told last; guarded by mu
	backing any               // what the kernel reads by itself, as transfer.Handle.Inode tells, while modes has such opens; guarded by mu
	content any               // what the page cache holds, as transfer.Handle.Content tells; guarded by mu
	inos    map[string]uint64 // of a directory: numbers promised by READDIR to names not looked up yet; guarded by mu
}

// Link is implemented only to answer EPERM, which is what POSIX says of file
// systems without hard links.
var (
	_ gofs.NodeLookuper       = (*node)(nil)
	_ gofs.NodeGetattrer      = (*node)(nil)
	_ gofs.NodeSetattrer      = (*node)(nil)
	_ gofs.NodeAccesser       = (*node)(nil)
	_ gofs.NodeReadlinker     = (*node)(nil)
	_ gofs.NodeStatfser       = (*node)(nil)
	_ gofs.NodeOpendirHandler = (*node)(nil)
	_ gofs.NodeMkdirer        = (*node)(nil)
	_ gofs.NodeRmdirer        = (*node)(nil)
	_ gofs.NodeUnlinker       = (*node)(nil)
	_ gofs.NodeRenamer        = (*node)(nil)
	_ gofs.NodeCreater        = (*node)(nil)
	_ gofs.NodeOpener         = (*node)(nil)
	_ gofs.NodeMknoder        = (*node)(nil)
	_ gofs.NodeLinker         = (*node)(nil)
	_ gofs.NodeSymlinker      = (*node)(nil)
	_ gofs.NodeFsyncer        = (*node)(nil)
)

// path returns the server path of n.
func (n *node) path() string {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	return n.pathLocked()
}

func (n *node) pathLocked() string {
	rel := ""
	for ; n.parent != nil; n = n.parent {
		rel = "/" + n.name + rel
	}
	return n.m.tree.Path(rel)
}

// childPath returns the server path of name in the directory n, and checks
// name before anything is asked.
func (n *node) childPath(name string) (string, error) {
	if err := conn.CheckName(name); err != nil {
		return "", err
	}
	dir := n.path()
	if dir == "/" {
		return "/" + name, nil
	}
	return dir + "/" + name, nil
}

// child returns the inode of e in the directory n: the one that the kernel
// knows already if it is still of the same type, and has not lost its name just now. ino is the number of a new
// one, 0: that which was promised, or the next.
func (n *node) child(ctx context.Context, e conn.Entry, ino uint64) *gofs.Inode {
	mode := fileType(e.Kind)
	if c := n.childNow(e.Name); c != nil && c.StableAttr().Mode == mode {
		return c
	}
	return n.newChild(ctx, e.Name, ino, mode)
}

func (n *node) newChild(ctx context.Context, name string, ino uint64, mode uint32) *gofs.Inode {
	n.mu.Lock()
	promised, ok := n.inos[name]
	delete(n.inos, name)
	n.mu.Unlock()
	switch {
	case ok:
		ino = promised
	case ino == 0:
		ino = n.m.nextIno()
	}
	return n.NewInode(ctx, &node{m: n.m, parent: n, name: name, known: name}, gofs.StableAttr{Mode: mode, Ino: ino})
}

// numberOf returns the inode number that name has, or was promised.
func (n *node) numberOf(name string) (ino uint64, ok bool) {
	if c := n.childNow(name); c != nil {
		return c.StableAttr().Ino, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	ino, ok = n.inos[name]
	return ino, ok
}

// promise gives name the inode number ino as soon as it is looked up.
func (n *node) promise(name string, ino uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.inos == nil {
		n.inos = make(map[string]uint64)
	}
	n.inos[name] = ino
}

// fileType returns the S_IFMT bits for k. What the server does not tell is
// shown as a file: opening it shows what it is.
func fileType(k conn.Kind) uint32 {
	switch k {
	case conn.KindDir:
		return syscall.S_IFDIR
	case conn.KindSymlink:
		return syscall.S_IFLNK
	default:
		return syscall.S_IFREG
	}
}

// Lookup finds name in the directory n.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	p, e, ours, err := n.look(ctx, func() (string, error) { return n.childPath(name) })
	if errors.Is(err, conn.ErrInvalidName) {
		return nil, syscall.ENOENT // there can be no such file; only making one is invalid
	}
	if errors.Is(err, iofs.ErrNotExist) {
		if spelled := n.m.tree.Spelled(ctx, p); spelled != p {
			return n.lookupAlias(ctx, name, spelled, out)
		}
	}
	if err != nil {
		return nil, n.errno("lookup", err)
	}
	c := n.child(ctx, e, 0)
	n.m.fillEntry(e, ours, c, n.m.left(p), out)
	return c, 0
}

// Getattr returns attributes: of an open file as its handle knows them, so
// that they are right after unlink too.
func (n *node) Getattr(ctx context.Context, fh gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	var opened *transfer.Handle
	if h := handleOf(fh); h != nil {
		opened = h.t
	}
	if e, unlinked, ok := n.asOpened(opened); ok {
		n.m.fillAttr(e, &out.Attr)
		if unlinked {
			out.Nlink = 0
		}
		return 0
	}
	if n.isGone() {
		return syscall.ESTALE // what is at its path by now is another file
	}
	return n.getattr(ctx, out)
}

// tell notes what the kernel is told of the size and time of n.
func (n *node) tell(e conn.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = stampOf(e.Size, e.Time)
}

// stamp is the size and time of a file. There is one for each file that the
// kernel knows: a conn.Version would take three times as much.
type stamp struct{ size, time int64 }

func stampOf(size int64, t time.Time) stamp {
	if t.IsZero() {
		return stamp{size, math.MinInt64}
	}
	return stamp{size, t.UnixNano()}
}

func (s stamp) when() time.Time {
	if s.time == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, s.time)
}

func (n *node) getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	p, e, ours, err := n.look(ctx, n.itself)
	if err != nil {
		return n.errno("getattr", err)
	}
	left := n.m.left(p)
	if ours || n.alias {
		left = 0
	}
	n.tell(e)
	n.m.fillAttr(e, &out.Attr)
	out.Ino = n.StableAttr().Ino
	out.SetTimeout(left)
	return 0
}

// look returns what is at the path that of returns, also while a directory
// above n is being renamed; ours as Mount.look.
func (n *node) look(ctx context.Context, of func() (string, error)) (p string, e conn.Entry, ours bool, err error) {
	err = n.found(ctx, func() (err error) {
		if p, err = of(); err == nil {
			e, ours, err = n.m.look(ctx, p)
		}
		return err
	})
	return p, e, ours, err
}

func (n *node) itself() (string, error) { return n.path(), nil }

// look returns what is at p; ours: by changes of ours, so that nobody should keep it.
func (m *Mount) look(ctx context.Context, p string) (e conn.Entry, ours bool, err error) {
	return m.transfer.Look(p, func() (conn.Entry, error) { return m.tree.Lookup(ctx, p) })
}

// Access is access(2), as far as the server tells what it will allow: by the
// "perm" fact of MLSD (RFC 3659, 7.5.5), else by modes. What is not known is
// allowed.
func (n *node) Access(ctx context.Context, mask uint32) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	const read, write, execute = 4, 2, 1
	p, e, _, err := n.look(ctx, n.itself)
	if err != nil {
		return n.errno("access", err)
	}
	dir := e.Kind == conn.KindDir
	lacks := func(files, dirs string) bool {
		want := files
		if dir {
			want = dirs
		}
		return e.Perm != "" && !strings.ContainsAny(e.Perm, want)
	}
	switch {
	case mask&read != 0 && lacks("r", "l"),
		mask&write != 0 && (lacks("wa", "cmp") || !dir && !n.m.transfer.MayWrite(p, e)),
		mask&execute != 0 && dir && lacks("", "e"),
		mask&execute != 0 && !dir && e.HasMode && e.Mode&0o111 == 0:
		return syscall.EACCES
	}
	return 0
}

// Readlink returns the target of a symlink; see tree.Readlink.
func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	p, e, _, err := n.look(ctx, n.itself)
	if err != nil {
		return nil, n.errno("readlink", err)
	}
	to, err := n.m.tree.Readlink(p, e)
	return []byte(to), n.errno("readlink", err)
}

func (n *node) errno(op string, err error) syscall.Errno { return errno(n.m.log, op, err) }

// fillEntry answers a lookup with the inode c, which is e and will be for the
// time left, but for the attributes of what is ours.
func (m *Mount) fillEntry(e conn.Entry, ours bool, c *gofs.Inode, left time.Duration, out *fuse.EntryOut) {
	attr := left
	if now, _, ok := c.Operations().(*node).asOpened(nil); ok {
		e, ours = now, true
	}
	if ours {
		attr = 0
	}
	c.Operations().(*node).tell(e)
	m.fillAttr(e, &out.Attr)
	out.Ino = c.StableAttr().Ino
	out.SetEntryTimeout(left)
	out.SetAttrTimeout(attr)
}

// left is for how long the kernel may keep what it is told of p.
func (m *Mount) left(p string) time.Duration { return m.tree.Left(parentOf(p)) }

// fillAttr fills out from e, all but the inode number.
func (m *Mount) fillAttr(e conn.Entry, out *fuse.Attr) {
	const block = 512
	perm := e.Mode & (iofs.ModePerm | iofs.ModeSetuid | iofs.ModeSetgid | iofs.ModeSticky)
	out.Nlink, out.Blksize = 1, 4096
	switch e.Kind {
	case conn.KindDir:
		if !e.HasMode {
			perm = 0o777 &^ m.o.Umask
		}
		if m.o.DirMode != nil {
			perm = *m.o.DirMode
		}
		out.Size = 4096
	case conn.KindSymlink:
		perm = 0o777
		out.Size = uint64(len(e.Target)) // what readlink(2) will give
	default:
		if !e.HasMode {
			perm = 0o666 &^ m.o.Umask
		}
		if m.o.FileMode != nil {
			perm = *m.o.FileMode
		}
		out.Size = uint64(max(0, e.Size))
	}
	out.Mode = fileType(e.Kind) | unixMode(perm)
	out.Blocks = (out.Size + block - 1) / block
	out.Uid, out.Gid = m.o.UID, m.o.GID
	at := e.Time
	if at.IsZero() {
		at = m.since
	}
	out.SetTimes(&at, &at, &at)
}

// unixMode returns the permission bits of mode as stat(2) shows them.
func unixMode(mode iofs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for _, b := range []struct {
		flag iofs.FileMode
		bit  uint32
	}{{iofs.ModeSetuid, syscall.S_ISUID}, {iofs.ModeSetgid, syscall.S_ISGID}, {iofs.ModeSticky, syscall.S_ISVTX}} {
		if mode&b.flag != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// goMode is the inverse of unixMode.
func goMode(bits uint32) iofs.FileMode {
	mode := iofs.FileMode(bits & 0o777)
	if bits&syscall.S_ISUID != 0 {
		mode |= iofs.ModeSetuid
	}
	if bits&syscall.S_ISGID != 0 {
		mode |= iofs.ModeSetgid
	}
	if bits&syscall.S_ISVTX != 0 {
		mode |= iofs.ModeSticky
	}
	return mode
}
