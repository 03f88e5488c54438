package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	maxStreams   = 4                // streams of one file that are left running
	firstAhead   = 1 << 20          // what a stream that is read in a row runs ahead at first; doubled as it is read
	jumpAhead    = int64(128 << 10) // what is fetched at a new place beyond what was asked for;
	leastAhead   = 16 << 10         // halved down to this while reads jump
	wholeAtMost  = 256 << 10        // a file up to this size is fetched whole
	maxRemembers = 4                // ends of streams from which reading on counts as reading in a row
)

// pattern is how a file is being read. It decides how much is fetched at a
// place that nobody has read yet.
type pattern struct {
	jumps int   // reads in a row that were elsewhere
	ends  []end // of the last streams that ended before the file did
}

// end is where a stream ended, and what it ran ahead.
type end struct{ pos, ahead int64 }

// begin returns how far a stream for a read at off runs ahead, and whether it
// ends there.
func (p *pattern) begin(off, size, reach int64) (ahead int64, brief bool) {
	for _, e := range p.ends {
		if off >= e.pos-e.ahead && off <= e.pos+reach {
			p.jumps = 0
			return max(firstAhead, 2*e.ahead), false
		}
	}
	if off == 0 || size <= wholeAtMost {
		return firstAhead, false
	}
	p.jumps++
	return max(leastAhead, jumpAhead>>(p.jumps-1)), true
}

// left notes that a stream ended at pos.
func (p *pattern) left(pos, ahead int64) {
	p.ends = append(p.ends, end{pos, ahead})
	p.ends = p.ends[max(0, len(p.ends)-maxRemembers):]
}

// errNoDisk says that bytes are needed in the copy and the disk does not take them.
var errNoDisk = fmt.Errorf("the local cache cannot be written: %w", conn.ErrNoSpace)

// readAt reads what is here, and fetches first what is not. Fewer bytes than
// p has room for mean the end of the file.
func (f *File) readAt(ctx context.Context, h *Handle, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := f.readHere(h, p[n:], off+int64(n))
		n += k
		switch {
		case errors.Is(err, cache.ErrMissing):
			err = f.need(ctx, off+int64(n), int64(len(p)-n))
		case errors.Is(err, os.ErrClosed): // replaced meanwhile by another version
			err = context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readHere reads from off what is here without a gap: from the memory of a
// stream, else from the copy.
func (f *File) readHere(h *Handle, p []byte, off int64) (int, error) {
	f.mu.Lock()
	c, err := f.contentOf(h)
	if err != nil {
		f.mu.Unlock()
		return 0, err
	}
	f.followLocked(c, off, int64(len(p)))
	b := f.blockLocked(c, off)
	if gap, missing := c.Missing(off, int64(len(p))); f.dirty && missing && gap.Off == off {
		p = p[:gap.Len] // what lies behind was written here
	} else if f.dirty {
		b = nil
	}
	if b == nil {
		f.mu.Unlock()
		return readCopy(c, p, off)
	}
	b.uses++
	have := b.buf[off-b.off : b.n]
	f.mu.Unlock()
	n := copy(p, have)
	f.leave(b)
	return n, nil
}

func (f *File) leave(b *block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m.blocks.leaveLocked(b)
}

// viewBlock returns the block that has all bytes from off to last, with one
// more user, for h; nil if there is none.
func (f *File) viewBlock(h *Handle, off, last int64) *block {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.contentOf(h)
	if err != nil || f.dirty {
		return nil
	}
	f.followLocked(c, off, last+1-off)
	b := f.blockLocked(c, off)
	if b == nil || last >= b.end() {
		return nil
	}
	b.uses++
	return b
}

// readCopy reads what the copy has at off.
func readCopy(c *cache.Copy, p []byte, off int64) (int, error) {
	gap, missing := c.Missing(off, int64(len(p)))
	if missing {
		if p = p[:gap.Off-off]; len(p) == 0 {
			return 0, cache.ErrMissing
		}
	}
	return c.ReadAt(p, off)
}

// blockLocked returns the block that has the byte at off as the server sent it, nil if none has.
func (f *File) blockLocked(c *cache.Copy, off int64) *block {
	for _, s := range f.streams {
		if s.c != c {
			continue
		}
		for _, b := range s.blocks {
			if off >= b.off && off < b.end() {
				return b
			}
		}
	}
	return nil
}

// followLocked tells the streams that n bytes at off are being read.
func (f *File) followLocked(c *cache.Copy, off, n int64) {
	for _, s := range f.streams {
		if s.c == c && off >= s.start && off <= s.pos {
			s.followLocked(min(off+n, c.Size()))
		}
	}
}

// need returns when the first of the n bytes at off is here.
func (f *File) need(ctx context.Context, off, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		c, err := f.contentLocked()
		if err != nil {
			return err
		}
		gap, missing := c.Missing(off, min(n, c.Size()-off))
		if !missing || gap.Off > off || f.blockLocked(c, off) != nil {
			return nil
		}
		s, end := f.streamLocked(c, off, conn.Transfer), min(off+n, c.Size())
		s.followLocked(end)
		if s.wakeAt == 0 || end < s.wakeAt {
			s.wakeAt = end
		}
		if err := f.waitLocked(ctx, s); err != nil {
			return err
		}
		if _, missing := c.Missing(off, 1); missing && s.ended && s.err != nil && !errors.Is(s.err, errStopped) {
			return s.err
		}
	}
}

// needAll returns when all n bytes at off are in the copy.
func (f *File) needAll(ctx context.Context, off, n int64, class conn.Class) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		c, err := f.contentLocked()
		if err != nil {
			return err
		}
		gap, missing := c.Missing(off, min(n, c.Size()-off))
		if !missing {
			return nil
		}
		s := f.streamLocked(c, gap.Off, class)
		s.mustFill = true
		s.followLocked(min(off+n, c.Size()))
		if s.lone {
			s.stopLocked()
			return errNoDisk
		}
		if err := f.waitLocked(ctx, s); err != nil {
			return err
		}
		_, missing = c.Missing(gap.Off, 1)
		switch {
		case missing && !class.Waits() && s.stop:
			return errStopped // who waits needs the session
		case missing && s.ended && s.err != nil && !errors.Is(s.err, errStopped):
			return s.err
		}
	}
}

