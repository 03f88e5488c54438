package main

import (
	"os"
	"path/filepath"

	"ftpfs/conn"

	"github.com/spf13/pflag"
)

// tlsFlags is what the flags say about encryption, until apply puts it into
// the server's Config.
type tlsFlags struct {
	Mode      string // "": as the URL says
	Data      string
	CA        string // files
	Cert, Key string
	Pins      []string
	Insecure  bool
}

// tlsModes are the words of --tls.
var tlsModes = map[string]conn.TLSMode{
	"auto": conn.TLSAuto, "explicit": conn.TLSExplicit, "implicit": conn.TLSImplicit, "off": conn.TLSOff,
}

func (t *tlsFlags) register(f *pflag.FlagSet) {
	f.Var(choiceValue{&t.Mode, []string{"auto", "explicit", "implicit", "off"}}, "tls",
		"explicit (ftpes://), implicit (ftps://, port 990), off, or auto: where the server offers it (default auto)")
	f.StringVar(&t.CA, "tls-ca", "", "trust the authorities in `FILE` (PEM) instead of the system's")
	f.StringArrayVar(&t.Pins, "tls-pin", nil, "accept only the certificate with this `FINGERPRINT` (sha256:...); may be given several times")
	f.BoolVar(&t.Insecure, "tls-insecure", false, "accept any certificate: whoever is in between can read and change everything")
	f.StringVar(&t.Cert, "tls-cert", "", "show the server the certificate in `FILE` (PEM)")
	f.StringVar(&t.Key, "tls-key", "", "its key, if it is in another `FILE`")
	f.Var(choiceValue{&t.Data, []string{"private", "clear"}}, "tls-data", "clear leaves files and listings unencrypted")
}

// apply puts what the flags say into cfg. asking tells whether there is a user
// who can be asked about an unknown certificate.
func (t *tlsFlags) apply(cfg *conn.Config, asking bool) error {
	if t.Mode != "" {
		if err := cfg.Secure(tlsModes[t.Mode]); err != nil {
			return usagef("%v", err)
		}
	}
	c := &cfg.TLS
	if c.Mode == conn.TLSOff {
		return t.superfluous()
	}
	c.ClearData, c.Insecure = t.Data == "clear", t.Insecure
	c.Known = knownCertsFile(os.Getenv, os.Getuid())
	c.TrustFirst = c.Mode == conn.TLSAuto && !asking && t.CA == ""
	for _, p := range t.Pins {
		pin, err := conn.ParseFingerprint(p)
		if err != nil {
			return usagef("--tls-pin: %v", err)
		}
		c.Pins = append(c.Pins, pin)
	}
	if t.Insecure && len(t.Pins) > 0 {
		return usagef("--tls-insecure accepts what --tls-pin refuses: leave one of them away")
	}
	if t.Key != "" && t.Cert == "" {
		return usagef("--tls-key without --tls-cert: name the certificate, too")
	}
	if t.Key == "" {
		t.Key = t.Cert
	}
	for _, f := range []struct {
		name, flag string
		text       *[]byte
	}{{t.CA, "--tls-ca", &c.CA}, {t.Cert, "--tls-cert", &c.Cert}, {t.Key, "--tls-key", &c.Key}} {
		if f.name == "" {
			continue
		}
		var err error
		if *f.text, err = os.ReadFile(f.name); err != nil {
			return failf("cannot read the certificate: %v; check %s", err, f.flag)
		}
	}
	if err := c.Check(); err != nil {
		return failf("%v: check --tls-ca, --tls-cert and --tls-key", err)
	}
	return nil
}

// superfluous refuses flags that mean nothing in clear text: whoever gives
// them believes in an encryption that is not there.
func (t *tlsFlags) superfluous() error {
	if t.CA != "" || t.Cert != "" || len(t.Pins) > 0 {
		return usagef("--tls=off, and yet certificates are given: leave --tls-ca, --tls-cert and --tls-pin away")
	}
	return nil
}

// knownCertsFile is $XDG_CONFIG_HOME/ftpfs/known_certs or that in ~/.config,
// for root without a home in /var/lib/ftpfs, and else "".
func knownCertsFile(getenv func(string) string, uid int) string {
	const name = "known_certs"
	if d := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "ftpfs", name)
	}
	if d := getenv("HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, ".config", "ftpfs", name)
	}
	if uid == 0 {
		return "/var/lib/ftpfs/" + name
	}
	return ""
}
