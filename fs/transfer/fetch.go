package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	chunk       = 128 << 10 // bytes read from a data connection at a time
	readAhead   = 32 << 20  // bytes that a stream runs ahead of its readers
	reach       = 8 << 20   // a reader at most so far ahead of a stream waits for it
	maxStreams  = 2         // streams of one file that are left running
	pauseAtMost = 10 * time.Second
	stopAtOnce  = time.Second // a stream that does not stop by itself within is cut
	checkedFor  = time.Second // a version learned so shortly before needs no check
	maxResumes  = 2           // times in a row that a stream without progress is resumed
)

// stream is one RETR that runs ahead of its readers into the copy.
type stream struct {
	f      *File
	c      *cache.Copy
	cut    context.CancelFunc
	pos    int64       // next byte to come; guarded by f.mu
	all    bool        // the last byte of the file has come; guarded by f.mu
	want   int64       // end of what readers asked for; guarded by f.mu
	waits  int         // readers that wait for it; guarded by f.mu
	paused bool        // it is far enough ahead; guarded by f.mu
	stop   bool        // it should end soon; guarded by f.mu
	ended  bool        // guarded by f.mu
	err    error       // why it ended early; guarded by f.mu
	lease  *conn.Lease // while a transfer is under way; guarded by f.mu
	killer *time.Timer // guarded by f.mu
}

// errStopped says that a stream ended because nobody needs it.
var errStopped = errors.New("nobody waits for the rest")

