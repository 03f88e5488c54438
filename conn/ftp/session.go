package ftp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/textproto"
	"slices"
	"strings"

	"github.com/jlaffaye/ftp"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

const closing = 421 // RFC 959: service not available, closing control connection

// longestVerb is what a command has at most beside its path, in bytes:
// "MFMT 20060102150405 ".
const longestVerb = 20

// session is a conn.Session.
type session struct {
	ctl *wire.Control
	lib *ftp.ServerConn
	srv *server
	log *slog.Logger

	feat       features
	product    product
	home       string // login directory
	unix       bool   // SYST says so
	away       bool   // the current directory is not the root
	deep       bool   // it is so far down that commands about it are too long for the server
	tellsTime  bool   // the answer to MFMT has told the time that MDTM told then
	noMDTMTime bool   // MDTM does not set times here, though it may for other users
}

var _ conn.Session = (*session)(nil)

// Home returns the login directory, an absolute path.
func (s *session) Home() string { return s.home }

// Ready implements conn.Session.
func (s *session) Ready() bool { return s.ctl.Ready() }

// Err implements conn.Session.
func (s *session) Err() error { return s.ctl.Err() }

// About tells of the connection: the greeting, the version of TLS, "" without,
// and the command that lists directories.
func (s *session) About() (greeting, version, lists string) {
	if v := s.ctl.TLSVersion(); v != 0 {
		version = tls.VersionName(v)
	}
	lists = "LIST"
	if s.feat.has("MLST") {
		lists = "MLSD"
	}
	return s.ctl.Greeting().Text(), version, lists
}

// Close implements conn.Session.
func (s *session) Close() error { return s.ctl.Close() }

// Noop implements conn.Session. Any answer shows that the session lives.
func (s *session) Noop(ctx context.Context) error {
	end, err := s.begin(ctx, "NOOP")
	if err != nil {
		return err
	}
	defer end()
	if _, err = s.ctl.Command("NOOP"); err != nil {
		return at("NOOP", "", conn.NotExecuted, err) // which means nothing to the server's state
	}
	return nil
}

// begin starts a verb about paths, all of which must be such as can be sent.
func (s *session) begin(ctx context.Context, op string, paths ...string) (end func(), err error) {
	for _, p := range paths {
		if err := s.check(op, p); err != nil {
			return nil, err
		}
	}
	return s.start(ctx, op, paths)
}

