package conn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// server is a Config as far as a URL gives it.
type server struct {
	Host     string
	Port     int
	User     string
	Password string
	Has      bool
	Path     string
}

func serverOf(c Config) server {
	return server{c.Host, c.Port, c.User, c.Password, c.HasPassword, c.Path}
}

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want server
	}{
		{"ftp://example.org", server{"example.org", 21, "anonymous", "ftpfs@", true, ""}},
		{"ftp://example.org/", server{"example.org", 21, "anonymous", "ftpfs@", true, ""}},
		{"FTP://Example.ORG:2121/", server{"Example.ORG", 2121, "anonymous", "ftpfs@", true, ""}},
		{"ftp://example.org:/", server{"example.org", 21, "anonymous", "ftpfs@", true, ""}},
		{"ftp://@example.org/", server{"example.org", 21, "anonymous", "ftpfs@", true, ""}},
		{"ftp://ftp@example.org/", server{"example.org", 21, "ftp", "ftpfs@", true, ""}},
		{"ftp://anonymous:me%40home@example.org/", server{"example.org", 21, "anonymous", "me@home", true, ""}},
		{"ftp://lab@example.org/", server{"example.org", 21, "lab", "", false, ""}},
		{"ftp://lab:@example.org/", server{"example.org", 21, "lab", "", true, ""}},
		{"ftp://lab:secret@example.org/", server{"example.org", 21, "lab", "secret", true, ""}},
		{"ftp://lab:a:b@example.org/", server{"example.org", 21, "lab", "a:b", true, ""}},
		{"ftp://d%5Cu%40x:p%3A%2F%23%3f%40%25@h/", server{"h", 21, `d\u@x`, "p:/#?@%", true, ""}},
		{"ftp://l%C3%A4b:%FF@h/", server{"h", 21, "läb", "\xff", true, ""}},
		{"ftp://lab:a+b c;type=a@h/", server{"h", 21, "lab", "a+b c;type=a", true, ""}},

		{"ftp://h/dir", server{"h", 21, "anonymous", "ftpfs@", true, "dir"}},
		{"ftp://h/a/b%20c/", server{"h", 21, "anonymous", "ftpfs@", true, "a/b c"}},
		{"ftp://h/a//./b/.", server{"h", 21, "anonymous", "ftpfs@", true, "a/b"}},
		{"ftp://h/%2Fsrv/x", server{"h", 21, "anonymous", "ftpfs@", true, "/srv/x"}},
		{"ftp://h/%2fsrv", server{"h", 21, "anonymous", "ftpfs@", true, "/srv"}},
		{"ftp://h/%2F", server{"h", 21, "anonymous", "ftpfs@", true, "/"}},
		{"ftp://h//srv/", server{"h", 21, "anonymous", "ftpfs@", true, "/srv"}},
		{"ftp://h//", server{"h", 21, "anonymous", "ftpfs@", true, "/"}},
		{"ftp://h/a%2Fb", server{"h", 21, "anonymous", "ftpfs@", true, "a/b"}},
		{"ftp://h/~lab/a@b:c;d", server{"h", 21, "anonymous", "ftpfs@", true, "~lab/a@b:c;d"}},
		{"ftp://h/x%3Btype=a", server{"h", 21, "anonymous", "ftpfs@", true, "x;type=a"}},
		{"ftp://h/%23%3F%25", server{"h", 21, "anonymous", "ftpfs@", true, "#?%"}},

		{"ftp://192.0.2.1:990/", server{"192.0.2.1", 990, "anonymous", "ftpfs@", true, ""}},
		{"ftp://[::1]/", server{"::1", 21, "anonymous", "ftpfs@", true, ""}},
		{"ftp://[2001:DB8::1]:65535/", server{"2001:DB8::1", 65535, "anonymous", "ftpfs@", true, ""}},
		{"ftp://lab:x@[fe80::1%25eth0]:21/d", server{"fe80::1%eth0", 21, "lab", "x", true, "d"}},
		{"ftp://[fe80::1%eth0]/", server{"fe80::1%eth0", 21, "anonymous", "ftpfs@", true, ""}},
		{"ftp://[::ffff:192.0.2.1]/", server{"::ffff:192.0.2.1", 21, "anonymous", "ftpfs@", true, ""}},
	} {
		c, err := ParseURL(tt.url)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", tt.url, err)
			continue
		}
		if diff := cmp.Diff(tt.want, serverOf(c)); diff != "" {
			t.Errorf("ParseURL(%q): %s", tt.url, diff)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, tt := range []struct{ url, says string }{
		{"", "ftp://"},
		{"example.org/dir", "ftp://"},
		{"lab:Secret@example.org", "ftp://"},
		{"ftp:example.org", "ftp://"},
		{"://example.org", "ftp://"},
		{"Secret!://h/", "ftp://"},
		{"http://h/", "unknown scheme"},
		{"sftp://h/", "sftp:// is not supported yet"},
		{"ftp://", "no host"},
		{"ftp:///dir", "no host"},
		{"ftp://:21/", "no host"},
		{"ftp://lab:Secret@/", "no host"},
		{"ftp://h:0/", "1 to 65535"},
		{"ftp://h:65536/", "1 to 65535"},
		{"ftp://h:-1/", "1 to 65535"},
		{"ftp://h:ftp/", "1 to 65535"},
		{"ftp://h:21:21/", "brackets"},
		{"ftp://::1/", "brackets"},
		{"ftp://[::1/", "]"},
		{"ftp://[::1]21/", "]"},
		{"ftp://[192.0.2.1]/", "IPv6"},
		{"ftp://[fe80::1%25]/", "IPv6"},
		{"ftp://[fe80::1%25a b]/", "IPv6"},
		{"ftp://a b/", "host"},
		{"ftp://h%41/", "host"},
		{"ftp://:Secret@h/", "without a user"},
		{"ftp://lab:Se#cret@h/", "%23"},
		{"ftp://h/#top", "%23"},
		{"ftp://lab:Se?cret@h/", "%3F"},
		{"ftp://h/?q", "%3F"},
		{"ftp://lab:Se@cret@h/", "%40"},
		{"ftp://lab:Se/cret@h/", "%2F"},
		{"ftp://lab:Se%cret@h/", "%25"},
		{"ftp://lab:Secret%4@h/", "%25"},
		{"ftp://lab%zz:Secret@h/", "%25"},
		{"ftp://h/100%", "%25"},
		{"ftp://h/%+1", "%25"},
		{"ftp://lab:Secret%0D%0ADELE@h/", "CR or LF"},
		{"ftp://lab%00:Secret@h/", "NUL"},
		{"ftp://h/a%0Ab", "CR or LF"},
		{"ftp://h/a\nb", "CR or LF"},
		{"ftp://h/a/../b", `".."`},
		{"ftp://h/%2E%2e", `".."`},
		{"ftp://h/x;type=a", "%3B"},
		{"ftp://h/x;Type=", "%3B"},
	} {
		c, err := ParseURL(tt.url)
		if err == nil {
			t.Errorf("ParseURL(%q) = %+v, want an error", tt.url, serverOf(c))
			continue
		}
		if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseURL(%q): %v; it does not say %q", tt.url, err, tt.says)
		}
		if strings.Contains(err.Error(), "cret") {
			t.Errorf("ParseURL(%q): %v; it holds the password", tt.url, err)
		}
	}
}

