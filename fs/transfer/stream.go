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
	pauseAtMost = 10 * time.Second // a stream that nobody reads on from ends after
	stopAtOnce  = time.Second      // one that does not stop by itself within is cut
	checkedFor  = time.Second      // a version learned so shortly before needs no check
	maxResumes  = 2                // times in a row that a stream without progress is resumed
	notWorthIt  = 64 << 10         // with so little left a transfer is not broken off
	roomEach    = 64 << 20         // bytes after which a stream looks whether the cache has room
)

// stream is one RETR that runs ahead of its readers into the copy.
type stream struct {
	f        *File
	c        *cache.Copy
	class    conn.Class // guarded by f.mu
	cut      context.CancelFunc
	start    int64       // where it began
	pos      int64       // next byte to come; guarded by f.mu
	filled   int64       // up to here the copy has what came; guarded by f.mu
	all      bool        // the last byte of the file has come; guarded by f.mu
	blocks   []*block    // what came last; guarded by f.mu
	lone     bool        // the local disk takes no more: blocks are all there is; guarded by f.mu
	mustFill bool        // somebody needs the bytes in the copy; guarded by f.mu
	want     int64       // end of what readers asked for; guarded by f.mu
	follows  int         // times that readers asked for more; guarded by f.mu
	ahead    int64       // how far it runs beyond want; guarded by f.mu
	brief    bool        // it ends there, and waits for nobody; guarded by f.mu
	waits    int         // readers that wait for it; guarded by f.mu
	wakeAt   int64       // readers want to be told when it gets here; 0: nobody does; guarded by f.mu
	paused   bool        // it is far enough ahead; guarded by f.mu
	stop     bool        // it should end soon; guarded by f.mu
	ended    bool        // guarded by f.mu
	err      error       // why it ended early; guarded by f.mu
	lease    *conn.Lease // while a transfer is under way; guarded by f.mu
	killer   *time.Timer // guarded by f.mu
	unroomed int64       // bytes since it last looked for room; only its goroutine
}

// errStopped says that a stream ended because nobody needs it.
var errStopped = errors.New("nobody waits for the rest")

