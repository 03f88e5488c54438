package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/fs/transfer"
	"ftpfs/fs/tree"
)

const (
	// maxIO is what one READ or WRITE may carry: the kernel's most.
	maxIO = 1 << 20
	// maxBackground is how many readahead requests may wait for the server at
	// once. With the kernel's 12, as many stuck reads stop all others.
	maxBackground = 128
	// negativeTimeout: go-fuse knows only one for all names.
	negativeTimeout = time.Second
	rootIno         = 1
)

// Options configure a Mount.
type Options struct {
	Mountpoint   string         // an existing directory
	FSName       string         // shown in /proc/mounts; no password
	UID, GID     uint32         // owner of everything
	Umask        iofs.FileMode  // of files and directories whose mode the server does not tell
	FileMode     *iofs.FileMode // of all files; nil: the server's
	DirMode      *iofs.FileMode // of all directories; nil: the server's
	AllowOther   bool           // let other users in; implies default_permissions
	ReadOnly     bool           //
	Poll         time.Duration  // how often directories in use are listed again; 0: never
	MountOptions []string       // passed on to fusermount3: nodev, noexec, noatime, …
	Log          *slog.Logger   // nil: discard
	Debug        bool           // a log line for each FUSE request
}

// Mount is a mounted tree.
type Mount struct {
	o        Options
	tree     *tree.Tree
	transfer *transfer.Manager
	log      *slog.Logger
	server   *fuse.Server
	root     *node
	since    time.Time     // shown where the server tells no time: of the root, say
	inos     atomic.Uint64 // the last inode number that was given
	notifier *notifier
	watch    watch
	space    space
	life     context.Context // ends with the mount
	done     sync.WaitGroup  // the notifier and the poller

	bypass   bypass
	backings *backings
	names    sync.RWMutex // guards parent and name of all nodes
	moves    moves
	dirTimes sync.Once // the log says once that they cannot be set
}

// New mounts and returns once the mount answers.
func New(t *tree.Tree, tr *transfer.Manager, o Options) (*Mount, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Mount{o: o, tree: t, transfer: tr, log: o.Log, since: time.Now(), moves: newMoves()}
	m.inos.Store(rootIno)
	m.root = &node{m: m}
	m.notifier = newNotifier(m)
	t.OnChange(m.notifier.add)
	var end context.CancelFunc
	m.life, end = context.WithCancel(context.Background())
	server, err := m.serve()
	if err != nil {
		end()
		return nil, err
	}
	m.server = server
	m.bypass.settle(server)
	m.attend(end)
	if err := raiseReadAhead(o.Mountpoint, maxIO>>10); err != nil {
		m.log.Debug("reads stay at 128 KiB", "error", err) // only root may
	}
	return m, nil
}

// attend runs what goes on beside the handlers until the mount ends.
func (m *Mount) attend(end context.CancelFunc) {
	m.done.Go(func() {
		m.server.Wait()
		end()
	})
	m.done.Go(func() { m.notifier.run(m.life.Done()) })
	if m.o.Poll > 0 {
		m.done.Go(func() { m.poll(m.life) })
	}
}

func (m *Mount) fuseOptions() *gofs.Options {
	negative := negativeTimeout
	logger := slog.NewLogLogger(m.log.Handler(), slog.LevelDebug)
	o := &gofs.Options{
		NegativeTimeout: &negative,
		NullPermissions: true, // a mode of 0000 is the server's word
		RootStableAttr:  &gofs.StableAttr{Ino: rootIno},
		Logger:          logger,
		MountOptions: fuse.MountOptions{
			Name: "ftpfs", FsName: m.o.FSName, Options: m.o.MountOptions,
			AllowOther: m.o.AllowOther, MaxWrite: maxIO, MaxBackground: maxBackground,
			DisableXAttrs: true, // else every write asks for security.capability
			DisableSplice: true, // 1 MiB and a header do not fit into a pipe
			// O_TRUNC comes with OPEN: nothing is downloaded to be thrown away.
			ExtraCapabilities: fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ATOMIC_O_TRUNC,
			Debug:             m.o.Debug, Logger: logger, PanicHandler: m.panicked,
		},
	}
	if m.o.AllowOther {
		o.MountOptions.Options = append(o.MountOptions.Options, "default_permissions") // else anybody may do anything
	}
	if m.o.ReadOnly {
		o.MountOptions.Options = append(o.MountOptions.Options, "ro")
	}
	if m.o.Debug {
		o.MountOptions.Logger = log.New(logger.Writer(), "", 0)
	}
	return o
}

// panicked is called when a handler panics; the program gets EIO.
func (m *Mount) panicked(v any) fuse.Status {
	m.log.Error("a bug in ftpfs: please report it", "panic", v)
	return fuse.EIO
}

func (m *Mount) nextIno() uint64 { return m.inos.Add(1) }

// Wait returns when the file system is unmounted, by whomever, and the last
// of its open files is closed.
func (m *Mount) Wait() {
	m.server.Wait()
	m.done.Wait()
}

// Unmount unmounts. A mount that is busy is detached: nobody finds it any
// more, and it ends when the last program that uses it does.
func (m *Mount) Unmount(ctx context.Context) error {
	err := m.server.Unmount()
	if err == nil {
		return nil
	}
	m.log.Info("the mount is in use and is detached lazily", "error", err)
	if err := detach(ctx, m.o.Mountpoint); err != nil {
		return errors.Join(errors.New("cannot unmount "+m.o.Mountpoint), err)
	}
	return nil
}

// Refresh forgets what is known of rel, a path below the mountpoint, and of
// all below it, here and in the kernel; "" is everything. It must not be called
// by what the kernel waits for.
func (m *Mount) Refresh(rel string) {
	if rel == "" {
		m.tree.ForgetAll()
		m.root.notify()
		return
	}
	p := m.tree.Path(rel)
	m.tree.Forget(p)
	m.tree.ForgetOne(parentOf(p)) // it has the attributes of p
	dir, name, ok := m.find(p)
	if !ok {
		return
	}
	if c := dir.GetChild(name); c != nil {
		c.Operations().(*node).notify()
	}
	dir.NotifyEntry(name)
}

// notify makes the kernel look everything below n up again.
func (n *node) notify() {
	for name, c := range n.Children() {
		if child, ok := c.Operations().(*node); ok {
			child.notify()
		}
		if e := n.NotifyEntry(name); e != 0 && e != syscall.ENOENT {
			n.m.log.Debug("the kernel was not notified", "errno", e)
		}
	}
}