// waitLocked waits until a stream gets on or ends.
func (f *File) waitLocked(ctx context.Context, s *stream) error {
	if s.ended {
		return nil
	}
	s.waits++
	s.offerLocked()
	if s.paused {
		f.wakeLocked()
	}
	progress, left := f.progress, f.left
	f.mu.Unlock()
	var err error
	select {
	case <-progress:
	case <-left:
		err = errLeft
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	f.mu.Lock()
	s.waits--
	s.offerLocked()
	return err
}

// streamLocked returns a stream that will soon bring the byte at off.
func (f *File) streamLocked(c *cache.Copy, off int64, class conn.Class) *stream {
	reach := f.m.pace.reach()
	for _, s := range f.streams {
		if s.c != c || s.stop || off < s.filled || off > max(s.pos, s.want)+reach {
			continue
		}
		if s.class > class && s.lease == nil {
			s.stopLocked() // it waits behind all others for a session
			break
		}
		if off < s.pos && s.lone && f.blockLocked(c, off) == nil {
			continue // it had the byte, and the disk did not take it
		}
		if s.class > class {
			s.class = class // it is wanted by now
			s.offerLocked()
		}
		return s
	}
	f.limitStreamsLocked()
	ctx, cut := context.WithCancel(f.m.life)
	s := &stream{f: f, c: c.Retain(), cut: cut, class: class, start: off, pos: off, filled: off}
	s.ahead, s.brief = f.pattern.begin(off, c.Size(), reach)
	if !f.m.spawn(func() { s.run(ctx) }) {
		s.endLocked(&conn.Error{Op: "RETR", Path: f.path, Outcome: conn.NotExecuted, Err: conn.ErrHostDown})
		return s
	}
	f.streams = append(f.streams, s)
	return s
}

// limitStreamsLocked stops streams that nobody waits for where there are too many.
func (f *File) limitStreamsLocked() {
	running := 0
	for _, s := range f.streams {
		if !s.stop {
			running++
		}
	}
	for _, s := range f.streams {
		if running < maxStreams {
			return
		}
		if !s.stop && s.waits == 0 {
			s.stopLocked()
			running--
		}
	}
}
