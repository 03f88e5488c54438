package ftp

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	ftpserver "ftpfs/conn/ftptest/server"
)

// secured returns a Config for srv with explicit TLS that trusts cert.
func secured(srv *ftptest.Server, cert ftptest.Certificate) conn.Config {
	cfg := configOf(srv)
	cfg.TLS = conn.TLS{Mode: conn.TLSExplicit, CA: cert.PEM}
	return cfg
}

// Every kind of transfer in TLS, with servers that want each data connection
// to resume the session, and its end to be close_notify.
func TestTLSTransfers(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		for _, implicit := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				srv := ftptest.Start(t, ftptest.WithTLS(cert, func(c *ftpserver.Config) {
					c.TLS.MinVersion, c.TLS.MaxVersion, c.Implicit = version, version, implicit
				}))
				fill(t, srv, map[string]string{"f": "hello", "d/": ""})
				cfg := secured(srv, cert)
				if implicit {
					cfg.TLS.Mode = conn.TLSImplicit
				}
				s := openWith(t, cfg)
				for range 3 {
					transferAll(t, srv, s)
				}
				if srv.Count("PROT") != 1 || srv.Count("AUTH") != map[bool]int{false: 1, true: 0}[implicit] {
					t.Errorf("%d PROT, %d AUTH", srv.Count("PROT"), srv.Count("AUTH"))
				}
			})
		}
	}
}

