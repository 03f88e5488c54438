package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
)

// Bounds of what a client may send ahead.
const (
	maxLine  = 4096 // bytes of a command line; longer ones are refused
	maxQueue = 64   // commands that may wait for the end of a transfer
)

// session is one control connection. All fields belong to the goroutine of
// run, except during a transfer, when they belong to that.
type session struct {
	srv   *Server
	id    int
	conn  net.Conn
	ctx   context.Context // ends with the server or the session
	log   *slog.Logger
	lines chan string // from read; closed when the client has gone
	queue []string    // received during a transfer, not yet executed

	verb, arg string // the command being executed

	user    string
	granted bool     // logged in
	cwd     string   // absolute and clean
	ascii   bool     // TYPE A, which changes nothing but what SIZE and REST say
	offset  int64    // of REST, for the next RETR or STOR
	from    string   // of RNFR, "" if none
	source  string   // of SITE CPFR, "" if none
	facts   []string // chosen by OPTS MLST
	data    opener   // how the next data connection comes about; nil: unknown
	onlyE   bool     // EPSV ALL was sent (RFC 2428, section 4)
	secret  bool     // the control connection is in TLS
	private bool     // PROT P: data connections are, too

	upgraded chan net.Conn // after each AUTH: what to read from
}

// serve runs a session on c until its end.
func serve(srv *Server, id int, c net.Conn) {
	if w := srv.cfg.Hooks.WrapControl; w != nil {
		c = w(id, c)
	}
	closeConn := sync.OnceFunc(func() { c.Close() })
	ctx, cancel := context.WithCancel(srv.ctx)
	stop := context.AfterFunc(ctx, closeConn)
	s := &session{
		srv: srv, id: id, conn: c, ctx: ctx, cwd: "/", ascii: true, facts: allFacts(),
		log: srv.log.With("session", id), lines: make(chan string),
		upgraded: make(chan net.Conn),
	}
	if srv.cfg.TLS != nil && srv.cfg.Implicit {
		s.conn, s.secret = tls.Server(c, srv.cfg.TLS), true
	}
	s.log.Debug("ftp session begins", "peer", c.RemoteAddr())
	var reader sync.WaitGroup
	reader.Go(s.read)
	s.run()
	s.dropData()
	stop()
	cancel()
	closeConn()
	reader.Wait()
	s.log.Debug("ftp session ends")
}

// run greets and executes commands, one after the other.
func (s *session) run() {
	if !s.reply(Reply{Code: 220, Text: "ftpfs FTP server ready"}) {
		return
	}
	for {
		line, ok := s.next()
		if !ok {
			return
		}
		// A file name may begin with a space: only the first one separates.
		verb, arg, _ := strings.Cut(line, " ")
		s.verb, s.arg = strings.ToUpper(verb), arg
		r := s.execute()
		if !s.reply(r) {
			return
		}
		s.upgrade(r)
	}
}

// next returns the next command line; false when there are no more.
func (s *session) next() (string, bool) {
	if len(s.queue) > 0 {
		line := s.queue[0]
		s.queue = s.queue[1:]
		return line, true
	}
	line, ok := <-s.lines
	return line, ok
}

// read hands out the lines of the client until it goes or the session ends.
// A session reads also during a transfer, for ABOR and to see the client go.
func (s *session) read() {
	defer close(s.lines)
	r := bufio.NewReaderSize(s.conn, maxLine)
	for {
		line, err := readLine(r)
		if err != nil {
			return
		}
		if s.srv.cfg.Telnet {
			line = unescape(line)
		}
		select {
		case s.lines <- line:
			r = s.reread(r, line)
		case <-s.ctx.Done():
			return
		}
	}
}

// readLine reads up to LF and takes off the line's end. Telnet's IP and Synch,
// which precede an ABOR (RFC 959, section 4.1.3), are taken off as well. A
// line that is too long is read to its end and returned cut.
func readLine(r *bufio.Reader) (string, error) {
	b, err := r.ReadSlice('\n')
	line := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	for line != "" && strings.IndexByte("\xff\xf4\xf2", line[0]) >= 0 {
		line = line[1:]
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	return line, err
}

// unescape takes Telnet's commands out of a line: 0xFF with the byte behind it,
// which is a byte of the line if it is 0xFF, too.
func unescape(line string) string {
	const iac = 0xff
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] == iac {
			if i++; i == len(line) || line[i] != iac {
				continue
			}
		}
		b.WriteByte(line[i])
	}
	return b.String()
}

// execute runs the command and returns its final reply.
func (s *session) execute() Reply {
	cmd, known := s.srv.commands[s.verb]
	if cmd.is(takesData) {
		defer s.dropData() // also when refused, as ProFTPD does
	}
	if h := s.srv.cfg.Hooks.OnCommand; h != nil {
		if r := h(s.id, s.verb, s.arg); r != nil {
			return *r
		}
	}
	switch {
	case len(s.verb)+len(s.arg) >= maxLine-1:
		return Reply{Code: 500, Text: "Command line too long"}
	case !known:
		return replyf(500, "%s not understood", s.verb)
	case !s.granted && !cmd.is(beforeLogin):
		return Reply{Code: 530, Text: "Please login with USER and PASS"}
	case s.arg == "" && cmd.is(needsArg):
		return Reply{Code: 501, Text: "Invalid number of parameters"}
	case s.srv.cfg.ReadOnly && cmd.is(changes):
		return s.readOnly()
	}
	return cmd.run(s)
}

// reply sends r as the hook leaves it. It returns false if the session is over.
func (s *session) reply(r Reply) bool {
	if h := s.srv.cfg.Hooks.OnReply; h != nil {
		r = h(s.id, s.verb, s.arg, r)
	}
	if r.Code != 0 {
		if _, err := io.WriteString(s.conn, r.wire()); err != nil {
			return false
		}
	}
	return !r.Close
}

// wire returns the reply as it is sent (RFC 959, section 4.2): the first and
// the last line bear the code.
func (r Reply) wire() string {
	lines := strings.Split(r.Text, "\n")
	last := len(lines) - 1
	var b strings.Builder
	for i, l := range lines {
		switch i {
		case last:
			fmt.Fprintf(&b, "%03d %s\r\n", r.Code, l)
		case 0:
			fmt.Fprintf(&b, "%03d-%s\r\n", r.Code, l)
		default:
			b.WriteString(l + "\r\n")
		}
	}
	return b.String()
}

func replyf(code int, format string, args ...any) Reply {
	return Reply{Code: code, Text: fmt.Sprintf(format, args...)}
}
