package fs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// handle is an open file.
type handle struct {
	n      *node
	dir    *node // that the file was opened in
	t      *transfer.Handle
	mode   openMode
	append bool // O_APPEND: writes go to the end that the file has by now, not to the one that the kernel knows
}

var (
	_ gofs.FileAllocater = (*handle)(nil)
	_ gofs.FileReader    = (*handle)(nil)
	_ gofs.FileWriter    = (*handle)(nil)
	_ gofs.FileFlusher   = (*handle)(nil)
	_ gofs.FileFsyncer   = (*handle)(nil)
	_ gofs.FileReleaser  = (*handle)(nil)
)

// Open opens a file; O_TRUNC comes with it.
func (n *node) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	how := transfer.How{Write: flags&syscall.O_ACCMODE != syscall.O_RDONLY, Truncate: flags&syscall.O_TRUNC != 0}
	t, err := n.open(ctx, how)
	if err != nil {
		return nil, 0, n.errno("open", err)
	}
	n.correct(t.Attr())
	h, fuseFlags := n.handle(ctx, t, flags)
	return h, fuseFlags, 0
}

// correct makes the kernel ask again for the size and time of a file that is
// being opened, if it was told others: it would read only as far as the old
// size. NotifyContent of attributes alone waits for nothing.
func (n *node) correct(a transfer.Attr) {
	n.mu.Lock()
	told := n.told
	n.mu.Unlock()
	if told == stampOf(a.Size, a.Time) {
		return
	}
	if e := n.NotifyContent(-1, 0); e != 0 && e != syscall.ENOENT {
		n.m.log.Debug("the kernel was not notified", "errno", e)
	}
}

// handle returns the FUSE side of an open file and its open flags: the kernel
// reads a copy that is complete by itself, else the page cache is kept if it
// holds the bytes that the handle reads.
func (n *node) handle(ctx context.Context, t *transfer.Handle, flags uint32) (gofs.FileHandle, uint32) {
	writes := flags&syscall.O_ACCMODE != syscall.O_RDONLY
	h := &handle{n: n, dir: n.directory(), t: t, append: writes && flags&syscall.O_APPEND != 0}
	n.m.watch.begin(h.dir)
	want, file := cached, (*os.File)(nil)
	switch {
	case h.append:
		want = direct
	case n.m.bypass.off.Load() || flags&syscall.O_TRUNC != 0:
	case !writes:
		file = t.Backing()
	case flags&syscall.O_ACCMODE == syscall.O_RDWR:
		file = t.BackingToWrite(ctx)
	}
	if file != nil {
		want = passthrough
	}
	keep := n.choose(h, want)
	if h.mode == passthrough {
		return &backed{h, file}, 0
	}
	if writes && file != nil {
		file.Close()
		file = nil
		t.Unback()
	}
	if h.mode == passthroughDirect {
		if flags&syscall.O_ACCMODE == syscall.O_RDWR { // others cannot be mapped to write
			t.Expose()
		}
		return &backed{h, file}, fuse.FOPEN_DIRECT_IO
	}
	if file != nil {
		file.Close()
	}
	t.Unshown() // also what BackingToWrite gave no file for
	switch {
	case h.mode == direct:
		return h, fuse.FOPEN_DIRECT_IO
	case keep:
		return h, fuse.FOPEN_KEEP_CACHE
	}
	return h, 0
}

// choose sets the mode of h, for which want would be best, and tells whether
// the page cache holds what it reads. From here on go-fuse must have its turn (see backings).
func (n *node) choose(h *handle, want openMode) (keep bool) {
	content, inode := h.t.Content(), h.t.Inode()
	n.m.backings.step.Lock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if want == passthrough && n.modes.backed() && n.backing != inode {
		want = direct // the kernel would read another version, or write one
	}
	h.mode = n.modes.choose(want)
	if h.mode == passthrough {
		n.backing = inode
	}
	if h.mode == passthrough || h.mode == passthroughDirect {
		h.t.Hold(n.backing)
	}
	keep = h.mode == cached && content != nil && content == n.content
	n.content = nil
	return keep
}

// justCreated is for how long the kernel may keep the attributes of a file
// that was created: cp and others ask for them at once. What is written makes it
// ask again.
const justCreated = 100 * time.Millisecond

// Create creates and opens a file.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	var t *transfer.Handle
	var e conn.Entry
	var ours bool
	p, err := n.change(ctx, name, func(p string) (err error) {
		if t, e, err = n.m.transfer.Create(ctx, p, goMode(mode), flags&syscall.O_EXCL != 0, flags&syscall.O_TRUNC != 0); err == nil {
			e, ours, _ = n.m.transfer.Look(p, func() (conn.Entry, error) { return e, nil }) // t is open: it has not ended
		}
		return err
	})
	if err != nil {
		return nil, nil, 0, n.errno("create", err)
	}
	var c *gofs.Inode
	if isNamed(p, name) {
		c = n.newChild(ctx, name, 0, syscall.S_IFREG)
		n.m.fillEntry(e, ours, c, n.m.left(p), out)
		out.SetAttrTimeout(min(justCreated, n.m.left(p)))
	} else {
		c = n.aliasOf(ctx, name, e)
		n.m.fillEntry(e, ours, c, 0, out)
	}
	made := c.Operations().(*node)
	made.hold(t)
	h, fuseFlags := made.handle(ctx, t, flags)
	return c, h, fuseFlags, 0
}

// Read reads into dest.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	ctx, done := grace(ctx)
	defer done()
	if h.mode == passthrough {
		h.n.m.bypass.off.Store(true) // the kernel was refused the file, or it would not ask us
	}
	data, release, err := h.t.View(ctx, dest, off)
	if err != nil {
		return nil, h.n.errno("read", err)
	}
	return &answer{data, release}, 0
}

