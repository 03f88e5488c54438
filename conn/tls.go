package conn

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TLSMode says whether a connection is encrypted, and from when on (RFC 4217).
type TLSMode uint8

// The modes. Only TLSAuto ever goes on without encryption, and not with a
// server that has offered it before.
const (
	TLSOff      TLSMode = iota
	TLSAuto             // where the server offers it, by AUTH TLS
	TLSExplicit         // by AUTH TLS, or not at all
	TLSImplicit         // from the first byte, on a port of its own
)

// TLS says how connections are encrypted and whom they trust.
type TLS struct {
	Mode      TLSMode
	ClearData bool // data connections are not encrypted (PROT C)

	CA        []byte   // PEM; nil: the authorities of the system
	Cert, Key []byte   // PEM of our own certificate; nil: none
	Pins      []string // fingerprints, see ParseFingerprint; if any, the certificate must be one of them
	Insecure  bool     // any certificate will do
	Version   uint16   // the only one to use, of crypto/tls; 0: 1.2 or 1.3

	Known      string // file of a KnownCerts; "": nothing is remembered
	TrustFirst bool   // TLSAuto without a user who could be asked: the first certificate is accepted and remembered
}

// Check tells what is wrong with the certificates and pins, if anything.
func (t TLS) Check() error {
	if t.CA != nil && !x509.NewCertPool().AppendCertsFromPEM(t.CA) {
		return errors.New("the file of authorities has no certificate in PEM form")
	}
	if _, err := t.Certificates(); err != nil {
		return fmt.Errorf("our own certificate cannot be used: %w", err)
	}
	return nil
}

// Certificates returns our own certificate, if there is one.
func (t TLS) Certificates() ([]tls.Certificate, error) {
	if t.Cert == nil {
		return nil, nil
	}
	c, err := tls.X509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	return []tls.Certificate{c}, nil
}

// Secure turns a Config of ftp:// into one with mode. A URL that says the mode
// itself (ftps://, ftpes://) takes no other. Implicit TLS has a port of its own.
func (c *Config) Secure(mode TLSMode) error {
	if c.TLS.Mode != TLSAuto && c.TLS.Mode != mode {
		return fmt.Errorf("%s:// has %s TLS: write ftp:// to choose another", c.scheme(), modeNames[c.TLS.Mode])
	}
	c.TLS.Mode = mode
	if mode == TLSImplicit && c.Port == defaultPort {
		c.Port = implicitTLSPort
	}
	return nil
}

var modeNames = map[TLSMode]string{TLSOff: "no", TLSAuto: "optional", TLSExplicit: "explicit", TLSImplicit: "implicit"}

const fingerprintMark = "sha256:"

// Fingerprint returns the name of a certificate, from its DER form:
// "sha256:" and 64 hexadecimal digits.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return fingerprintMark + hex.EncodeToString(sum[:])
}

// ParseFingerprint reads a Fingerprint. The digits may be in upper case and
// have colons between them, as openssl prints them.
func ParseFingerprint(s string) (string, error) {
	digits, ok := strings.CutPrefix(strings.ToLower(s), fingerprintMark)
	digits = strings.ReplaceAll(digits, ":", "")
	if b, err := hex.DecodeString(digits); !ok || err != nil || len(b) != sha256.Size {
		return "", errors.New("want sha256: and the 64 hexadecimal digits of the certificate's fingerprint")
	}
	return fingerprintMark + digits, nil
}

// CertError is a server's certificate that is not accepted. It is
// ErrCertificate.
type CertError struct {
	Address     string // as KnownCerts has it
	Fingerprint string
	Subject     string // the certificate's name for itself
	Changed     bool   // the server had another one, or a verified one
	Err         error  // why it is not accepted for itself, of crypto/x509 mostly
}

func (e *CertError) Error() string {
	what := "is not known"
	if e.Changed {
		what = "has changed"
	}
	return fmt.Sprintf("the certificate of %s %s: %s (%s; %v)", e.Address, what, e.Fingerprint, e.Subject, e.Err)
}

// Unwrap gives the meaning and the reason.
func (e *CertError) Unwrap() []error { return []error{ErrCertificate, e.Err} }
