//go:build linux

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for the servers of a test.
type authority struct {
	File string // its own certificate, PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	must(t, os.Chmod(filepath.Dir(a.dir), 0o755))
	must(t, os.Chmod(a.dir, 0o755))
	template := template("ftpfs test authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	var der []byte
	a.key, der = sign(t, template, nil, nil)
	var err error
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.File = a.write(t, "authority.pem", nil, der)
	return a
}

// template is a certificate that is valid from an hour ago until in an hour.
func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign makes a key and a certificate for it, which signs itself without a parent.
func sign(t *testing.T, c, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	must(t, err)
	return key, der
}

// write writes a certificate, and its key before it if there is one.
func (a *authority) write(t *testing.T, name string, key *ecdsa.PrivateKey, der []byte) string {
	t.Helper()
	var text []byte
	if key != nil {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		text = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	path := filepath.Join(a.dir, name)
	must(t, os.WriteFile(path, text, 0o644))
	return path
}

// certificate is a server's, or a client's.
type certificate struct {
	File        string // PEM, certificate and key
	Fingerprint string // as ftpfs writes it
}

// Sign returns a certificate for 127.0.0.1, or as change wants it.
func (a *authority) Sign(t *testing.T, name string, change func(*x509.Certificate)) certificate {
	t.Helper()
	c := template(name)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if change != nil {
		change(c)
	}
	key, der := sign(t, c, a.cert, a.key)
	sum := sha256.Sum256(der)
	return certificate{a.write(t, name+".pem", key, der), "sha256:" + hex.EncodeToString(sum[:])}
}

// tlsConf is what a server's configuration needs for explicit TLS with c, and
// nothing else; implicit makes it implicit, which Pure-FTPd cannot.
func tlsConf(k kind, c certificate, implicit bool) []string {
	switch k {
	case vsftpd:
		conf := []string{
			"ssl_enable=YES", "force_local_logins_ssl=YES", "force_local_data_ssl=YES", "require_ssl_reuse=YES",
			"ssl_ciphers=HIGH", "rsa_cert_file=" + c.File, "rsa_private_key_file=" + c.File,
		}
		if implicit {
			conf = append(conf, "implicit_ssl=YES")
		}
		return conf
	case pureftpd:
		return []string{"--tls=3", "--certfile=" + c.File}
	case pyftpdlib:
		return []string{
			"from pyftpdlib.handlers import TLS_FTPHandler",
			"class Secret(Handler, TLS_FTPHandler):",
			fmt.Sprintf("    certfile, implicit = %q, %q", c.File, map[bool]string{true: "yes"}[implicit]),
			"    tls_control_required = tls_data_required = True",
			"    def handle(self):",
			"        if self.implicit: self.secure_connection(self.ssl_context)",
			"        super().handle()",
			"server.handler = Secret",
		}
	default:
		conf := []string{
			"LoadModule mod_tls.c", "TLSEngine on", "TLSRequired on",
			"TLSECCertificateFile " + c.File, "TLSECCertificateKeyFile " + c.File,
		}
		if implicit {
			conf = append(conf, "TLSOptions UseImplicitSSL")
		}
		return conf
	}
}
