package transfer

import (
	"errors"
	"os"
	"sync"
)

const (
	blockSize      = 1 << 20   // what is read from a data connection and written to the disk at a time,
	smallBlockSize = 128 << 10 // and by a stream that will not go far
	keepBlocks     = 4         // blocks that a stream keeps for its readers
	loneBlocks     = 8         // the same where the local disk takes none
)

// block is a part of a file as it came: it answers readers without a look at
// the disk. It has one owner, the stream, and users that copy from it.
type block struct {
	off  int64
	buf  []byte
	n    int // bytes that have come; guarded by File.mu
	done int // bytes of them that are in the copy; only the stream's goroutine
	uses int // its stream and those who copy from it; guarded by File.mu
}

func (b *block) end() int64 { return b.off + int64(b.n) }

// blocks is where the memory of blocks comes from.
type blocks struct{ large, small sync.Pool }

func (p *blocks) get(off int64, large bool) *block {
	pool, size := &p.small, smallBlockSize
	if large {
		pool, size = &p.large, blockSize
	}
	buf, _ := pool.Get().(*[]byte)
	if buf == nil {
		b := make([]byte, size)
		buf = &b
	}
	return &block{off: off, buf: *buf, uses: 1}
}

// leaveLocked takes one user off b; the last one gives its memory back.
func (p *blocks) leaveLocked(b *block) {
	if b.uses--; b.uses > 0 {
		return
	}
	if len(b.buf) == blockSize {
		p.large.Put(&b.buf)
	} else {
		p.small.Put(&b.buf)
	}
}

// room returns the block that the next bytes go into.
func (s *stream) room() *block {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(s.blocks); n > 0 {
		if b := s.blocks[n-1]; b.n < len(b.buf) && b.end() == s.pos {
			return b
		}
	}
	b := f.m.blocks.get(s.pos, !s.brief && s.c.Size()-s.pos > smallBlockSize)
	s.blocks = append(s.blocks, b)
	keep := keepBlocks
	if s.lone {
		keep = loneBlocks
	}
	for len(s.blocks) > keep {
		f.m.blocks.leaveLocked(s.blocks[0])
		s.blocks = append(s.blocks[:0], s.blocks[1:]...)
	}
	return b
}

// flush puts what came into the copy. A disk that is full, or fails, breaks
// nothing as long as nobody needs it there.
func (s *stream) flush() error {
	f := s.f
	f.mu.Lock()
	var b *block
	if n := len(s.blocks); n > 0 {
		b = s.blocks[n-1]
	}
	if b == nil || b.done == b.n || s.lone {
		f.mu.Unlock()
		return nil
	}
	f.mu.Unlock()
	part := b.buf[b.done:b.n]
	err := s.c.Fill(part, b.off+int64(b.done))
	if err != nil && !errors.Is(err, os.ErrClosed) {
		f.store.Evict()
		err = s.c.Fill(part, b.off+int64(b.done))
	}
	if s.unroomed += int64(len(part)); err == nil && s.unroomed >= roomEach {
		s.unroomed = 0
		s.makeRoom()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b.done = b.n
	switch {
	case err == nil:
		s.filled = b.end()
	case s.mustFill:
		return err
	default:
		s.lone = true
		f.m.log.Info("a file is read without a local copy", "path", f.path, "error", err)
	}
	if s.mustFill {
		f.wakeLocked()
	}
	return nil
}

// makeRoom keeps the cache within its size. What was read some time ago goes first.
func (s *stream) makeRoom() {
	f := s.f
	f.mu.Lock()
	from, to := max(0, min(s.want, s.pos)-roomEach), s.pos
	f.mu.Unlock()
	if err := f.store.MakeRoom(s.c, from, to); err != nil {
		f.m.log.Info("the cache is larger than it should be", "error", err)
	}
}
