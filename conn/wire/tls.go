package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"ftpfs/conn"
)

// security is what the control connections of one Dialer share about TLS.
type security struct {
	conn.TLS
	address string // of the server, as conn.KnownCerts has it
	name    string // in certificates
	known   conn.KnownCerts
	roots   *x509.CertPool // nil: the system's
	own     []tls.Certificate
	log     *slog.Logger

	mu      sync.Mutex
	used    bool // guarded by mu; a session had TLS: auto does without no more
	without bool // guarded by mu; the server offers none, and the log says so
	lost    int  // guarded by mu; sessions with TLS 1.3 lost in a row, see lose
	limited bool // guarded by mu; TLS 1.2 at most
}

func newSecurity(cfg conn.Config) (*security, error) {
	if err := cfg.TLS.Check(); err != nil {
		return nil, err
	}
	s := &security{TLS: cfg.TLS, address: cfg.Server(), known: conn.NewKnownCerts(cfg.TLS.Known), log: cfg.Log}
	s.name, _, _ = strings.Cut(cfg.Host, "%") // an IPv6 zone is ours alone
	if s.CA != nil {
		s.roots = x509.NewCertPool()
		s.roots.AppendCertsFromPEM(s.CA)
	}
	var err error
	s.own, err = cfg.TLS.Certificates()
	return s, err
}

// mayGoWithout reports whether a session in clear text is allowed: only by
// auto, and only with a server that was never met with TLS (RFC 4217, 15.1.1:
// whoever is in between can take the offer away).
func (s *security) mayGoWithout() error {
	if s.Mode != conn.TLSAuto {
		return conn.ErrNoTLS
	}
	known, err := s.known.Lookup(s.address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used || len(known) > 0 {
		return fmt.Errorf("%w, but it has before", conn.ErrNoTLS)
	}
	if !s.without {
		s.without = true
		s.log.Info("the connection is not encrypted: the server offers no TLS", "server", s.address)
	}
	return nil
}

// goesWithout reports whether an earlier session found that there is no TLS.
func (s *security) goesWithout() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Mode == conn.TLSAuto && s.without
}

// config returns how a control connection does TLS.
func (s *security) config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &tls.Config{
		ServerName:         s.name,
		InsecureSkipVerify: true, // verify does more
		VerifyConnection:   s.verify,
		ClientSessionCache: &ticket{},
		Certificates:       s.own,
		MinVersion:         tls.VersionTLS12,
	}
	if s.Version != 0 {
		c.MinVersion, c.MaxVersion = s.Version, s.Version
	}
	if s.limited {
		c.MaxVersion = tls.VersionTLS12
	}
	return c
}

// ticket is the session cache of one control connection: ProFTPD wants the
// data connections to resume the session of their own control connection.
// Unlike a cache of crypto/tls it keeps the session when a handshake fails:
// that of a transfer that is refused, or given up, always does.
type ticket struct {
	mu      sync.Mutex
	session *tls.ClientSessionState // guarded by mu
}

func (t *ticket) Get(string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session, t.session != nil
}

func (t *ticket) Put(_ string, s *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s != nil {
		t.session = s
	}
}

