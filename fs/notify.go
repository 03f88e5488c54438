package fs

import (
	"strings"
	"sync"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"ftpfs/fs/tree"
)

// maxNews is how many changes wait for the notifier; of more, the kernel is
// not told before its time is over.
const maxNews = 1 << 16

// notifier tells the kernel what others changed on the server. It is a
// goroutine of its own: a notification waits for requests under way, so that
// one sent by a handler could wait for itself.
type notifier struct {
	m *Mount

	mu   sync.Mutex
	news []tree.Change // guarded by mu
	wake chan struct{} // holds one token while there is news
}

func newNotifier(m *Mount) *notifier { return &notifier{m: m, wake: make(chan struct{}, 1)} }

// add takes changes to be told.
func (n *notifier) add(changes []tree.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.news = append(n.news, changes[:min(len(changes), maxNews-len(n.news))]...)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run tells until end is closed.
func (n *notifier) run(end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		case <-n.wake:
		}
		n.mu.Lock()
		news := n.news
		n.news = nil
		n.mu.Unlock()
		for _, c := range news {
			n.tell(c)
		}
	}
}

// tell tells the kernel of one change, if it knows the name. A file with
// changes of ours is ours until they are uploaded.
func (n *notifier) tell(c tree.Change) {
	dir, name, ok := n.m.find(c.Path)
	if !ok {
		return
	}
	child := dir.GetChild(name)
	if child == nil {
		return
	}
	if _, local := n.m.transfer.Local(c.Path); local {
		return
	}
	var e syscall.Errno
	switch {
	case c.Gone:
		if e = dir.NotifyDelete(name, child); e == syscall.ENOTEMPTY || e == syscall.EBUSY {
			e = dir.NotifyEntry(name)
		}
	case c.Content:
		e = child.NotifyContent(0, 0)
	default:
		e = child.NotifyContent(-1, 0)
	}
	if e != 0 && e != syscall.ENOENT {
		n.m.log.Debug("the kernel was not notified", "path", c.Path, "errno", e)
	}
}

// find returns the directory of the server path p, as far as the kernel knows
// it, and the name in it.
func (m *Mount) find(p string) (dir *gofs.Inode, name string, ok bool) {
	rel, ok := strings.CutPrefix(p, strings.TrimSuffix(m.tree.Root(), "/")+"/")
	if !ok {
		return nil, "", false
	}
	dir = m.root.EmbeddedInode()
	for {
		first, rest, more := strings.Cut(rel, "/")
		if !more {
			return dir, first, true
		}
		if dir = dir.GetChild(first); dir == nil {
			return nil, "", false
		}
		rel = rest
	}
}
