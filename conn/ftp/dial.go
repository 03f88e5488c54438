package ftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/jlaffaye/ftp"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// Dialer returns the dialer of sessions with cfg's server. Its errors are
// *conn.Error with the outcome NotExecuted: ErrHostDown, ErrTimeout, ErrLogin,
// ErrTooMany (RFC 959's 421, and the 530 of some servers), ErrNeedTLS, ErrNoTLS,
// ErrCertificate, ErrProtocol, ctx's, or that of conn.TLS.Check.
func Dialer(cfg conn.Config) conn.Dialer {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	srv := &server{peer: wire.NewServer(cfg), facts: loadFacts(cfg.FactsFile, cfg.Log), lacking: make(map[string]bool), kept: make(map[string]verdict), listZone: cfg.ListZone}
	return func(ctx context.Context) (conn.Session, error) {
		s, err := dial(ctx, cfg, srv)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// dial connects, logs in and finds out what there is to know.
func dial(ctx context.Context, cfg conn.Config, srv *server) (*session, error) {
	if strings.ContainsAny(cfg.User+cfg.Password+cfg.Account, "\r\n\x00") {
		return nil, &conn.Error{Op: "login", Outcome: conn.NotExecuted,
			Err: fmt.Errorf("%w: user or password has a line break", conn.ErrLogin)}
	}
	if _, err := cfg.Charset.Encode(cfg.User + "\n" + cfg.Password + "\n" + cfg.Account); err != nil {
		return nil, &conn.Error{Op: "login", Outcome: conn.NotExecuted,
			Err: fmt.Errorf("%w: user or password cannot be written in the charset %v", conn.ErrLogin, cfg.Charset)}
	}
	for {
		s, err := enter(ctx, cfg, srv)
		if !errors.Is(err, errAgain) {
			return s, err
		}
	}
}

// enter is dial for one connection. The error may be errAgain.
func enter(ctx context.Context, cfg conn.Config, srv *server) (*session, error) {
	ctl, end, err := srv.peer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	s := &session{ctl: ctl, srv: srv, log: cfg.Log}
	if err := s.login(cfg); err != nil {
		ctl.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) login(cfg conn.Config) (err error) {
	// UTF-8 is switched on in setUp, where a refusal does no harm.
	s.lib, err = ftp.Dial("", ftp.DialWithDialFunc(s.ctl.DialFunc), ftp.DialWithDisabledUTF8(true))
	if err == nil {
		s.product = productOf(s.ctl.Greeting())
		s.ctl.Tune(s.product.manners)
		host := s.host(cfg)
		s.foretell(cfg, host)
		if host != "" {
			err = s.choose(host)
		}
		if err == nil {
			err = s.lib.Login(cfg.User, cfg.Password)
		}
	}
	switch {
	case errors.Is(err, errAgain):
		return err
	case err != nil:
		return s.loginError(err)
	}
	s.feat = parseFeatures(s.ctl.Features())
	if s.missedHost(cfg) {
		s.ctl.Command("QUIT") // before the next one comes: it may allow one session
		return errAgain
	}
	if err := s.setUp(cfg); err != nil {
		return at("login", "", conn.NotExecuted, err)
	}
	s.ctl.Warm()
	return nil
}

// foretell has what the login will say sent in one packet, as far as the
// server is known to take it: from USER on, or from what follows PASS. host is
// told before, if it is not "".
func (s *session) foretell(cfg conn.Config, host string) {
	lines := append([]string{"FEAT", "TYPE I"}, s.srv.setUpLines()...)
	if s.product.inOrder && cfg.Account == "" {
		lines = append([]string{"USER " + cfg.User, "PASS " + cfg.Password}, lines...)
		if host != "" {
			lines = append([]string{"HOST " + host}, lines...)
		}
	}
	s.ctl.Foretell(lines...)
}

// loginError says why the library could not log in. It loses the reply of
// some refusals, so the control connection is asked.
func (s *session) loginError(err error) error {
	verb, r := s.ctl.Last()
	refused := r.Code >= 400 && (verb == "" || verb == "USER" || verb == "PASS" || verb == "ACCT") // and the server may be gone by now
	broken := s.ctl.Err()
	if broken != nil && !refused && r.Code != closing && !errors.Is(broken, net.ErrClosed) { // which is the library, after a greeting it does not like
		return at("login", "", conn.NotExecuted, broken)
	}
	e := &conn.Error{Op: verb, Code: r.Code, Msg: r.Text(), Outcome: conn.NotExecuted}
	switch {
	case r.Code >= 400:
		if verb == "" {
			verb = "connect"
		}
		e = conn.ReplyError(verb, "", r.Code, r.Text())
		e.Outcome = conn.NotExecuted
	case verb == "USER" || verb == "PASS" || verb == "ACCT": // 331 again, or 332: an account is wanted too
		e.Err = conn.ErrLogin
	default:
		e.Err = fmt.Errorf("%w: %w", conn.ErrProtocol, err)
	}
	return e
}

// setUp asks for encrypted data connections, for the login directory, for
// UTF-8, or none, and for all facts that MLSD can give, and sends the user's own
// commands, in one packet.
func (s *session) setUp(cfg conn.Config) error {
	s.srv.facts.meet(s.ctl.Features().Text())
	p := packet{s: s}
	var unprotected, wrong error
	if line := s.ctl.Protection(); line != "" {
		p.add("PBSZ 0", ignore)
		p.add(line, func(r wire.Reply) { unprotected = s.ctl.Protected(r) })
	}
	p.add("SYST", func(r wire.Reply) {
		system := strings.ToUpper(r.Text())
		s.unix = r.OK() && strings.Contains(system, "UNIX")
		if r.OK() && strings.Contains(system, "MVS") {
			wrong = fmt.Errorf("%w: a z/OS server has data sets, not files and folders", errors.ErrUnsupported)
		}
	})
	p.add("PWD", func(r wire.Reply) { s.home = parsePWD(r) })
	switch {
	case s.feat.has("UTF8") && cfg.Charset == nil:
		p.add("OPTS UTF8 ON", ignore)
	case s.feat.has("UTF8"):
		p.add("OPTS UTF8 OFF", ignore) // else names would be what it makes of them
	}
	if facts := s.feat.facts(); facts != "" {
		p.add("OPTS MLST "+facts, ignore) // pyftpdlib gives modes only if asked (RFC 3659, 7.9)
	}
	var refused error
	for _, line := range cfg.Commands {
		p.add(line, func(r wire.Reply) {
			if !r.OK() && refused == nil {
				refused = fmt.Errorf("%w: %q to the command %q", conn.ErrLogin, r, line)
			}
		})
	}
	s.srv.setSetUpLines(p.lines)
	return cmp.Or(p.send(), unprotected, wrong, refused)
}

// parsePWD returns the directory of a PWD reply, "/" if there is none that
// can be used. Quotes in it are doubled (RFC 959, appendix II), though not by
// Pure-FTPd and inetutils ftpd.
func parsePWD(r wire.Reply) string {
	_, rest, ok := strings.Cut(r.Text(), `"`)
	if !r.OK() || !ok {
		return "/"
	}
	var dir strings.Builder
	for i := 0; i < len(rest); i++ {
		if rest[i] == '"' {
			if i+1 == len(rest) || rest[i+1] == ' ' {
				break
			}
			if rest[i+1] == '"' {
				i++
			}
		}
		dir.WriteByte(rest[i])
	}
	if !strings.HasPrefix(dir.String(), "/") {
		return "/"
	}
	return dir.String()
}
