//go:build linux

package integration

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestCertificateQuestion: on a terminal the user is asked about a certificate
// that nobody vouches for. A no refuses it, a yes is remembered, and another
// one is refused then without a question.
func TestCertificateQuestion(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	first, second := ca.Sign(t, "first", nil), ca.Sign(t, "second", nil)
	s := startServer(t, vsftpd, tlsConf(vsftpd, first, false)...)
	put(t, s.Served+"/f", []byte("hello"))
	dir, cache, pw := mountpoint(t), t.TempDir(), passwordFile(t, ftpPassword)
	open := func(t *testing.T, flags ...string) *terminal {
		args := append(flags, "--password-file", pw, "--cache-dir", cache, strings.Replace(s.URL("/"), "ftp://", "ftpes://", 1), dir)
		return openTerminal(t, "/", the.program(t), args...)
	}
	asked := func(t *testing.T, c *terminal) {
		c.Expect("is not known")
		c.Expect(first.Fingerprint)
		c.Expect("(yes/no)? ")
	}
	said := func(c *terminal) string { // to its end: also what lives on has let the terminal go
		limit := time.After(20 * time.Second)
		for {
			select {
			case b, ok := <-c.output:
				if !ok {
					return c.seen.String()
				}
				c.seen.Write(b)
			case <-limit:
				t.Fatal("the terminal is still in use")
			}
		}
	}
	ends := func(t *testing.T, c *terminal) {
		t.Helper()
		var exit *exec.ExitError
		if err := c.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitConnect {
			t.Errorf("it ended with %v", err)
		}
		if _, ok := mountedAt(dir); ok {
			t.Error("it is mounted")
		}
	}
	for _, form := range []string{"--foreground=false", "--foreground"} {
		for _, answer := range []string{"no", "y", ""} {
			c := open(t, form)
			asked(t, c)
			c.Type(answer + "\n")
			c.Expect(first.Fingerprint) // how else it can be trusted
			ends(t, c)
		}
	}
	for _, question := range []bool{true, false} {
		c := open(t)
		if question {
			asked(t, c)
			c.Type("yes\n")
		}
		c.Wait()
		if more := said(c); !question && strings.TrimSpace(more) != "" {
			t.Errorf("it said %q", more)
		}
		equal(t, "f", sh(t, dir, "cat f"), "hello")
		umountDetachedWith(t, statusOf(t, dir)) // of the refusals
	}
	s.reconfigure(t, tlsConf(vsftpd, second, false)...)
	c := open(t)
	c.Expect("has changed")
	c.Expect(second.Fingerprint)
	ends(t, c)
	if more := said(c); strings.Contains(more, "(yes/no)") {
		t.Errorf("asked about a changed one: %q", more)
	}
}