// need returns when the n bytes at off are in the copy.
func (f *File) need(ctx context.Context, off, n int64) error {
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
		s := f.streamLocked(c, gap.Off)
		s.want = max(s.want, min(off+n, c.Size()))
		if err := f.waitLocked(ctx, s); err != nil {
			return err
		}
		if _, missing := c.Missing(gap.Off, 1); missing && s.ended && s.err != nil && !errors.Is(s.err, errStopped) {
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
	progress := f.progress
	f.mu.Unlock()
	var err error
	select {
	case <-progress:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	f.mu.Lock()
	s.waits--
	s.offerLocked()
	return err
}

// streamLocked returns a stream that will soon bring the byte at off.
func (f *File) streamLocked(c *cache.Copy, off int64) *stream {
	for _, s := range f.streams {
		if s.c == c && !s.stop && off >= s.pos && off <= max(s.pos, s.want)+reach {
			return s
		}
	}
	for _, s := range f.streams {
		if len(f.streams) < maxStreams {
			break
		}
		if s.waits == 0 {
			s.stopLocked()
		}
	}
	ctx, cut := context.WithCancel(f.m.life)
	s := &stream{f: f, c: c.Retain(), cut: cut, pos: off}
	if !f.m.spawn(func() { s.run(ctx) }) {
		s.endLocked(&conn.Error{Op: "RETR", Path: f.path, Outcome: conn.NotExecuted, Err: conn.ErrHostDown})
		return s
	}
	f.streams = append(f.streams, s)
	return s
}

// stopLocked makes the stream end: by itself, or cut off if it does not.
func (s *stream) stopLocked() {
	if s.stop {
		return
	}
	s.stop = true
	s.killer = time.AfterFunc(stopAtOnce, s.cut)
	s.f.wakeLocked()
}

// offerLocked offers the session to the pool while nobody waits for the stream.
func (s *stream) offerLocked() {
	switch {
	case s.lease == nil:
	case s.waits > 0:
		s.lease.OnTakeover(nil)
	default:
		s.lease.OnTakeover(func() {
			s.f.mu.Lock()
			defer s.f.mu.Unlock()
			s.stopLocked()
		})
	}
}

// endLocked takes the stream out of its file.
func (s *stream) endLocked(err error) {
	s.ended, s.err = true, err
	s.stop = true
	if s.killer != nil {
		s.killer.Stop()
	}
	s.cut()
	s.c.Close()
	if i := slices.Index(s.f.streams, s); i >= 0 {
		s.f.streams = slices.Delete(s.f.streams, i, i+1)
	}
	s.f.wakeLocked()
}

// run transfers, and resumes where a transfer broke off.
func (s *stream) run(ctx context.Context) {
	var err error
	for resumed := 0; ; resumed++ {
		before, p := s.pos, s.f.currentPath()
		if err = s.verify(ctx, resumed > 0); err == nil && !s.arrived() {
			err = s.transfer(ctx)
		}
		if s.pos > before {
			resumed = 0
		}
		if errors.Is(err, fs.ErrNotExist) && s.f.wasMoved(ctx, p) {
			continue
		}
		if err == nil || errors.Is(err, errStopped) || ctx.Err() != nil || resumed >= maxResumes || !mayResume(err) || s.arrived() && denied(err) {
			break
		}
		s.f.m.log.Info("resuming a download", "path", s.f.currentPath(), "offset", s.pos, "error", err)
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if err != nil && s.all {
		s.doubtLocked(err)
	}
	if s.stop {
		err = errStopped
	}
	s.endLocked(err)
}

// arrived tells whether the last byte has come. A stream that is resumed then
// needs no other transfer: the server has the version still, and all of it is
// here.
func (s *stream) arrived() bool {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	return s.all
}

// doubtLocked notes that the server has not confirmed the bytes of the copy,
// all of which have arrived. A lost confirmation leaves them to those who read
// them. Where the server said that something went wrong, or has another
// version by now, the copy is thrown away, and reading on is that error.
func (s *stream) doubtLocked(err error) {
	f := s.f
	f.store.Forget(f.path) // it may have been closed and kept already
	switch {
	case f.copy != s.c || f.dirty:
	case denied(err):
		f.discardLocked()
		f.thrown, f.why = s.c, err
	default:
		f.unsure = true
	}
}

// mayResume tells whether asking for the rest again can help.
func mayResume(err error) bool {
	return conn.OutcomeOf(err) != conn.Refused && !errors.Is(err, conn.ErrTimeout) && !errors.Is(err, conn.ErrConflict)
}

// denied tells whether it is the server's word that a transfer went wrong, and
// not its silence.
func denied(err error) bool {
	var e *conn.Error
	return errors.As(err, &e) && (e.Outcome == conn.Refused || e.Code >= 400 && e.Code != 421)
}

// verify makes sure that the server still has the version that the copy is
// made from: before all transfers but the first, if that begins at once.
func (s *stream) verify(ctx context.Context, resumed bool) error {
	f := s.f
	f.mu.Lock()
	p, base, checked, first := f.path, f.entry.Version(), f.checkedAt, !f.streamed
	f.streamed = true
	f.mu.Unlock()
	if first && !resumed && time.Since(checked) < checkedFor {
		return nil
	}
	return f.verifyNow(ctx, p, base)
}

// verifyNow asks the server whether it has version base at p.
// conn.ErrConflict: another one.
func (f *File) verifyNow(ctx context.Context, p string, base conn.Version) error {
	now, err := f.stat(ctx, p)
	if err != nil {
		return err
	}
	if now.Version().Same(base) {
		return nil
	}
	f.m.tree.Forget(path.Dir(p))
	return &conn.Error{Op: "RETR", Path: p, Outcome: conn.Refused, Err: conn.ErrConflict}
}

// transfer runs one RETR from s.pos until nothing is missing behind it.
func (s *stream) transfer(ctx context.Context) error {
	f := s.f
	f.mu.Lock()
	p, size, base := f.path, f.entry.Size, f.entry.Version()
	f.mu.Unlock()
	d, lease, err := f.m.pool.Open(ctx, conn.Transfer, p, s.pos)
	if err != nil {
		return err
	}
	defer lease.Release()
	defer d.Close()
	defer func() { f.mu.Lock(); s.lease = nil; f.mu.Unlock() }()
	f.mu.Lock()
	s.lease = lease
	s.offerLocked()
	f.mu.Unlock()
	buf := make([]byte, chunk)
	for {
		n, err := d.Read(buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if s.pos+int64(n) > size {
			return s.tooLong(ctx, p, base)
		}
		if err := s.c.Fill(buf[:n], s.pos); err != nil {
			return err
		}
		done, stopped := s.advance(ctx, int64(n), size)
		switch {
		case s.pos < size && err != nil:
			return &conn.Error{Op: "RETR", Path: p, Err: fmt.Errorf("%w: %w", conn.ErrProtocol, io.ErrUnexpectedEOF)}
		case s.pos == size && err == nil: // the readers have it all; what the server says of it counts all the same
			var more int
			if more, err = d.Read(buf); more > 0 {
				return s.tooLong(ctx, p, base)
			}
		}
		if done || errors.Is(err, io.EOF) {
			return ignoreEOF(err)
		}
		if err = errors.Join(err, stopped); err != nil {
			return err
		}
	}
}

// tooLong returns what it means that the server sends more than the size of
// the file: it has another version by now, or breaks the protocol.
func (s *stream) tooLong(ctx context.Context, p string, base conn.Version) error {
	if err := s.f.verifyNow(ctx, p, base); err != nil {
		return err
	}
	return &conn.Error{Op: "RETR", Path: p, Outcome: conn.Refused, Err: fmt.Errorf("%w: more bytes than the size says", conn.ErrProtocol)}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// advance moves the stream on by n bytes, of a file of size, tells the
// readers, and waits while it is too far ahead of them. done: nothing more is
// missing.
func (s *stream) advance(ctx context.Context, n, size int64) (done bool, err error) {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	s.pos += n
	s.all = s.pos == size
	f.wakeLocked()
	if _, missing := s.c.Missing(s.pos, max(0, s.c.Size()-s.pos)); !missing {
		return true, nil
	}
	patience := time.NewTimer(pauseAtMost)
	defer patience.Stop()
	for s.pos > s.want+readAhead && s.waits == 0 && !s.stop {
		s.paused = true
		progress := f.progress
		f.mu.Unlock()
		late := false
		select {
		case <-progress:
		case <-patience.C:
			late = true
		case <-ctx.Done():
			late = true
		}
		f.mu.Lock()
		s.paused = false
		s.stop = s.stop || late && s.waits == 0
	}
	if s.stop {
		return false, errStopped
	}
	return false, nil
}
