package ftp

import (
	"errors"
	iofs "io/fs"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// A copy is made on the server: no byte travels.
func TestCopy(t *testing.T) {
	srv, s := start(t, map[string]string{"a b": "content", "old": "x"})
	base, err := s.Stat(bg, "/a b")
	if err != nil {
		t.Fatal(err)
	}
	srv.ResetLog()
	e, err := s.Copy(bg, "/a b", base.Version(), "/t", conn.Commit{Size: 7, RenameTo: "/new", Base: conn.Version{State: conn.Absent}, Mode: 0o600, SetMode: true})
	if err != nil || e.Size != 7 || e.Name != "new" || e.Mode != 0o600 || e.Time.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	if got := onServer(srv, "new"); got != "content" {
		t.Errorf("the copy is %q", got)
	}
	if srv.Count("RETR")+srv.Count("STOR") > 0 {
		t.Errorf("bytes travelled: %v", srv.Log())
	}
	for what, got := range map[string]error{
		"another version": copyOf(s, "/a b", conn.Version{State: conn.Present, Size: 8}, 8, "/x"),
		"the target came": copyOf(s, "/a b", base.Version(), 7, "/old"),
	} {
		t.Log(what)
		want(t, s, got, conn.ErrConflict, conn.Refused)
	}
	if got := onServer(srv, "old"); got != "x" {
		t.Errorf("what came is %q", got)
	}
	want(t, s, copyOf(s, "/nowhere", conn.Version{}, 7, "/x"), iofs.ErrNotExist, conn.Refused)
	wantAlive(t, s)
}

// copyOf copies to a file that is not there.
func copyOf(s *session, from string, base conn.Version, size int64, to string) error {
	_, err := s.Copy(bg, from, base, "/t", conn.Commit{Size: size, RenameTo: to, Base: conn.Version{State: conn.Absent}})
	return err
}

// That the server copies is known by FEAT, else by SITE HELP, asked once.
func TestCopyIsOffered(t *testing.T) {
	for what, c := range map[string]struct {
		fault  ftptest.Fault
		copies bool
		asked  int
	}{
		"by SITE HELP": {ftptest.ReplaceReply("FEAT", 211, 211, "Features:\n SIZE\n MDTM\n REST STREAM\nEnd"), true, 1},
		"not":          {ftptest.NoCopy(), false, 1},
	} {
		srv := ftptest.Start(t)
		fill(t, srv, map[string]string{"f": "1"})
		srv.Fault(c.fault)
		s := open(t, srv)
		srv.ResetLog()
		for _, to := range []string{"/x", "/y"} {
			if err := copyOf(s, "/f", conn.Version{State: conn.Present, Size: 1}, 1, to); (err == nil) != c.copies || !c.copies && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v", what, err)
			}
		}
		asked := 0
		for _, l := range srv.Log() {
			if l.Verb == "SITE" && l.Arg == "HELP" {
				asked++
			}
		}
		if asked != c.asked {
			t.Errorf("%s: SITE HELP was asked %d times", what, asked)
		}
	}
	// FEAT promises what is refused then.
	srv, s := start(t, map[string]string{"f": "1"})
	srv.Fault(ftptest.Refuse("SITE", 500, "not understood"))
	for range 2 {
		want(t, s, copyOf(s, "/f", conn.Version{State: conn.Present, Size: 1}, 1, "/x"), errors.ErrUnsupported, conn.Refused)
	}
	if n := srv.Count("SITE"); n != 1 {
		t.Errorf("it was tried %d times", n)
	}
}
