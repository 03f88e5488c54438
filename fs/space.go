package fs

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/conn"
)

// spaceAge is how old the answer of statfs(2) may be before the server is
// asked again, for the next one.
const spaceAge = 30 * time.Second

// space is how much room there is on the server, as far as it tells.
type space struct {
	mu    sync.Mutex
	known bool       // guarded by mu
	room  conn.Space // guarded by mu
	asked time.Time  // guarded by mu
	never bool       // the server does not tell; guarded by mu
}

// Statfs answers from memory: df must not wait for a server. The size and what
// is free of it are what the server said last, if it does (AVBL, quotas);
// else the size is large and constant, and all free.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blockSize, blocks, files = 4096, 1 << 38, 1 << 32 // 1 PiB
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	out.Blocks, out.Bfree, out.Bavail = blocks, blocks, blocks
	out.Files, out.Ffree = files, files
	if room, ok := n.m.room(); ok {
		if room.Total > 0 {
			out.Blocks = min(blocks, uint64(room.Total)/blockSize)
		}
		out.Bfree = min(out.Blocks, uint64(room.Free)/blockSize)
		out.Bavail = out.Bfree
	}
	return 0
}

// room returns what is known to be free, and has the server asked if that is old.
func (m *Mount) room() (room conn.Space, known bool) {
	s := &m.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.never && time.Since(s.asked) > spaceAge {
		s.asked = time.Now()
		m.done.Go(m.askSpace)
	}
	return s.room, s.known
}

func (m *Mount) askSpace() {
	room, err := m.tree.Space(m.life)
	s := &m.space
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.room, s.known = room, true
	case errors.Is(err, errors.ErrUnsupported):
		s.never = true
	}
}