func TestConfigStrings(t *testing.T) {
	for _, tt := range []struct{ url, address, identity, redacted string }{
		{"ftp://h", "h:21", "anonymous@h:21", "ftp://h/"},
		{"ftp://Lab:Secret@Example.ORG/d", "Example.ORG:21", "Lab@example.org:21", "ftp://Lab@Example.ORG/d"},
		{"ftp://lab:Secret@h:990/", "h:990", "lab@h:21", "ftp://lab@h:990/"},
		{"ftp://lab@h:2121/%2Fa,b c", "h:2121", "lab@h:2121", "ftp://lab@h:2121/%2Fa%2Cb%20c"},
		{"ftp://h/%2F", "h:21", "anonymous@h:21", "ftp://h/%2F"},
		{"ftp://a%2Fb%40c:Secret@h/", "h:21", "a%2Fb%40c@h:21", "ftp://a%2Fb%40c@h/"},
		{"ftp://[FE80::1%25eth0]:22/", "[FE80::1%eth0]:22", "anonymous@[fe80::1%eth0]:22", "ftp://[FE80::1%25eth0]:22/"},
	} {
		c, err := ParseURL(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.address, tt.identity, tt.redacted}, []string{c.Address(), c.Identity(), c.Redacted()}); diff != "" {
			t.Errorf("%s: %s", tt.url, diff)
		}
		if s := fmt.Sprintf("%v %+v %s", c, c, c); strings.Contains(s, "Secret") {
			t.Errorf("a printed Config holds the password: %s", s)
		}
	}
	if got := (Config{Host: "h"}); got.Address() != "h:21" || got.Identity() != "anonymous@h:21" || got.Redacted() != "ftp://h/" {
		t.Errorf("without port and user: %s, %s, %s", got.Address(), got.Identity(), got.Redacted())
	}
}