// followLocked notes that somebody reads up to end. Who reads in a row has
// the stream run ahead twice as far as that.
func (s *stream) followLocked(end int64) {
	if end <= s.want {
		return
	}
	if s.want > 0 {
		s.follows++
		s.ahead = min(s.f.m.readAhead, max(s.ahead, 2*(end-s.start)))
		if s.follows > 1 {
			s.brief, s.f.pattern.jumps = false, 0
		}
	}
	s.want = end
	if s.paused && s.pos <= s.want+s.aheadLocked()/2 {
		s.f.wakeLocked()
	}
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

// offerLocked offers the session to the pool while no program waits for the stream.
func (s *stream) offerLocked() {
	switch {
	case s.lease == nil:
	case s.waits > 0 && s.class.Waits():
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
	for _, b := range s.blocks {
		s.f.m.blocks.leaveLocked(b)
	}
	s.blocks = nil
	if s.pos < s.c.Size() && s.pos > s.start {
		s.f.pattern.left(s.pos, s.pos-max(s.start, min(s.want, s.pos)))
	}
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
		if s.arrived() {
			err = s.f.verifyNow(ctx, p, s.f.version())
		} else {
			err = s.transfer(ctx, resumed > 0)
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
	if flushed := s.flush(); err == nil {
		err = flushed
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if err == nil && s.lone {
		s.lingerLocked(ctx)
	}
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

// baseLocked returns the version that the server must have for the next
// transfer: the one that the copy is made from. It is asked for all but the
// first one, if that begins at once. What is fetched ahead is compared when it
// is opened.
func (s *stream) baseLocked(resumed bool) conn.Version {
	f := s.f
	first := !f.streamed
	f.streamed = true
	if first && !resumed && (time.Since(f.checkedAt) < checkedFor || !s.class.Waits()) {
		return conn.Version{}
	}
	return f.entry.Version()
}

// version returns the version that f's copy is made from.
func (f *File) version() conn.Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entry.Version()
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
func (s *stream) transfer(ctx context.Context, resumed bool) error {
	f := s.f
	f.mu.Lock()
	p, size, base, class := f.path, f.entry.Size, f.entry.Version(), s.class
	must := s.baseLocked(resumed)
	f.mu.Unlock()
	flow := flow{pace: &f.m.pace, began: time.Now()}
	defer func() { f.mu.Lock(); s.lease = nil; f.mu.Unlock() }()
	d, lease, err := f.m.pool.Open(ctx, class, p, s.pos, must, s.granted)
	if errors.Is(err, conn.ErrConflict) {
		f.m.tree.Forget(path.Dir(p))
	}
	if err != nil {
		return err
	}
	defer lease.Release()
	defer d.Close()
	for {
		b := s.room()
		n, err := d.Read(b.buf[b.n:])
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		flow.got(n)
		if s.pos+int64(n) > size {
			return s.tooLong(ctx, p, base)
		}
		done, stopped := s.advance(ctx, b, n, size, &flow)
		switch {
		case s.pos < size && err != nil:
			return &conn.Error{Op: "RETR", Path: p, Err: fmt.Errorf("%w: %w", conn.ErrProtocol, io.ErrUnexpectedEOF)}
		case s.pos == size && err == nil: // the readers have it all; what the server says of it counts all the same
			var more int
			if more, err = d.Read(make([]byte, 1)); more > 0 {
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

// granted notes that there is a session for the next transfer.
func (s *stream) granted(l *conn.Lease) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.stop {
		return errStopped
	}
	s.lease = l
	s.offerLocked()
	return nil
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

// advance moves the stream on by the n bytes that came into b, of a file of
// size, tells the readers, and waits while it is too far ahead of them. done:
// nothing more is missing.
func (s *stream) advance(ctx context.Context, b *block, n int, size int64, flow *flow) (done bool, err error) {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	b.n += n
	s.pos += int64(n)
	s.all = s.pos == size
	if s.wakeAt > 0 && (s.pos >= s.wakeAt || s.all) {
		s.wakeAt = 0
		f.wakeLocked()
	}
	_, missing := s.c.Missing(s.pos, max(0, s.c.Size()-s.pos))
	if full := b.n == len(b.buf); full || !missing || s.tooFarLocked() {
		f.mu.Unlock()
		err = s.flush()
		f.mu.Lock()
	}
	if err != nil || !missing {
		return err == nil, err
	}
	if s.tooFarLocked() && s.brief {
		s.stopLocked()
	}
	if s.tooFarLocked() && !s.stop {
		s.pauseLocked(ctx)
		flow.interrupted()
	}
	if s.stop {
		return false, errStopped
	}
	return false, nil
}

// tooFarLocked tells whether the stream is far enough ahead of its readers.
func (s *stream) tooFarLocked() bool {
	if s.brief && s.c.Size()-s.pos <= notWorthIt {
		return false
	}
	return s.waits == 0 && s.pos > s.want+s.aheadLocked()
}

// aheadLocked is how far the stream may run ahead: as far as it can keep what
// comes.
func (s *stream) aheadLocked() int64 {
	if s.lone {
		return min(s.ahead, (loneBlocks-2)*blockSize)
	}
	return s.ahead
}

// pauseLocked waits until the readers have come closer. If they do not, it
// stops the stream.
func (s *stream) pauseLocked(ctx context.Context) {
	f := s.f
	s.paused = true
	until := time.Now().Add(pauseAtMost)
	for !s.stop && s.waits == 0 && s.pos > s.want+s.aheadLocked()/2 {
		if !f.sleepLocked(ctx, until) {
			s.stop = s.stop || s.waits == 0
		}
	}
	s.paused = false
}

// sleepLocked waits until something about the streams changes; false: not
// before until.
func (f *File) sleepLocked(ctx context.Context, until time.Time) bool {
	progress := f.progress
	f.mu.Unlock()
	defer f.mu.Lock()
	patience := time.NewTimer(time.Until(until))
	defer patience.Stop()
	select {
	case <-progress:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// lingerLocked keeps what only the stream's memory has until the readers have
// had it, or want no more.
func (s *stream) lingerLocked(ctx context.Context) {
	for want := int64(-1); !s.stop && s.want > want; {
		want = s.want
		for until := time.Now().Add(pauseAtMost); !s.stop && s.f.sleepLocked(ctx, until); {
		}
	}
}
