// Package ftptest runs the server of conn/ftptest/server for tests. It owns
// what a test needs around it: a log of the commands, so that cost can be
// asserted ("two stats, one LIST"), a round-trip time, real or virtual, and
// faults that come and go while the server runs.
//
// The product imports the server but never this package.
package ftptest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"ftpfs/conn/ftptest/server"
)

// User and Password are those of every server here, unless WithConfig changes
// them.
const (
	User     = "u"
	Password = "p"
)

// waitTimeout is how long WaitSessions waits before the test fails.
const waitTimeout = 10 * time.Second

// Server is an FTP server that lives as long as its test.
type Server struct {
	Root string // the folder that is served as "/"
	Addr string // host:port of the control listener

	t       testing.TB
	cfg     server.Config
	network *Network // nil: loopback
	abrupt  bool     // see WithoutLinger

	mu       sync.Mutex
	running  *server.Server   // guarded by mu; nil while stopped
	base     int              // guarded by mu; number of the last session before the last Restart
	last     int              // guarded by mu; number of the last session
	sessions map[int]*session // guarded by mu; all there have been
	log      []Command        // guarded by mu
	faults   []*armed         // guarded by mu; in the order of Fault
	changed  chan struct{}    // guarded by mu; closed and replaced when a session begins, ends or sends a command
}

// Command is one line that a client sent, known to the server or not.
type Command struct {
	Session int    // from 1, in the order of the connections
	Verb    string // in upper case
	Arg     string
	At      time.Time // when it was about to be executed
}

// Option changes what Start starts.
type Option func(*options)

type options struct {
	cfg     server.Config
	abrupt  bool
	network *Network
	slow    *slowLink
}

// WithRoot serves dir instead of a folder of the test's own.
func WithRoot(dir string) Option { return func(o *options) { o.cfg.Root = dir } }

// WithDelay makes the loopback network take rtt for a packet and its answer,
// in real time, for every client of the server.
func WithDelay(rtt time.Duration) Option { return func(o *options) { o.slow = newSlowLink(rtt) } }

// WithNetwork puts the server on n. Clients reach it by Server.Dial.
func WithNetwork(n *Network) Option { return func(o *options) { o.network = n } }

// WithoutLinger lets the server end a download without waiting for the client
// to close its side, as Pure-FTPd does.
func WithoutLinger() Option { return func(o *options) { o.abrupt = true } }

// WithConfig lets f change the server's configuration, but for the hooks.
func WithConfig(f func(*server.Config)) Option { return func(o *options) { f(&o.cfg) } }

// Start starts a server over an empty folder. It is stopped, with all its
// goroutines ended, when the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := options{cfg: server.Config{Users: map[string]string{User: Password}}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.cfg.Root == "" {
		o.cfg.Root = t.TempDir()
	}
	switch {
	case o.network != nil:
		o.cfg.Listen = o.network.Listen
	case o.slow != nil:
		o.cfg.Listen = o.slow.listen
		t.Cleanup(o.slow.close)
	}
	s := &Server{
		Root: o.cfg.Root, Addr: "127.0.0.1:0", t: t, cfg: o.cfg, network: o.network, abrupt: o.abrupt,
		sessions: map[int]*session{}, changed: make(chan struct{}),
	}
	s.Restart()
	t.Cleanup(s.Stop)
	return s
}

// Restart starts the server again after Stop, at the same address.
func (s *Server) Restart() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = s.last
	cfg := s.cfg
	cfg.Hooks = s.hooks(s.base)
	running, err := server.Listen(s.Addr, cfg)
	if err != nil {
		s.t.Fatalf("ftptest: %v", err)
	}
	s.running = running
	if addr := running.Addr().String(); addr != s.Addr { // the first time: later on clients read it
		s.Addr = addr
	}
}

// Stop closes the listener and cuts all sessions off: a server that has gone
// away. It does nothing if the server is stopped.
func (s *Server) Stop() {
	s.mu.Lock()
	running := s.running
	s.running = nil
	s.mu.Unlock()
	if running == nil {
		return
	}
	if err := running.Close(); err != nil {
		s.t.Errorf("ftptest: %v", err)
	}
}

// URL returns the URL of the server's root, with user and password.
func (s *Server) URL() string { return fmt.Sprintf("ftp://%s:%s@%s/", User, Password, s.Addr) }

// Dial connects to the server: conn.Config.Dial.
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.network != nil {
		return s.network.Dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Log returns the commands so far, in the order in which they were executed.
func (s *Server) Log() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Count returns how many of the commands in the log have the verb.
func (s *Server) Count(verb string) int {
	n := 0
	for _, c := range s.Log() {
		if c.Verb == verb {
			n++
		}
	}
	return n
}

// ResetLog empties the log.
func (s *Server) ResetLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Sessions returns how many sessions are open, logged in or not.
func (s *Server) Sessions() int {
	return len(s.openSessions())
}

// WaitSessions waits until n sessions are open; the test fails if that takes
// more than ten seconds.
func (s *Server) WaitSessions(n int) {
	s.t.Helper()
	s.waitUntil(func() (bool, string) {
		open := s.Sessions()
		return open == n, fmt.Sprintf("%d sessions are open, want %d", open, n)
	})
}

// WaitCount waits until Count(verb) is n or more; the test fails if that takes
// more than ten seconds.
func (s *Server) WaitCount(verb string, n int) {
	s.t.Helper()
	s.waitUntil(func() (bool, string) {
		got := s.Count(verb)
		return got >= n, fmt.Sprintf("%s came %d times, want %d", verb, got, n)
	})
}

// waitUntil asks is again whenever a session begins, ends or sends a command.
func (s *Server) waitUntil(is func() (ok bool, wrong string)) {
	s.t.Helper()
	timeout := time.NewTimer(waitTimeout)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		ok, wrong := is()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			s.t.Fatalf("ftptest: %s", wrong)
		}
	}
}

// DropSessions cuts off every open session, without a word.
func (s *Server) DropSessions() {
	for _, ses := range s.openSessions() {
		ses.control.cut(false)
	}
}

// Inject sends a line to every client now, as the reply to nothing: "421 Idle
// timeout". The line end is added.
func (s *Server) Inject(line string) {
	s.t.Helper()
	for _, ses := range s.openSessions() {
		if _, err := ses.control.Conn.Write([]byte(line + "\r\n")); err != nil {
			s.t.Errorf("ftptest: inject: %v", err)
		}
	}
}

func (s *Server) openSessions() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*session
	for _, ses := range s.sessions {
		if !ses.ended {
			open = append(open, ses)
		}
	}
	return open
}