// drawConfig returns what a URL can say.
func drawConfig(t *rapid.T) Config {
	text := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != '\r' && r != '\n' }))
	c := Config{
		Host:        rapid.SampledFrom([]string{"h", "Example.org", "192.0.2.1", "::1", "fe80::1%eth0", "fe80::1%25"}).Draw(t, "host"),
		Port:        rapid.IntRange(1, 65535).Draw(t, "port"),
		User:        text.Filter(func(s string) bool { return s != "" && s != "anonymous" && s != "ftp" }).Draw(t, "user"),
		HasPassword: rapid.Bool().Draw(t, "has password"),
	}
	if c.HasPassword {
		c.Password = text.Draw(t, "password")
	}
	parts := rapid.SliceOf(text.Filter(func(s string) bool {
		return s != "" && s != "." && s != ".." && !strings.Contains(s, "/")
	})).Draw(t, "parts")
	c.Path = rapid.SampledFrom([]string{"", "/"}).Draw(t, "root") + strings.Join(parts, "/")
	return c
}

// A Config comes back from its redacted URL, and with the password put into
// the URL it comes back whole.
func TestURLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawConfig(t)
		url := want.Redacted()
		if want.HasPassword {
			url = strings.Replace(url, "@", ":"+encode(want.Password, "")+"@", 1)
		}
		got, err := ParseURL(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if diff := cmp.Diff(serverOf(want), serverOf(got)); diff != "" {
			t.Fatalf("%s: %s", url, diff)
		}
	})
}

// Two Configs have one identity only if they name one server and one user.
func TestIdentityTellsApart(t *testing.T) {
	class := func(c Config) string {
		port := c.Port
		if port == 990 {
			port = 21
		}
		return fmt.Sprintf("%q %d %q", strings.ToLower(c.Host), port, c.User)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawConfig(t), drawConfig(t)
		a.Port = rapid.SampledFrom([]int{21, 990, 2121}).Draw(t, "port a")
		b.Port = rapid.SampledFrom([]int{21, 990, 2121}).Draw(t, "port b")
		if rapid.Bool().Draw(t, "same user") {
			b.User = a.User
		}
		if (a.Identity() == b.Identity()) != (class(a) == class(b)) {
			t.Fatalf("%s and %s for %s and %s", a.Identity(), b.Identity(), class(a), class(b))
		}
		if strings.ContainsAny(a.Identity(), "/\x00") {
			t.Fatalf("%q cannot be part of a file name", a.Identity())
		}
	})
}

// Whatever is in a URL, ParseURL does not panic, its error quotes no part of
// it, and what it takes can be sent.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"ftp://lab:secret@[::1]:21/%2Fa?b", "ftp://h/a;type=i", "ftps://h", "ftpes://h:990", "ftp://a@b@c/%", "ftp://[fe80::1%25e]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const canary = "cAnArY-0451"
		if _, err := ParseURL("ftp://lab:" + canary + s); err != nil && strings.Contains(err.Error(), canary) {
			t.Fatalf("%q: %v", s, err)
		}
		c, err := ParseURL(s)
		if err != nil {
			return
		}
		for _, part := range []string{c.Host, c.User, c.Password, c.Path} {
			if strings.ContainsAny(part, "\x00\r\n") {
				t.Fatalf("%q: %+v", s, serverOf(c))
			}
		}
		if c.Host == "" || c.User == "" || c.Port < 1 || c.Port > 65535 {
			t.Fatalf("%q: %+v", s, serverOf(c))
		}
		again, err := ParseURL(c.Redacted())
		if err != nil || again.Host != c.Host || again.Port != c.Port || again.User != c.User || again.Path != c.Path {
			t.Fatalf("%q: %s: %+v, %v", s, c.Redacted(), serverOf(again), err)
		}
	})
}