// answer is a READ's, sent from where it is.
type answer struct {
	data []byte
	done func()
}

func (a *answer) Bytes([]byte) ([]byte, fuse.Status) { return a.data, fuse.OK }

// Slices has go-fuse send the bytes without copying them, and call Done after that.
func (a *answer) Slices() ([][]byte, fuse.Status) { return [][]byte{a.data}, fuse.OK }
func (a *answer) Size() int                       { return len(a.data) }
func (a *answer) Done()                           { a.done() }

// Write writes data into the local copy.
func (h *handle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if h.mode == passthrough {
		h.n.m.bypass.off.Store(true) // as in Read
	}
	var k int
	var err error
	if h.append {
		k, err = h.t.Append(data)
	} else {
		k, err = h.t.WriteAt(data, off)
	}
	return uint32(k), h.n.errno("write", err)
}

// Allocate is fallocate(2). There is nothing to reserve on an FTP server, so
// that only the size can change; holes cannot be punched.
func (h *handle) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	if mode&^keepSize != 0 {
		return syscall.EOPNOTSUPP
	}
	end := int64(off + size)
	if mode&keepSize != 0 || end <= h.t.Attr().Size {
		return 0
	}
	return h.n.errno("fallocate", h.t.Truncate(end))
}

// Release closes the file that the kernel was given, too.
func (b *backed) Release(ctx context.Context) syscall.Errno {
	if b.file != nil {
		b.file.Close()
	}
	return b.handle.Release(ctx)
}

// Flush is close(2): it uploads, and tells what became of that.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	err := h.t.Flush(ctx)
	if h.n.alias {
		h.n.tellOther(h.n.path(), false)
	}
	return h.n.errno("close", err)
}

// Fsync returns when the server has the file.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	return h.n.errno("fsync", h.t.Sync(ctx))
}

// Release comes once, after the last Flush.
func (h *handle) Release(ctx context.Context) syscall.Errno {
	content := h.t.Content()
	done := h.t.Holding() // as long as the kernel has it, and gives it to who opens the file now
	h.t.Release()
	defer done()
	h.n.m.backings.giveBack(ctx, func() {
		h.n.mu.Lock()
		defer h.n.mu.Unlock()
		h.n.modes.release(h.mode)
		h.n.leaveLocked(h.t)
		if h.mode == cached {
			h.n.content = content
		}
	})
	h.n.m.watch.end(h.dir)
	return 0
}

// Fsync of a file without a handle has nothing to do.
func (n *node) Fsync(ctx context.Context, fh gofs.FileHandle, flags uint32) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	if h := handleOf(fh); h != nil {
		return h.Fsync(ctx, flags)
	}
	return 0
}

// Setattr is truncate, chmod, chown and utimens.
func (n *node) Setattr(ctx context.Context, fh gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	ctx, done := grace(ctx)
	defer done()
	h := handleOf(fh)
	if size, ok := in.GetSize(); ok {
		if err := n.truncate(ctx, h, int64(size)); err != nil {
			return n.errno("truncate", err)
		}
	}
	if n.isNobodys(h) {
		errno := n.Getattr(ctx, fh, out)
		if errno == syscall.ESTALE { // in a chmod(2) the kernel takes that once, and a fast writer replaces a file twice meanwhile
			errno = n.lastTold(out)
		}
		return errno
	}
	if mode, ok := in.GetMode(); ok {
		if err := n.chmod(ctx, mode); err != nil {
			return n.errno("chmod", err)
		}
	}
	uid, setUID := in.GetUID()
	gid, setGID := in.GetGID()
	if setUID && uid != n.m.o.UID || setGID && gid != n.m.o.GID {
		return syscall.EPERM // FTP has no command for it
	}
	if at, ok := in.GetMTime(); ok {
		if err := n.utimens(ctx, at); err != nil {
			return n.errno("utimens", err)
		}
	}
	return n.Getattr(ctx, fh, out)
}

// truncate goes through the handle if the caller has one; else it opens the
// file for itself and uploads it before it returns.
func (n *node) truncate(ctx context.Context, h *handle, size int64) error {
	if h != nil {
		return h.t.Truncate(size)
	}
	t, err := n.open(ctx, transfer.How{Write: true})
	if err != nil {
		return err
	}
	defer func() {
		n.leave(t)
		t.Release()
	}()
	if t.Attr().Size == size {
		return nil
	}
	if err := t.Truncate(size); err != nil {
		return err
	}
	return t.Flush(ctx)
}

func (n *node) chmod(ctx context.Context, mode uint32) error {
	return n.found(ctx, func() error {
		p := n.path()
		if e, _, err := n.m.look(ctx, p); err == nil && e.HasMode && unixMode(e.Mode) == mode&0o7777 {
			return nil
		}
		return n.m.transfer.Chmod(ctx, p, goMode(mode))
	})
}

// utimens sets the modification time. Of directories it is set where the
// server can, and no error else: tar, cp -a and rsync set it on every one.
func (n *node) utimens(ctx context.Context, at time.Time) error {
	err := n.found(ctx, func() error { return n.m.transfer.SetTime(ctx, n.path(), at) })
	refused := errors.Is(err, errors.ErrUnsupported) || conn.OutcomeOf(err) == conn.Refused
	if err != nil && refused && n.IsDir() {
		n.m.dirTimes.Do(func() {
			n.m.log.Info("the server does not set the time of a directory; no others are told of", "path", n.path(), "error", err)
		})
		return nil
	}
	return err
}
