package ftp

import (
	"slices"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	ftpserver "ftpfs/conn/ftptest/server"
)

// inCharset returns a server with files, and a session that speaks a charset.
func inCharset(t *testing.T, name string, files map[string]string) (*ftptest.Server, *session) {
	t.Helper()
	srv := ftptest.Start(t)
	fill(t, srv, files)
	cfg := configOf(srv)
	var err error
	if cfg.Charset, err = conn.ParseCharset(name); err != nil {
		t.Fatal(err)
	}
	return srv, openWith(t, cfg)
}

// namesOf returns the names in a listing, sorted.
func namesOf(t *testing.T, s *session, dir string) []string {
	t.Helper()
	l, err := s.List(bg, dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range l.Entries {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

// Every verb finds and makes files whose names are in the server's charset.
func TestCharset(t *testing.T) {
	for _, listing := range []string{"MLSD", "LIST"} {
		srv, s := inCharset(t, "GBK", map[string]string{"\xc4\xe3/\xba\xc3": "content", "\xc4\xe3/bad\xff": "?"})
		if listing == "LIST" {
			s.srv.lacking["MLSD"] = true
		}
		if got, want := namesOf(t, s, "/你"), []string{"bad‛FF", "好"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", listing, got, want)
		}
		if e, err := s.Stat(bg, "/你/好"); err != nil || e.Size != 7 || e.Name != "好" {
			t.Errorf("stat: %+v, %v", e, err)
		}
		if _, err := store(s, "/你/新", "new", func(c *conn.Commit) { c.RenameTo = "/你/好" }); err != nil {
			t.Error(err)
		}
		if err := s.Rename(bg, "/你/bad‛FF", "/你/表"); err != nil {
			t.Error(err)
		}
		if err := s.Mkdir(bg, "/目"); err != nil {
			t.Error(err)
		}
		if got := onServer(srv, "\xc4\xe3/\xba\xc3") + onServer(srv, "\xc4\xe3/\xb1\xed"); got != "new?" {
			t.Errorf("on the server: %q", got)
		}
		if err := s.Remove(bg, "/你/表", conn.KindFile); err != nil {
			t.Error(err)
		}
		if err := s.Remove(bg, "/目", conn.KindDir); err != nil {
			t.Error(err)
		}
		srv.ResetLog()
		want(t, s, s.Mkdir(bg, "/🙂"), conn.ErrEncoding, conn.Refused)
		want(t, s, s.Rename(bg, "/你", "/‛41"), conn.ErrEncoding, conn.Refused)
		_, err := store(s, "/x", "new", func(c *conn.Commit) { c.RenameTo = "/\xff" })
		want(t, s, err, conn.ErrEncoding, conn.Refused)
		if log := srv.Log(); len(log) > 0 {
			t.Errorf("the server got %v", log)
		}
	}
}

// UTF-8 is asked for, or asked not to be used.
func TestCharsetIsAskedFor(t *testing.T) {
	for name, want := range map[string]string{"": "UTF8 ON", "utf-8": "UTF8 ON", "latin1": "UTF8 OFF"} {
		srv, _ := inCharset(t, name, nil)
		asked := func(c ftptest.Command) bool { return c.Verb == "OPTS" && c.Arg == want }
		if !slices.ContainsFunc(srv.Log(), asked) {
			t.Errorf("charset %q: %q was not said: %v", name, want, srv.Log())
		}
	}
}

// A password that the charset does not have tells nothing of itself.
func TestCharsetOfThePassword(t *testing.T) {
	srv := ftptest.Start(t)
	cfg := configOf(srv)
	cfg.Charset, _ = conn.ParseCharset("latin1")
	cfg.Password = "日本"
	_, err := Dialer(cfg)(bg)
	if err == nil || conn.OutcomeOf(err) != conn.NotExecuted || strings.Contains(err.Error(), cfg.Password) {
		t.Errorf("the error is %v", err)
	}
	if log := srv.Log(); len(log) > 0 {
		t.Errorf("the server got %v", log)
	}
}

// The byte 0xFF is one, however the server wants it.
func TestTelnetByte(t *testing.T) {
	for greeting, telnet := range map[string]bool{
		"ProFTPD Server (x) [::1]": true, "x FTP server (GNU inetutils 2.4) ready.": true, "(vsFTPd 3.0.3)": false, pure: false, "Service ready": true, "ftpfs FTP server ready": false,
	} {
		srv := ftptest.Start(t, ftptest.WithConfig(func(c *ftpserver.Config) { c.Telnet = telnet }))
		srv.Fault(ftptest.ReplaceReply(ftptest.Greeting, 220, 220, greeting))
		fill(t, srv, map[string]string{"\xff": "one", "\xff\xff": "two", "d\xff/\xffx": "three"})
		s := open(t, srv)
		for p, size := range map[string]int64{"/\xff": 3, "/\xff\xff": 3, "/d\xff/\xffx": 5} {
			if e, err := s.Stat(bg, p); err != nil || e.Size != size {
				t.Errorf("%s: %q: %+v, %v", greeting, p, e, err)
			}
		}
		if got := namesOf(t, s, "/d\xff"); !slices.Equal(got, []string{"\xffx"}) {
			t.Errorf("%s: %q", greeting, got)
		}
		if err := s.Rename(bg, "/\xff", "/y\xff"); err != nil || onServer(srv, "y\xff") != "one" {
			t.Errorf("%s: %v", greeting, err)
		}
		if err := s.Remove(bg, "/\xff\xff", conn.KindFile); err != nil {
			t.Errorf("%s: %v", greeting, err)
		}
	}
}
