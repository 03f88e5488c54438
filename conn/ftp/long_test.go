package ftp

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftpfs/conn"
)

// Paths that make a command longer than the server takes are reached by going
// to their directory. No command is ever longer.
func TestLongPaths(t *testing.T) {
	const most = 508
	deep := ""
	for _, c := range "abcd" {
		deep += "/" + strings.Repeat(string(c), 200)
	}
	for name, dir := range map[string]string{"far below": deep, "only just": deep[:most-longestVerb-6]} {
		t.Run(name, func(t *testing.T) {
			srv, s := start(t, map[string]string{dir[1:] + "/file-with-a-name": "content", dir[1:] + "/sub/x": ""})
			srv.ResetLog()
			f, g := dir+"/file-with-a-name", dir+"/g"
			ok := func(what string, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			e, err := s.Stat(bg, f)
			if ok("stat", err); e.Size != 7 {
				t.Errorf("stat: %+v", e)
			}
			l, err := s.List(bg, dir)
			if ok("list", err); len(l.Entries) != 2 {
				t.Errorf("list: %+v", l)
			}
			d, err := s.Open(bg, f, 3, conn.Version{})
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(d); string(b) != "tent" || err != nil {
				t.Errorf("read: %q, %v", b, err)
			}
			d.Close()
			_, err = store(s, dir+"/.tmp", "new content", func(c *conn.Commit) {
				c.RenameTo, c.Time, c.Mode, c.SetMode, c.Base = f, someTime, 0o600, true, e.Version()
			})
			ok("store", err)
			_, err = s.Append(bg, f, 11, strings.NewReader("!"), conn.Commit{Size: 12})
			ok("append", err)
			ok("rename", s.Rename(bg, f, g))
			ok("chmod", s.Chmod(bg, g, 0o640))
			ok("mkdir", s.Mkdir(bg, dir+"/"+strings.Repeat("n", 255)))
			ok("rmdir", s.Remove(bg, dir+"/"+strings.Repeat("n", 255), conn.KindDir))
			if got := onServer(srv, g); got != "new content!" {
				t.Errorf("the server has %q", got)
			}
			fi, err := os.Stat(filepath.Join(srv.Root, g))
			if err != nil || fi.Mode().Perm() != 0o640 {
				t.Errorf("%v, %v", fi, err)
			}
			ok("rename to elsewhere", s.Rename(bg, g, "/g"))
			ok("rename from elsewhere", s.Rename(bg, "/g", g))
			ok("delete", s.Remove(bg, g, conn.KindFile))
			_, err = s.Open(bg, g, 0, conn.Version{})
			want(t, s, err, os.ErrNotExist, conn.Refused)
			_, err = s.Open(bg, deep+"/missing/g", 0, conn.Version{})
			want(t, s, err, os.ErrNotExist, conn.Refused)
			wantAlive(t, s)
			for _, c := range srv.Log() {
				if n := len(c.Verb) + 1 + len(c.Arg); n > most {
					t.Errorf("%s with %d bytes", c.Verb, n)
				}
			}
		})
	}
}

// From far down ProFTPD does not find other paths: the session comes up first, once.
func TestComesUp(t *testing.T) {
	deep := strings.Repeat("/"+strings.Repeat("d", 200), 4)
	srv, s := start(t, map[string]string{deep[1:] + "/f": "deep", "g": "here"})
	for range 2 {
		if _, err := s.Stat(bg, deep+"/f"); err != nil {
			t.Fatal(err)
		}
	}
	srv.ResetLog()
	for range 2 {
		if _, err := s.Stat(bg, "/g"); err != nil {
			t.Fatal(err)
		}
	}
	var moves []string
	for i, c := range srv.Log() {
		if c.Verb == "CWD" {
			moves = append(moves, fmt.Sprint(i, " ", c.Arg))
		}
	}
	if want := []string{"0 /"}; !slices.Equal(moves, want) {
		t.Errorf("went %q, want %q", moves, want)
	}
}
