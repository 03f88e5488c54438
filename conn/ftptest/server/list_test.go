package server_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn/ftptest/server"
)

// listed returns the lines of a listing with what depends on the machine
// masked: inode numbers, ids, sizes of directories.
func listed(s string) []string {
	for _, mask := range [][2]string{
		{`unique=[0-9A-F]+U[0-9A-F]+`, "unique=X"},
		{`UNIX.(group|owner)=\d+`, "UNIX.$1=N"},
		{`(?m)^([-l]\S{9} +\d+) \d+ +\d+ +`, "$1 N N "},
		{`(?m)^(d\S{9} +\d+) \d+ +\d+ +\d+ `, "$1 N N SIZE "},
	} {
		s = regexp.MustCompile(mask[0]).ReplaceAllString(s, mask[1])
	}
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\r\n"), "\r\n")
}

// listing makes a directory d with one of everything; its files are of 2020,
// but for f, which is of the returned time. Links are of the other one.
func listing(t *testing.T, root string) (ofFile, ofLinks time.Time) {
	t.Helper()
	tree(t, root, map[string]string{"d/f": "hello", "d/.hidden": "", "d/d/": "", "d/a b;c": "12"})
	symlink(t, "/no where", filepath.Join(root, "d/far"))
	symlink(t, "a;b", filepath.Join(root, "d/odd"))
	symlink(t, "d", filepath.Join(root, "link"))
	for name, mode := range map[string]fs.FileMode{ // whatever the umask
		".": 0o755, "d": 0o755, "d/d": 0o755, "d/.hidden": 0o644, "d/a b;c": 0o644,
		"d/f": 0o650 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky,
	} {
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	recent := time.Now().UTC().Add(-24 * time.Hour)
	for name, at := range map[string]time.Time{"d/d": long, "d/.hidden": long, "d/a b;c": long, "d/f": recent, "d": long} {
		if err := os.Chtimes(filepath.Join(root, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	fi, err := os.Lstat(filepath.Join(root, "d/far"))
	if err != nil {
		t.Fatal(err)
	}
	odd, err := os.Lstat(filepath.Join(root, "d/odd"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(root, odd.ModTime(), fi.ModTime()); err != nil { // of ".."
		t.Fatal(err)
	}
	return recent, fi.ModTime().UTC()
}

func TestListings(t *testing.T) {
	root, addr := start(t, server.Config{})
	ofFile, ofLinks := listing(t, root)
	c := login(t, addr)
	check := func(line string, want ...string) {
		t.Helper()
		got, final := c.get(line)
		if diff := cmp.Diff(want, listed(got)); diff != "" || final != complete {
			t.Error(line, final, diff)
		}
	}
	file, link := ofFile.Format("Jan _2 15:04"), ofLinks.Format("Jan _2 15:04")
	long := []string{
		"-rw-r--r--   1 N N 2 Jan  2  2020 a b;c",
		"drwxr-xr-x   2 N N SIZE Jan  2  2020 d",
		"-rwSr-s--T   1 N N 5 " + file + " f",
		"lrwxrwxrwx   1 N N 9 " + link + " far -> /no where",
		"lrwxrwxrwx   1 N N 3 " + link + " odd -> a;b",
	}
	check("LIST d", long...)
	check("LIST /link/", long...)
	check("LIST -la d", append([]string{
		"drwxr-xr-x   3 N N SIZE Jan  2  2020 .",
		"drwxr-xr-x   3 N N SIZE " + link + " ..",
		"-rw-r--r--   1 N N 0 Jan  2  2020 .hidden",
	}, long...)...)
	check("LIST d/a b;c", "-rw-r--r--   1 N N 2 Jan  2  2020 d/a b;c")
	check("LIST d/odd", "lrwxrwxrwx   1 N N 3 "+link+" d/odd -> a;b")
	check("LIST d/d")
	check("NLST d", "d/a b;c", "d/d", "d/f", "d/far", "d/odd")
	check("NLST d/f", "d/f")
	c.cmd("CWD d", "250 CWD command successful")
	check("LIST", long...)
	check("NLST", "a b;c", "d", "f", "far", "odd")

	stamp, linkStamp := ofFile.Format("20060102150405"), ofLinks.Format("20060102150405")
	facts := func(modify, perm, rest, mode string) string {
		return fmt.Sprintf("modify=%s;perm=%s;%s;unique=X;UNIX.group=N;UNIX.mode=%s;UNIX.owner=N; ", modify, perm, rest, mode)
	}
	dir, plain := "flcdmpe", "adfrw"
	check("MLSD",
		facts("20200102030405", dir, "type=cdir", "0755")+".",
		facts(linkStamp, dir, "type=pdir", "0755")+"..",
		facts("20200102030405", plain, "size=0;type=file", "0644")+".hidden",
		facts("20200102030405", plain, "size=2;type=file", "0644")+"a b;c",
		facts("20200102030405", dir, "type=dir", "0755")+"d",
		facts(stamp, plain, "size=5;type=file", "07650")+"f",
		facts(linkStamp, plain, "size=9;type=OS.unix=slink:/no where", "0777")+"far",
		facts(linkStamp, plain, "size=3;type=OS.unix=slink:", "0777")+"odd",
	)
	c.cmd("OPTS MLST size;type;", "200 MLST OPTS size;type;")
	check("MLSD d", "type=cdir; .", "type=pdir; ..")
	c.cmd("MLST f", "250 Start of list for f\n size=5;type=file; /d/f\nEnd of list")
	c.cmd("MLST", "250 Start of list for /d\n type=dir; /d\nEnd of list")
	c.cmd("MLST ../link", "250 Start of list for ../link\n size=1;type=OS.unix=slink:d; /link\nEnd of list")
	c.cmd("OPTS MLST", "200 MLST OPTS")
	c.cmd("MLST f", "250 Start of list for f\n  /d/f\nEnd of list")
}

func TestRefusedListings(t *testing.T) {
	root, addr := start(t, server.Config{})
	tree(t, root, map[string]string{"f": ""})
	c := login(t, addr)
	c.cmd("MLST nope", "550 'nope' cannot be listed")
	c.cmd("STAT nope", "450 nope: No such file or directory")
	for line, want := range map[string]string{
		"LIST nope": "450 nope: No such file or directory", // after an empty listing
		"NLST nope": "450 nope: No such file or directory",
		"MLSD nope": "550 nope: No such file or directory",
		"MLSD f":    "550 'f' is not a directory",
	} {
		if got, final := c.get(line); got != "" || final != want {
			t.Errorf("%s: %q, %q", line, got, final)
		}
	}
}

func TestStat(t *testing.T) {
	root, addr := start(t, server.Config{})
	ofFile, _ := listing(t, root)
	c := login(t, addr)
	c.cmd("STAT", "211 Status of the FTP server\n Connected from 127.0.0.1\n Logged in as u\nEnd of status")
	c.send("STAT d/f\r\n")
	got := regexp.MustCompile(` \d+ +\d+ +5 `).ReplaceAllString(c.read(), " N N 5 ")
	want := "213 Status of d/f:\n -rwSr-s--T   1 N N 5 " + ofFile.Format("Jan _2 15:04") + " d/f\nEnd of status"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c.send("STAT d\r\n")
	if got := c.read(); !strings.HasPrefix(got, "212 Status of d:\n drwxr-xr-x ") || strings.Count(got, "\n") != 9 {
		t.Error(got)
	}
}
