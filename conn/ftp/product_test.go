package ftp

import (
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// as returns a server that greets like another product, and a session with it.
func as(t *testing.T, greeting string, files map[string]string) (*ftptest.Server, *session) {
	t.Helper()
	srv := ftptest.Start(t)
	fill(t, srv, files)
	srv.Fault(ftptest.ReplaceReply(ftptest.Greeting, 220, 220, greeting))
	return srv, open(t, srv)
}

const (
	pure = "---------- Welcome to Pure-FTPd [privsep] [TLS] ----------"
	py   = "pyftpdlib 1.5.7 ready."
)

// What the server would take for another name is not sent.
func TestNamesThatServersChange(t *testing.T) {
	srv, s := as(t, pure, map[string]string{"x ": "there", "f": "1"})
	srv.ResetLog()
	for what, err := range map[string]error{
		"mkdir, a space at the end":  s.Mkdir(bg, "/d "),
		"rename, a space at the end": s.Rename(bg, "/f", "/y "),
		"mkdir, a tab":               s.Mkdir(bg, "/a\tb"),
		"remove, a tab":              s.Remove(bg, "/a\tb", conn.KindFile),
		"rename from a tab":          s.Rename(bg, "/a\tb", "/y"),
	} {
		t.Log(what)
		want(t, s, err, conn.ErrInvalidName, conn.Refused)
	}
	_, err := store(s, "/x ", "new", nil)
	want(t, s, err, conn.ErrInvalidName, conn.Refused)
	_, err = store(s, "/tmp", "new", func(c *conn.Commit) { c.RenameTo = "/x " })
	want(t, s, err, conn.ErrInvalidName, conn.Refused)
	if log := srv.Log(); len(log) > 0 {
		t.Errorf("the server got %v", log)
	}
	if e, err := s.Stat(bg, "/x "); err != nil || e.Size != 5 {
		t.Errorf("a name that is there: %+v, %v", e, err)
	}
	if err := s.Remove(bg, "/x ", conn.KindFile); err != nil {
		t.Error(err)
	}

	deep := strings.Repeat("/"+strings.Repeat("d", 250), 17)
	want(t, s, s.Mkdir(bg, deep), conn.ErrNameTooLong, conn.Refused)

	_, s = as(t, py, nil)
	want(t, s, s.Mkdir(bg, "/caf\xe9"), conn.ErrInvalidName, conn.Refused)
	if err := s.Mkdir(bg, "/café\t "); err != nil {
		t.Error(err)
	}
	_, s = start(t, nil)
	if err := s.Mkdir(bg, "/caf\xe9\t "); err != nil {
		t.Error(err)
	}
}

// pyftpdlib's MLSD shows what a link leads to in the place of the link.
func TestLinksThatMLSDFollows(t *testing.T) {
	srv, s := as(t, py, map[string]string{"d/dir/": "", "d/file": ""})
	for link, target := range map[string]string{"to-dir": "dir", "to-file": "file", "dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(srv.Root, "d", link)); err != nil {
			t.Fatal(err)
		}
	}
	const followed = "type=dir; dir\r\ntype=dir; to-dir\r\ntype=file;size=0; file\r\ntype=file;size=0; to-file\r\n"
	srv.Fault(ftptest.Listing(followed).OnArg("/d"))
	for range 2 {
		l, err := s.List(bg, "/d")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range l.Entries {
			if e.Kind == conn.KindSymlink {
				got = append(got, e.Name+" "+e.Target)
			}
		}
		slices.Sort(got)
		if want := []string{"dangling nowhere", "to-dir dir", "to-file file"}; !slices.Equal(got, want) || len(l.Entries) != 5 {
			t.Errorf("links %q, want %q, among %d names", got, want, len(l.Entries))
		}
	}
}

// LIST is not needed any more once MLSD has named a link.
func TestLinksThatMLSDNames(t *testing.T) {
	srv, s := as(t, "some server", map[string]string{"a/f": "", "b/f": ""})
	names(t, s, "/a")
	before := srv.Count("LIST")
	if before == 0 {
		t.Error("an unknown server was not asked for LIST")
	}
	if err := os.Symlink("f", filepath.Join(srv.Root, "b/link")); err != nil {
		t.Fatal(err)
	}
	names(t, s, "/b")
	names(t, s, "/a")
	if n := srv.Count("LIST"); n != before {
		t.Errorf("%d times LIST after a link was named", n-before)
	}
}

// Pure-FTPd says of SIZE and MLST below a closed directory what it says of
// missing files; only CWD tells.
func TestStatBelowClosedDirectory(t *testing.T) {
	srv, s := as(t, pure, nil)
	for _, verb := range []string{"SIZE", "MDTM", "MLST"} {
		srv.Fault(ftptest.Refuse(verb, 550, "Can't check for file existence"))
	}
	remove := srv.Fault(ftptest.Refuse("CWD", 550, "Can't change directory to /closed/f: Permission denied"))
	_, err := s.Stat(bg, "/closed/f")
	want(t, s, err, iofs.ErrPermission, conn.Refused)
	remove()
	_, err = s.Stat(bg, "/missing")
	want(t, s, err, iofs.ErrNotExist, conn.Refused)
}

// Pure-FTPd ends a session after MLSD whose current directory is gone.
func TestCurrentDirectoryIsLeft(t *testing.T) {
	srv, s := as(t, pure, map[string]string{"empty/": "", "f": ""})
	at := ""
	for range 2 {
		names(t, s, "/empty")
		if _, err := s.Stat(bg, "/empty"); err != nil {
			t.Fatal(err)
		}
		names(t, s, "/")
	}
	for _, c := range srv.Log() {
		line := c.Verb + " " + c.Arg
		switch {
		case strings.HasPrefix(line, "CWD "):
			at = c.Arg
		case c.Verb == "MLSD" && at != "" && at != "/":
			t.Errorf("%s in %s", line, at)
		}
	}
}
