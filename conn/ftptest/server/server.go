// Package server is an FTP server over a real folder: RFC 959 with the
// extensions of RFC 2389 (FEAT), 2428 (EPSV, EPRT), 2640 (UTF8) and 3659
// (MLSD, SIZE, MDTM, REST). It talks as ProFTPD 1.3.8 does, in reply codes, in
// texts and in the format of listings, so that a client meets here what it
// meets outside.
//
// The package owns the protocol and the folder. Nothing outside the folder
// can be reached, by symbolic links neither (os.Root). It holds no faults of
// its own: Hooks is where tests put theirs. TLS is that of RFC 4217. Bytes of
// names are taken as they are: no charset, and Telnet escapes only if told.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Config says what is served and to whom.
type Config struct {
	// Root is the folder that clients see as "/".
	Root string

	// Users maps user names to passwords. nil: "anonymous" and "ftp" with any
	// password.
	Users map[string]string

	// ReadOnly refuses every command that changes something, with EROFS's text.
	ReadOnly bool

	// AppendOverwrites makes APPE replace the file, as goftp.io/server does.
	AppendOverwrites bool

	// Telnet takes two bytes 0xFF of a command for one, and one with what
	// follows it for none (RFC 854), as ProFTPD does.
	Telnet bool

	// FoldCase finds names whatever their case, and keeps that of new ones, as
	// servers on Windows do.
	FoldCase bool

	// StoredAs is what a new path becomes, for servers that change some. nil: none.
	StoredAs func(path string) string

	// TLS offers AUTH TLS. nil: there is no TLS.
	TLS            *tls.Config
	Implicit       bool // TLS begins with the connection
	RequireReuse   bool // data connections resume a TLS session, as vsftpd and ProFTPD demand
	RequirePrivate bool // PROT C is refused

	// Listen opens the control listener and those of passive data
	// connections. Their addresses are *net.TCPAddr. nil: net.Listen.
	Listen func(network, address string) (net.Listener, error)

	Hooks Hooks
	Log   *slog.Logger // nil: discard
}

// Hooks lets a program look at the sessions and interfere. Each may be nil.
// Sessions are numbered from 1 in the order of their connections. Calls for
// one session do not overlap; those for different ones do.
type Hooks struct {
	// OnCommand is called before a command is executed, known or not, with
	// the verb in upper case. A non-nil reply is sent instead of executing it;
	// for a command that takes a data connection, that connection is closed.
	OnCommand func(session int, verb, arg string) *Reply

	// OnReply may change what is about to be sent in answer to a command:
	// the marks (150) as well as the final replies. The greeting comes with
	// an empty verb.
	OnReply func(session int, verb, arg string, r Reply) Reply

	// WrapControl and WrapData stand between the server and a new connection.
	// The server closes what they return exactly once. If it has a method
	// CloseWrite() error, it is used after a download.
	WrapControl func(session int, c net.Conn) net.Conn
	WrapData    func(session int, c net.Conn) net.Conn
}

// Reply is one reply (RFC 959, section 4.2).
type Reply struct {
	Code  int    // 100 to 599; 0: nothing is sent
	Text  string // without line ends; "\n" separates the lines of a longer reply
	Close bool   // end the session after it
}

// Server serves one folder until Close.
type Server struct {
	cfg      Config
	root     *os.Root
	listener net.Listener
	commands map[string]command
	log      *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the accept loop and the sessions

	mu       sync.Mutex
	sessions int // guarded by mu
}

// Listen opens cfg.Root and serves it at the TCP address addr ("host:port",
// port 0 for any). Errors are those of the folder and of the listener.
func Listen(addr string, cfg Config) (*Server, error) {
	root, err := os.OpenRoot(cfg.Root)
	if err != nil {
		return nil, err
	}
	if cfg.Listen == nil {
		cfg.Listen = net.Listen
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l, err := cfg.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if _, ok := l.Addr().(*net.TCPAddr); !ok {
		return nil, errors.Join(fmt.Errorf("ftp server: %v is no TCP address", l.Addr()), l.Close(), root.Close())
	}
	s := &Server{cfg: cfg, root: root, listener: l, commands: commands(), log: cfg.Log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.accept)
	return s, nil
}

// Addr returns the address of the control listener.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Sessions returns how many sessions are open, logged in or not.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Close stops listening, cuts all sessions off and waits until the last
// goroutine of the server has ended. It may be called more than once.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.root.Close())
}

// accept starts a session for each connection until the listener is closed.
func (s *Server) accept() {
	for id := 1; ; id++ {
		c, err := s.listener.Accept()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors, or the peer has gone already
			s.log.Warn("ftp server: accept", "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		s.count(+1)
		s.wg.Go(func() {
			defer s.count(-1)
			serve(s, id, c)
		})
	}
}

func (s *Server) count(d int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions += d
}
