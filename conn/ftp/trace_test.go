package ftp

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	ftpserver "ftpfs/conn/ftptest/server"
)

// passwords have what a URL, a shell and a protocol could stumble over.
var passwords = []string{"two words", "100%", "#1", `back\slash`, "pässwörd", "a\tb", " lead", "\xff\xfe"}

// The trace has the dialogue with numbers and times, and no secret, in TLS
// and in clear text, whatever the server repeats.
func TestTrace(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	for i, password := range passwords {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			srv := ftptest.Start(t, ftptest.WithTLS(cert, nil), ftptest.WithConfig(func(c *ftpserver.Config) {
				c.Users = map[string]string{ftptest.User: password}
			}))
			fill(t, srv, map[string]string{"f": "hello"})
			cfg := secured(srv, cert)
			if i%2 == 0 {
				cfg.TLS = conn.TLS{}
			}
			cfg.Password = password
			cfg.Commands = []string{"SITE CHMOD 600 /f"}
			var trace bytes.Buffer
			cfg.Trace = &trace
			remove := srv.Fault(ftptest.EditReply("PASS", func(string) string { return "'PASS " + password + "' is fine" }))
			s := openWith(t, cfg)
			transfer(t, s)
			s.Close()
			remove()
			srv.Fault(ftptest.Refuse("PASS", 530, "'PASS "+password+"' not understood"))
			_, err := Dialer(cfg)(t.Context())
			if !errors.Is(err, conn.ErrLogin) || strings.Contains(err.Error(), password) {
				t.Errorf("%v", err)
			}
			text := trace.String()
			if strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%q", password)) {
				t.Errorf("the password is in the trace:\n%s", text)
			}
			for _, want := range []string{
				`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z 1 > PASS \*\*\*\*$`, `(?m) 1 < 230 'PASS \*\*\*\*' is fine$`, `(?m) 1 > RETR /f$`, `(?m) 1 < 226 `,
				`(?m) 1 > SITE CHMOD 600 /f$`, `(?m) 1 - data connection closed, bytes received 5, sent 0$`, `(?m) 1 > QUIT$`, `(?m) \d > USER u$`,
			} {
				if !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("no %s in\n%s", want, text)
				}
			}
			if i%2 == 1 && !strings.Contains(text, "1 - TLS 1.3, ") {
				t.Errorf("no TLS in\n%s", text)
			}
		})
	}
}

// A server may want an account beside the password.
func TestAccount(t *testing.T) {
	srv := ftptest.Start(t)
	srv.Fault(ftptest.ReplaceReply("PASS", 230, 332, "Need account"))
	srv.Fault(ftptest.Refuse("ACCT", 230, "Welcome"))
	cfg := configOf(srv)
	if _, err := Dialer(cfg)(t.Context()); !errors.Is(err, conn.ErrLogin) {
		t.Errorf("without an account: %v", err)
	}
	cfg.Account = "sales"
	wantAlive(t, openWith(t, cfg))
	if log := srv.Log(); srv.Count("ACCT") != 1 {
		t.Errorf("%v", log)
	}
}

// What cannot be sent is refused before anything is.
func TestLoginBytes(t *testing.T) {
	srv := ftptest.Start(t)
	for _, bad := range []string{"a\rb", "a\nb", "a\x00b"} {
		for _, set := range []func(*conn.Config){
			func(c *conn.Config) { c.User = bad }, func(c *conn.Config) { c.Password = bad }, func(c *conn.Config) { c.Account = bad },
			func(c *conn.Config) { c.Commands = []string{bad} },
		} {
			cfg := configOf(srv)
			set(&cfg)
			if s, err := Dialer(cfg)(t.Context()); err == nil {
				s.Close()
				t.Errorf("%q was sent", bad)
			}
		}
	}
}