// transferAll reads f, stores large and empty files, lists, gives a download
// up, and is refused.
func transferAll(t *testing.T, srv *ftptest.Server, s *session) {
	t.Helper()
	d, err := s.Open(bg, "/f", 1, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(d); err != nil || string(got) != "ello" {
		t.Fatalf("%q, %v", got, err)
	}
	d.Close()
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for name, content := range map[string]string{"big": big, "empty": ""} {
		if _, err := s.Store(bg, "/d/"+name, strings.NewReader(content), conn.Commit{Size: int64(len(content))}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := onServer(srv, "d/"+name); got != content {
			t.Fatalf("%s: %d bytes on the server", name, len(got))
		}
	}
	if l, err := s.List(bg, "/d"); err != nil || len(l.Entries) != 2 {
		t.Fatalf("%v, %v", l, err)
	}
	if _, err := s.Open(bg, "/missing", 0, conn.Version{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if d, err = s.Open(bg, "/d/big", 0, conn.Version{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(d, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	d.Close()
	wantAlive(t, s)
}

// An upload whose source fails must not be taken for the whole.
func TestTLSCutUpload(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	srv := ftptest.Start(t, ftptest.WithTLS(cert, nil))
	s := openWith(t, secured(srv, cert))
	broken := io.MultiReader(strings.NewReader("part"), errReader{})
	_, err := s.Store(bg, "/f", broken, conn.Commit{Size: 100})
	if !errors.Is(err, errSource) {
		t.Errorf("%v", err)
	}
	srv.WaitSessions(0)
}

type errReader struct{}

var errSource = errors.New("the source fails")

func (errReader) Read([]byte) (int, error) { return 0, errSource }

// Auto takes TLS where it is offered, and says so once where it is not.
func TestTLSAuto(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	known := filepath.Join(t.TempDir(), "known_certs")
	var log bytes.Buffer
	dial := func(srv *ftptest.Server) (conn.Session, error) {
		cfg := configOf(srv)
		cfg.TLS = conn.TLS{Mode: conn.TLSAuto, Known: known, TrustFirst: true}
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		dial := Dialer(cfg)
		for range 2 { // the second one knows from the first
			s, err := dial(t.Context())
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { s.Close() })
		}
		return nil, nil
	}
	plain := ftptest.Start(t)
	if _, err := dial(plain); err != nil || plain.Count("AUTH") != 1 || strings.Count(log.String(), "not encrypted") != 1 {
		t.Errorf("%v, %d AUTH, log: %s", err, plain.Count("AUTH"), &log)
	}
	log.Reset()
	secret := ftptest.Start(t, ftptest.WithTLS(cert, nil))
	print := conn.Fingerprint(cert.DER)
	if _, err := dial(secret); err != nil || secret.Count("PROT") != 2 || strings.Count(log.String(), print) != 1 {
		t.Errorf("%v, %d PROT, log: %s", err, secret.Count("PROT"), &log)
	}
	// The same server without TLS, or with another certificate.
	if err := os.WriteFile(known, []byte(plain.Addr+" "+print+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(plain); !errors.Is(err, conn.ErrNoTLS) {
		t.Errorf("a server that had TLS is used without: %v", err)
	}
	if err := os.WriteFile(known, []byte(secret.Addr+" "+conn.Verified+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var refused *conn.CertError
	if _, err := dial(secret); !errors.As(err, &refused) || !refused.Changed || refused.Fingerprint != print {
		t.Errorf("an unknown certificate after a verified one: %v", err)
	}
}

func TestTLSRefused(t *testing.T) {
	cert, other := ftptest.NewCertificate(t, nil), ftptest.NewCertificate(t, nil)
	expired := ftptest.NewCertificate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	foreign := ftptest.NewCertificate(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} })
	for name, c := range map[string]struct {
		cert   ftptest.Certificate
		change func(*conn.TLS)
		want   error
	}{
		"unknown":   {cert, func(c *conn.TLS) { c.CA = other.PEM }, conn.ErrCertificate},
		"expired":   {expired, func(c *conn.TLS) { c.CA = expired.PEM }, conn.ErrCertificate},
		"foreign":   {foreign, func(c *conn.TLS) { c.CA = foreign.PEM }, conn.ErrCertificate},
		"pin":       {cert, func(c *conn.TLS) { c.Pins = []string{conn.Fingerprint(other.DER)} }, conn.ErrCertificate},
		"pinned":    {cert, func(c *conn.TLS) { c.CA, c.Pins = nil, []string{conn.Fingerprint(cert.DER)} }, nil},
		"insecure":  {expired, func(c *conn.TLS) { c.CA, c.Insecure = nil, true }, nil},
		"clear":     {cert, func(c *conn.TLS) { c.ClearData = true }, conn.ErrNeedTLS},
		"authority": {cert, func(c *conn.TLS) { c.CA = []byte("none") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t, ftptest.WithTLS(c.cert, func(c *ftpserver.Config) { c.RequirePrivate = true }))
			cfg := secured(srv, cert)
			c.change(&cfg.TLS)
			s, err := Dialer(cfg)(t.Context())
			if err == nil {
				s.Close()
			}
			if name == "authority" {
				if err == nil || conn.OutcomeOf(err) != conn.NotExecuted {
					t.Errorf("a broken list of authorities: %v", err)
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			srv.WaitSessions(0)
		})
	}
	plain := ftptest.Start(t)
	if _, err := Dialer(secured(plain, cert))(t.Context()); !errors.Is(err, conn.ErrNoTLS) {
		t.Errorf("explicit with a server that has none: %v", err)
	}
}

// Two sessions in a row that are lost in a transfer with TLS 1.3 make the
// next ones use 1.2 (ProFTPD crashes).
func TestTLSCrashes(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	srv := ftptest.Start(t, ftptest.WithTLS(cert, nil))
	fill(t, srv, map[string]string{"f": "hello"})
	dial := Dialer(secured(srv, cert))
	for i := range 3 {
		s, err := dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := uint16(tls.VersionTLS13)
		if i == 2 {
			want = tls.VersionTLS12
		}
		if got := s.(*session).ctl.TLSVersion(); got != want {
			t.Errorf("session %d has version %x", i, got)
		}
		srv.Fault(ftptest.DropBefore("RETR").Once())
		if _, err := s.Open(bg, "/f", 0, conn.Version{}); err == nil {
			t.Error("no fault?")
		}
		s.Close()
	}
}
