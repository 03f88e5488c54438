package ftp

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	ftpserver "ftpfs/conn/ftptest/server"
)

// onWindows returns a path as Windows makes files of it.
func onWindows(p string) string {
	dir, name := path.Split(p)
	name, _, _ = strings.Cut(name, ":")
	return dir + strings.TrimRight(name, " .")
}

// mangling returns a server that is not known and changes names, and a session.
func mangling(t *testing.T, stored func(string) string) (*ftptest.Server, *session) {
	t.Helper()
	srv := ftptest.Start(t, ftptest.WithConfig(func(c *ftpserver.Config) { c.StoredAs, c.Telnet = stored, true }))
	srv.Fault(ftptest.ReplaceReply(ftptest.Greeting, 220, 220, "Service ready"))
	fill(t, srv, map[string]string{"d/f": "1", "d/x": "precious"})
	return srv, open(t, srv)
}

// Names that a server would store as others are found out on a name of our own,
// and refused: nothing that is there is written over.
func TestNamesThatTheServerStoresAsOthers(t *testing.T) {
	srv, s := mangling(t, onWindows)
	for range 2 {
		for _, name := range []string{"/d/x ", "/d/x.", "/d/x:y"} {
			want(t, s, s.Mkdir(bg, name), conn.ErrInvalidName, conn.Refused)
			want(t, s, s.Rename(bg, "/d/f", name), conn.ErrInvalidName, conn.Refused)
			_, err := store(s, name, "new", nil)
			want(t, s, err, conn.ErrInvalidName, conn.Refused)
			_, err = store(s, "/d/t", "new", func(c *conn.Commit) { c.RenameTo = name })
			want(t, s, err, conn.ErrInvalidName, conn.Refused)
		}
	}
	if n := srv.Count("MKD"); n != 3*(2+1+2) { // three kinds by three verbs
		t.Errorf("%d MKD", n)
	}
	if err := s.Mkdir(bg, "/d/ x"); err != nil { // which it keeps
		t.Error(err)
	}
	var names []string
	all, err := os.ReadDir(srv.Root + "/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{" x", "f", "x"}) || onServer(srv, "d/x") != "precious" {
		t.Errorf("on the server: %q", names)
	}
	wantAlive(t, s)
}

// A server that keeps them costs one trial for each kind, and names without a
// risk cost none.
func TestNamesThatTheServerKeeps(t *testing.T) {
	srv, s := mangling(t, nil)
	srv.ResetLog()
	if err := s.Mkdir(bg, "/d/plain"); err != nil || srv.Count("MKD") != 1 {
		t.Errorf("%v; %v", err, srv.Log())
	}
	for _, name := range []string{" a", " b", "a ", "b.", `c\`, "d:", "e\t", "f?", "g\xff"} {
		if err := s.Mkdir(bg, "/d/"+name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(srv.Root + "/d/" + name); err != nil {
			t.Error(err)
		}
	}
	if n := srv.Count("MKD"); n != 1+9+2*8 {
		t.Errorf("%d MKD", n)
	}
	// What is known of a product is not tried out.
	srv, s = start(t, nil)
	srv.ResetLog()
	if err := s.Mkdir(bg, "/ x "); err != nil || srv.Count("MKD") != 1 {
		t.Errorf("%v; %v", err, srv.Log())
	}
}

// Where nothing can be tried out, the server's own answer is what counts.
func TestNamesThatCannotBeTriedOut(t *testing.T) {
	srv, s := mangling(t, onWindows)
	srv.Fault(ftptest.Refuse("MKD", 550, "Permission denied"))
	if err := s.Rename(bg, "/d/f", "/d/ f"); err != nil || onServer(srv, "d/ f") != "1" {
		t.Error(err)
	}
	srv, s = mangling(t, onWindows)
	srv.Fault(ftptest.DropBefore("RNTO"))
	err := s.Rename(bg, "/d/f", "/d/f ")
	want(t, s, err, err, conn.NotExecuted)
}
