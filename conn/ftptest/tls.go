package ftptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"ftpfs/conn/ftptest/server"
)

// Certificate is a certificate that signs itself, for 127.0.0.1.
type Certificate struct {
	PEM    []byte // of the certificate
	KeyPEM []byte
	DER    []byte
	tls    tls.Certificate
}

// NewCertificate makes a certificate. change may want it different; nil: as
// it is.
func NewCertificate(t testing.TB, change func(*x509.Certificate)) Certificate {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "ftptest"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := Certificate{}
	if c.DER, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
	c.KeyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if c.tls, err = tls.X509KeyPair(c.PEM, c.KeyPEM); err != nil {
		t.Fatal(err)
	}
	return c
}

// WithTLS has the server offer TLS with a certificate, and demand of data
// connections that they resume a session. change may set more; nil: no more.
func WithTLS(c Certificate, change func(*server.Config)) Option {
	return func(o *options) {
		o.cfg.TLS = &tls.Config{Certificates: []tls.Certificate{c.tls}}
		o.cfg.RequireReuse = true
		if change != nil {
			change(&o.cfg)
		}
	}
}