// verify decides on the server's certificate. An authority's word is good for
// any; without one it must be known from before.
func (s *security) verify(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	print := conn.Fingerprint(leaf.Raw)
	refuse := func(changed bool, err error) error {
		return &conn.CertError{Address: s.address, Fingerprint: print, Subject: leaf.Subject.String(), Changed: changed, Err: err}
	}
	switch {
	case len(s.Pins) > 0 && slices.Contains(s.Pins, print), s.Insecure:
		s.met(conn.Offered)
		return nil
	case len(s.Pins) > 0:
		return refuse(true, errors.New("it is not the one of --tls-pin"))
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, doubt := leaf.Verify(x509.VerifyOptions{DNSName: s.name, Roots: s.roots, Intermediates: between})
	if doubt == nil {
		s.met(conn.Verified)
		return nil
	}
	known, err := s.known.Lookup(s.address)
	changed := slices.ContainsFunc(known, func(k string) bool { return k != conn.Offered })
	switch {
	case err != nil:
		return err
	case slices.Contains(known, print):
		s.met(print)
		return nil
	case changed || !s.TrustFirst:
		return refuse(changed, doubt)
	}
	if err := s.known.Remember(s.address, print, leaf.Subject.String()); err != nil {
		return fmt.Errorf("%w, and cannot be remembered: %w", refuse(false, doubt), err)
	}
	s.log.Warn("an unknown certificate is trusted from now on", "server", s.address, "fingerprint", print, "subject", leaf.Subject.String())
	s.met(print)
	return nil
}

// met notes that the server has TLS, and how it was identified, unless more
// is known of it already.
func (s *security) met(how string) {
	s.mu.Lock()
	first := !s.used
	s.used = true
	s.mu.Unlock()
	if !first || s.Known == "" {
		return
	}
	known, err := s.known.Lookup(s.address)
	if err == nil && (len(known) == 0 || how != conn.Offered) {
		err = s.known.Remember(s.address, how, "")
	}
	if err != nil {
		s.log.Warn("cannot remember that the server offers TLS", "server", s.address, "error", err)
	}
}

// secrecy is the TLS of one control connection.
type secrecy struct {
	*security
	leaf    []byte      // the server's certificate
	version uint16      // of TLS
	data    *tls.Config // of data connections
	private bool        // those are encrypted (PROT P); owned by the verb's goroutine
}

// secure makes the control connection secret as s demands, before the library
// gets to see it. It returns where replies are read from then on.
func (c *Control) secure(ctx context.Context, s *security) (*replyReader, error) {
	p := newReplyReader(c.raw)
	if s == nil || s.goesWithout() {
		return p, nil
	}
	c.tcp.SetDeadline(time.Now().Add(c.timeout))
	defer c.tcp.SetDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { c.tcp.Close() })()
	if s.Mode != conn.TLSImplicit {
		if offered, err := c.authTLS(p, s); err != nil || !offered {
			return p, err
		}
	}
	config := s.config()
	secret := tls.Client(c.raw, config)
	if err := secret.HandshakeContext(ctx); err != nil {
		return nil, tlsError(err)
	}
	c.raw = secret
	state := secret.ConnectionState()
	c.trace.event("%s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	c.secret = &secrecy{security: s, leaf: state.PeerCertificates[0].Raw, version: state.Version}
	c.secret.data = config.Clone()
	c.secret.data.VerifyConnection = c.secret.verifyData
	return newReplyReader(secret), nil
}

// authTLS reads the greeting and asks for TLS (RFC 4217, 4). The library gets
// the greeting as if it came only now.
func (c *Control) authTLS(p *replyReader, s *security) (offered bool, err error) {
	hello, err := p.Read()
	for err == nil && hello.Preliminary() {
		hello, err = p.Read()
	}
	if err != nil {
		return false, loginError(err)
	}
	if err := c.settle(hello, true); err != nil {
		return false, err
	}
	if hello.Code != 220 {
		return false, nil // the library sees to it
	}
	c.trace.sent("AUTH TLS")
	if _, err = io.WriteString(c.raw, "AUTH TLS\r\n"); err != nil {
		return false, loginError(err)
	}
	r, err := p.Read()
	c.trace.received(r)
	switch {
	case err != nil:
		return false, loginError(err)
	case r.Code == closing:
		return false, &saidError{r}
	case r.Code != 234:
		if err := s.mayGoWithout(); err != nil {
			return false, fmt.Errorf("%w (it said %q)", err, r)
		}
		return false, nil
	case p.r.Buffered() > 0: // somebody put it there, to be taken for an answer within TLS
		return false, fmt.Errorf("%w: more than the reply to AUTH TLS", conn.ErrProtocol)
	}
	return true, nil
}

// loginError says why nothing could be read or written before the login.
func loginError(err error) error {
	switch {
	case isTimeout(err):
		return fmt.Errorf("%w: %w", conn.ErrTimeout, err)
	case errors.Is(err, conn.ErrProtocol):
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrHostDown, err)
}

// tlsError says what a handshake on the control connection failed of.
func tlsError(err error) error {
	var header tls.RecordHeaderError
	switch {
	case errors.Is(err, conn.ErrCertificate):
		return err
	case errors.As(err, &header):
		return fmt.Errorf("%w: what it answers to a TLS handshake is not TLS", conn.ErrNoTLS)
	case isTimeout(err):
		return fmt.Errorf("%w: TLS handshake: %w", conn.ErrTimeout, err)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: it ended the TLS handshake", conn.ErrHostDown)
	}
	return fmt.Errorf("%w: TLS handshake: %w", conn.ErrProtocol, err)
}

// verifyData keeps anybody but the server of the control connection from
// answering at a data port.
func (s *secrecy) verifyData(state tls.ConnectionState) error {
	if string(state.PeerCertificates[0].Raw) == string(s.leaf) {
		return nil
	}
	return s.verify(state)
}

// TLSVersion returns the version of TLS (crypto/tls has the numbers), 0 in
// clear text.
func (c *Control) TLSVersion() uint16 {
	if c.secret == nil {
		return 0
	}
	return c.secret.version
}

// Protection returns the command that says whether data connections are
// encrypted (RFC 4217, 9), to be sent after PBSZ 0 and before the first
// transfer; "" in clear text.
func (c *Control) Protection() string {
	switch {
	case c.secret == nil:
		return ""
	case c.secret.ClearData:
		return "PROT C"
	}
	return "PROT P"
}

// Protected takes the answer to Protection's command.
func (c *Control) Protected(r Reply) error {
	switch {
	case r.OK():
		c.secret.private = !c.secret.ClearData
		return nil
	case c.secret.ClearData:
		return fmt.Errorf("%w on data connections (%q to PROT C): leave --tls-data=clear away", conn.ErrNeedTLS, r)
	}
	return fmt.Errorf("%w on data connections (%q to PROT P): --tls-data=clear does without", conn.ErrNoTLS, r)
}

// maxLost is how many sessions with TLS 1.3 may be lost in a row.
const maxLost = 2

// lose counts a session that the server ended in the middle of a transfer:
// ProFTPD can crash of TLS 1.3 (its bug 1063), and then does so again and
// again until it is restarted.
func (s *secrecy) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != tls.VersionTLS13 || s.limited {
		return
	}
	if s.lost++; s.lost >= maxLost {
		s.limited = true
		s.log.Info("the server ended two sessions in the middle of a transfer: going on with TLS 1.2", "server", s.address)
	}
}

// keep notes a session that ended well.
func (s *secrecy) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = 0
}
