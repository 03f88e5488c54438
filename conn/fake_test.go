package conn

import (
	"context"
	"io"
	"io/fs"
	"sync"
	"time"
)

// fakeSession is a session without a server.
type fakeSession struct {
	id     int
	mu     sync.Mutex
	err    error
	noops  int
	closed bool
	cold   bool // not ready
	srv    *fakeServer
}

func (s *fakeSession) Home() string                                  { return "/" }
func (s *fakeSession) List(context.Context, string) (Listing, error) { return Listing{}, nil }
func (s *fakeSession) ListEarly(context.Context, string, Coming) (Listing, error) {
	return Listing{}, nil
}
func (s *fakeSession) Stat(context.Context, string) (Entry, error)       { return Entry{}, nil }
func (s *fakeSession) Remove(context.Context, string, Kind) error        { return nil }
func (s *fakeSession) RefusesFull(context.Context, string) (bool, error) { return true, nil }
func (s *fakeSession) Symlink(context.Context, string, string) error     { return nil }
func (s *fakeSession) Space(context.Context, string) (Space, error)      { return Space{}, nil }
func (s *fakeSession) Rename(context.Context, string, string) error      { return nil }
func (s *fakeSession) Mkdir(context.Context, string) error               { return nil }
func (s *fakeSession) RefusesMade() bool                                 { return false }
func (s *fakeSession) Chmod(context.Context, string, fs.FileMode) error  { return nil }
func (s *fakeSession) SetTime(context.Context, string, time.Time) error  { return nil }
func (s *fakeSession) Times(context.Context, []string) ([]time.Time, error) {
	panic("not used")
}
func (s *fakeSession) StatBatch(context.Context, []string) ([]StatResult, error) {
	return nil, nil
}
func (s *fakeSession) Open(context.Context, string, int64, Version) (Download, error) {
	return nil, io.EOF
}
func (s *fakeSession) Store(context.Context, string, io.Reader, Commit) (Entry, error) {
	return Entry{}, nil
}
func (s *fakeSession) Append(context.Context, string, int64, io.Reader, Commit) (Entry, error) {
	return Entry{}, nil
}
func (s *fakeSession) Copy(context.Context, string, Version, string, Commit) (Entry, error) {
	return Entry{}, nil
}
func (s *fakeSession) Abilities() (Abilities, bool)                      { return Abilities{}, false }
func (s *fakeSession) TryOut(context.Context, string) (Abilities, error) { return Abilities{}, nil }

func (s *fakeSession) Noop(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noops++
	return s.err
}

func (s *fakeSession) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.cold
}

func (s *fakeSession) setCold(cold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cold = cold
}

func (s *fakeSession) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *fakeSession) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeSession) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.srv.left(s)
	}
	return nil
}

// fakeServer lets max sessions in.
type fakeServer struct {
	mu     sync.Mutex
	max    int
	dials  int
	open   map[*fakeSession]bool
	failed error // of every dial, if set
	login  time.Duration
}

func newFakeServer(max int) *fakeServer {
	return &fakeServer{max: max, open: make(map[*fakeSession]bool)}
}

func (v *fakeServer) dial(context.Context) (Session, error) {
	v.mu.Lock()
	login := v.login
	v.mu.Unlock()
	time.Sleep(login)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dials++
	if v.failed != nil {
		return nil, v.failed
	}
	if len(v.open) >= v.max {
		return nil, &Error{Op: "login", Code: 421, Outcome: NotExecuted, Err: ErrTooMany}
	}
	s := &fakeSession{id: v.dials, srv: v}
	v.open[s] = true
	return s, nil
}

func (v *fakeServer) left(s *fakeSession) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.open, s)
}

func (v *fakeServer) counts() (open, dials int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.open), v.dials
}
