package fs

import (
	"os"
	"sync/atomic"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// backed is a handle of a file whose local copy the kernel may reach by
// itself. go-fuse takes the file of the first such handle of an inode for all
// of them, until the last is released.
type backed struct {
	*handle
	file *os.File // nil: another handle's is taken
}

var _ gofs.FilePassthroughFder = (*backed)(nil)

// PassthroughFd is asked of the first handle only.
func (b *backed) PassthroughFd() (int, bool) {
	if b.file == nil {
		return 0, false
	}
	return int(b.file.Fd()), true
}

// handleOf returns our part of an open file, nil if there is none.
func handleOf(fh gofs.FileHandle) *handle {
	switch h := fh.(type) {
	case *handle:
		return h
	case *backed:
		return h.handle
	}
	return nil
}

// bypass tells whether the kernel may read copies by itself. One refusal
// ends it for the whole mount, in go-fuse as well: then reads come to us.
type bypass struct{ off atomic.Bool }

// settle finds out at the start whether it is of any use to try.
func (b *bypass) settle(s *fuse.Server) {
	b.off.Store(s.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0 || !mayBypass())
}