// start starts a verb about paths.
func (s *session) start(ctx context.Context, op string, paths []string) (end func(), err error) {
	end, err = s.ctl.Begin(ctx)
	if err != nil {
		first := ""
		if len(paths) > 0 {
			first = paths[0]
		}
		return nil, at(op, first, conn.OutcomeOf(err), err)
	}
	if err := s.comeUp(paths); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// comeUp goes back to the root from a directory that is far down, before a
// verb about paths that are not: ProFTPD does not find them from there.
func (s *session) comeUp(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	was := s.deep
	s.deep = slices.ContainsFunc(paths, s.long) // the wire goes to its directory
	s.away = s.away || s.deep
	if s.deep || !was {
		return nil
	}
	if err := s.do("CWD", "/", "CWD /"); conn.OutcomeOf(err) != conn.Refused {
		return err
	}
	return nil
}

// check refuses paths that the server would not get as they are.
func (s *session) check(op, p string) error {
	err := conn.CheckPath(p)
	wire := ""
	if err == nil {
		wire, err = s.ctl.OnWire(p)
	}
	if err == nil {
		err = s.product.check(wire)
	}
	switch {
	case errors.Is(err, conn.ErrEncoding):
		s.log.Info("a name cannot be used on this server", "op", op, "path", p, "error", err)
	case err == nil && longestName(wire)+longestVerb > s.product.manners.MaxLine:
		err = fmt.Errorf("%w: a name has %d bytes", conn.ErrNameTooLong, longestName(wire))
	case err == nil && s.product.shallow && s.long(p):
		err = fmt.Errorf("%w: the path has %d bytes", conn.ErrNameTooLong, len(p))
	}
	if err != nil {
		return &conn.Error{Op: op, Path: p, Outcome: conn.Refused, Err: err}
	}
	return nil
}

// long reports whether commands about p are too long for the server.
func (s *session) long(p string) bool {
	wire, err := s.ctl.OnWire(p)
	return err == nil && len(wire)+longestVerb > s.product.manners.MaxLine
}

// longestName returns the length of the longest name in a path, in bytes.
func longestName(p string) int {
	longest := 0
	for name := range strings.SplitSeq(p, "/") {
		longest = max(longest, len(name))
	}
	return longest
}

// do sends a command about path that is done with a 2xx or 3xx reply. The
// error of a lost reply is Unknown.
func (s *session) do(verb, p, line string) error {
	s.moves(line)
	r, err := s.ctl.Command(line)
	if err != nil {
		return at(verb, p, conn.OutcomeOf(err), err)
	}
	return s.refusal(verb, p, r)
}

// moves keeps track of the current directory.
func (s *session) moves(line string) {
	if strings.HasPrefix(line, "CWD ") {
		s.away = line != "CWD /"
	}
}

// refusal returns what a reply means as an error, nil if it is positive. A
// reply that is more than a refusal breaks the session.
func (s *session) refusal(verb, p string, r wire.Reply) error {
	if r.Code < 400 {
		return nil
	}
	e := conn.ReplyError(verb, p, r.Code, r.Text())
	if e.Outcome != conn.Refused {
		s.ctl.Fail(e)
	}
	return e
}

// at returns err as an error of op about path, with the outcome o.
func at(op, p string, o conn.Outcome, err error) *conn.Error {
	e := &conn.Error{Op: op, Path: p, Outcome: o, Err: err}
	if inner, ok := err.(*conn.Error); ok {
		e.Code, e.Msg, e.Err = inner.Code, inner.Msg, inner.Err
	}
	return e
}

// fail breaks the session because of cause.
func (s *session) fail(op, p string, cause error) *conn.Error {
	s.ctl.Fail(cause)
	return at(op, p, conn.Unknown, cause)
}

// transferError says why the library's transfer op failed with err.
func (s *session) transferError(op, p string, err error) error {
	if broken := s.ctl.Err(); broken != nil {
		if s.ctl.Sent() {
			return at(op, p, conn.Unknown, broken)
		}
		return at(op, p, conn.NotExecuted, broken)
	}
	verb, r := s.ctl.Last()
	var refused *textproto.Error
	if !errors.As(err, &refused) || r.Code < 400 {
		// The data connection broke, whatever the server says of it, or the
		// library cannot read what it said.
		return s.fail(op, p, fmt.Errorf("%w: %w", conn.ErrProtocol, err))
	}
	if verb == "EPSV" || verb == "PASV" || verb == "REST" || verb == "CWD" {
		op = verb
	}
	return s.refusal(op, p, r)
}

// hasMLST tells whether the server offers MLST, and has answered it so far.
func (s *session) hasMLST() bool { return s.feat.has("MLST") && !s.srv.lacks("MLST") }

// packet is a list of commands to be sent together.
type packet struct {
	s     *session
	lines []string
	then  []func(wire.Reply)
}

// add appends a command; then gets its reply.
func (p *packet) add(line string, then func(wire.Reply)) {
	p.s.moves(line)
	p.lines = append(p.lines, line)
	p.then = append(p.then, then)
}

// send sends the commands and hands out the replies that come. The outcome of
// its error is NotExecuted only if none of them can have been executed.
func (p *packet) send() error {
	replies, err := p.s.ctl.Pipeline(p.lines...)
	for i, r := range replies {
		p.then[i](r)
	}
	if errors.Is(err, conn.ErrTimeout) && strings.HasPrefix(p.lines[len(replies)], "MLST ") {
		p.s.srv.without("MLST") // uftpd: it never answers, though it offers it
	}
	if err != nil && len(replies) > 0 {
		return at("session", "", conn.Unknown, err)
	}
	return err
}

// ignore is for replies that change nothing.
func ignore(wire.Reply) {}
