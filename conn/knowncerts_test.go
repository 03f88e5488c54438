package conn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKnownCerts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "known_certs")
	k := NewKnownCerts(file)
	lookup := func(server string, want ...string) {
		t.Helper()
		got, err := k.Lookup(server)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", server, got, err, want)
		}
	}
	remember := func(server, what, comment string) {
		t.Helper()
		if err := k.Remember(server, what, comment); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
	lookup("h:21")
	remember("h:21", "sha256:aa", "CN=h\nh:21 sha256:ee") // a name cannot add a line
	remember("h:21", "sha256:aa", "")
	remember("[::1]:21", Verified, "")
	remember("h:21", "sha256:bb", "")
	lookup("h:21", "sha256:aa", "sha256:bb")
	lookup("[::1]:21", Verified)
	lookup("h:2121")
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 3 {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.WriteFile(file, []byte("# h:21 x\n\nh:21\nh:21 sha256:cc and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	lookup("h:21", "sha256:cc")
	if err := NewKnownCerts("").Remember("h:21", Offered, ""); err == nil {
		t.Error("without a file it is remembered where?")
	}
}

func TestFingerprint(t *testing.T) {
	print := Fingerprint([]byte("der"))
	for _, s := range []string{print, strings.ToUpper(print), "sha256:" + strings.Join(pairs(print[len("sha256:"):]), ":")} {
		if got, err := ParseFingerprint(s); err != nil || got != print {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", print[1:], print + "00", "sha1:" + strings.Repeat("0", 40), "sha256:" + strings.Repeat("xy", 32)} {
		if got, err := ParseFingerprint(s); err == nil {
			t.Errorf("%s is taken for %s", s, got)
		}
	}
}

func pairs(s string) (p []string) {
	for ; s != ""; s = s[2:] {
		p = append(p, s[:2])
	}
	return p
}

func TestSchemes(t *testing.T) {
	for url, want := range map[string]struct {
		mode     TLSMode
		port     int
		redacted string
	}{
		"ftp://h/":       {TLSAuto, 21, "ftp://h/"},
		"FTPES://h":      {TLSExplicit, 21, "ftpes://h/"},
		"ftpes://h:990/": {TLSExplicit, 990, "ftpes://h:990/"},
		"ftps://h/":      {TLSImplicit, 990, "ftps://h/"},
		"ftps://h:21/":   {TLSImplicit, 21, "ftps://h:21/"},
	} {
		c, err := ParseURL(url)
		if err != nil || c.TLS.Mode != want.mode || c.Port != want.port || c.Redacted() != want.redacted {
			t.Errorf("%s: %v, %v", url, c, err)
		}
		if c.Port != 990 && c.Port != 21 || c.Server() != "h:21" {
			t.Errorf("%s is known as %s", url, c.Server())
		}
	}
	c, _ := ParseURL("ftp://h/")
	if err := c.Secure(TLSImplicit); err != nil || c.Port != 990 || c.Redacted() != "ftps://h/" {
		t.Errorf("implicit: %v, %v", c, err)
	}
	if err := c.Secure(TLSOff); err == nil {
		t.Error("ftps:// without TLS")
	}
}
