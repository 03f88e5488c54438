//go:build linux

package integration

import (
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refused mounts and fails the test unless that is refused with these words.
func refused(t *testing.T, s *server, words []string, flags ...string) {
	t.Helper()
	args := append([]string{"--foreground", "--timeout=5s", "--password-file", passwordFile(t, ftpPassword)}, flags...)
	checkRefusal(t, ftpfs(t, nil, append(args, s.URL("/"), mountpoint(t))...), exitConnect, words)
}

// reconfigure gives a server other lines and starts it again.
func (s *server) reconfigure(t *testing.T, more ...string) {
	t.Helper()
	s.Kill()
	conf := s.vsftpdConf()
	if s.kind == proftpd {
		conf = s.proftpdConf()
	}
	s.write(t, "server.conf", 0o644, append(conf, more...)...)
	s.Start(t)
}

// TestCertificateKnown: without a terminal, auto trusts the first certificate
// that it meets, says so once, and then neither another one nor clear text.
func TestCertificateKnown(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	for _, k := range bothServers {
		t.Run(string(k), func(t *testing.T) {
			first, second := ca.Sign(t, string(k)+"-first", nil), ca.Sign(t, string(k)+"-second", nil)
			s := startServer(t, k, tlsConf(k, first, false)...)
			m := mount(t, s)
			m.Expect("an unknown certificate is trusted from now on")
			put(t, s.Served+"/f", []byte("hello"))
			equal(t, "f", sh(t, m.Dir, "cat f"), "hello")
			if n := strings.Count(m.Log(), first.Fingerprint); n != 1 {
				t.Errorf("the fingerprint is in the log %d times: %s", n, m.Log())
			}
			m.Unmount(t)
			m = mount(t, s) // without a warning
			m.Unmount(t)
			s.reconfigure(t, tlsConf(k, second, false)...)
			refused(t, s, []string{"has changed", second.Fingerprint, "known_certs"})
			refused(t, s, []string{"has changed", second.Fingerprint}, "--tls=explicit")
			s.reconfigure(t)
			refused(t, s, []string{"offers no TLS", "before", "--tls=off"})
			m = mount(t, s, "--tls=off")
			equal(t, "f", sh(t, m.Dir, "cat f"), "hello")
		})
	}
}

// TestCertificates: what a certificate must be, and what helps.
func TestCertificates(t *testing.T) {
	forgetful(t)
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.Sign(t, "good", nil)
	expired := ca.Sign(t, "expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	foreign := ca.Sign(t, "foreign", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} })
	s := startServer(t, vsftpd, tlsConf(vsftpd, good, false)...)
	refused(t, s, []string{"is not known", good.Fingerprint, "authority", "--tls-pin"}, "--tls=explicit")
	refused(t, s, []string{"is not known", good.Fingerprint}, "--tls=explicit", "--tls-ca", other.File)
	for _, flags := range [][]string{{"--tls-ca", ca.File}, {"--tls-pin", strings.ToUpper(good.Fingerprint)}, {"--tls-insecure"}} {
		m := mount(t, s, append(flags, "--tls=explicit")...)
		m.Expect("certificates are not checked")
		sh(t, m.Dir, "ls")
		m.Unmount(t)
	}
	s.reconfigure(t, tlsConf(vsftpd, expired, false)...)
	refused(t, s, []string{"expired", expired.Fingerprint}, "--tls=explicit", "--tls-ca", ca.File)
	s.reconfigure(t, tlsConf(vsftpd, foreign, false)...)
	refused(t, s, []string{"192.0.2.1", foreign.Fingerprint}, "--tls=explicit", "--tls-ca", ca.File)
}

// TestClientCertificate: a server that wants one gets it.
func TestClientCertificate(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	ours := ca.Sign(t, "ours", nil)
	s := startServer(t, proftpd, append(tlsConf(proftpd, ca.Sign(t, "server", nil), false),
		"TLSVerifyClient on", "TLSCACertificateFile "+ca.File)...)
	refused(t, s, nil, "--tls=explicit", "--tls-ca", ca.File)
	m := mount(t, s, "--tls=explicit", "--tls-ca", ca.File, "--tls-cert", ours.File)
	put(t, filepath.Join(s.Served, "f"), []byte("hello"))
	equal(t, "f", sh(t, m.Dir, "cat f"), "hello")
}

// TestSessionReuse: ProFTPD with TLS 1.2 alone resumes sessions in a way that
// we cannot; the error says what to change, and with that it works.
func TestSessionReuse(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	conf := append(tlsConf(proftpd, ca.Sign(t, "server", nil), false), "TLSProtocol TLSv1.2")
	s := startServer(t, proftpd, conf...)
	refused(t, s, []string{"NoSessionReuseRequired", "425"}, "--tls=explicit", "--tls-ca", ca.File)
	s.reconfigure(t, append(conf, "TLSOptions NoSessionReuseRequired")...)
	worksWell(t, mount(t, s, "--tls=explicit", "--tls-ca", ca.File))
}

// TestClearData: --tls-data=clear encrypts the login only.
func TestClearData(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	conf := tlsConf(vsftpd, ca.Sign(t, "server", nil), false)
	s := startServer(t, vsftpd, conf...)
	refused(t, s, []string{"--tls-data=clear"}, "--tls=explicit", "--tls-ca", ca.File, "--tls-data=clear")
	s.reconfigure(t, append(conf, "force_local_data_ssl=NO")...)
	worksWell(t, mount(t, s, "--tls=explicit", "--tls-ca", ca.File, "--tls-data=clear"))
}
