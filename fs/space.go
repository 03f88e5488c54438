package fs

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// spaceAge is how old the answer of statfs(2) may be before the server is
// asked again, for the next one.
const spaceAge = 30 * time.Second

// space is how much room there is on the server, as far as it tells.
type space struct {
	mu    sync.Mutex
	known bool      // guarded by mu
	free  int64     // bytes; guarded by mu
	asked time.Time // guarded by mu
	never bool      // the server does not tell; guarded by mu
}

// Statfs answers from memory: df must not wait for a server. The size is large
// and constant, for FTP cannot tell it; what is free is what the server said
// last (AVBL), if it does, else all.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blockSize, blocks, files = 4096, 1 << 38, 1 << 32 // 1 PiB
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	out.Blocks, out.Bfree, out.Bavail = blocks, blocks, blocks
	out.Files, out.Ffree = files, files
	if free, ok := n.m.room(); ok {
		out.Bfree = min(blocks, uint64(free)/blockSize)
		out.Bavail = out.Bfree
	}
	return 0
}

// room returns what is known to be free, and has the server asked if that is old.
func (m *Mount) room() (free int64, known bool) {
	s := &m.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.never && time.Since(s.asked) > spaceAge {
		s.asked = time.Now()
		m.done.Go(m.askSpace)
	}
	return s.free, s.known
}

func (m *Mount) askSpace() {
	free, err := m.tree.Space(m.life)
	s := &m.space
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.free, s.known = free, true
	case errors.Is(err, errors.ErrUnsupported):
		s.never = true
	}
}
