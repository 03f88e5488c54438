//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"
)

// foreignFiles is what the server has before others change it.
func foreignFiles(t *testing.T, s *server) {
	t.Helper()
	for _, name := range []string{"changed", "touched", "deleted", "becomes-folder", "stays"} {
		put(t, s.Served+"/"+name, []byte("first"))
	}
	putDir(t, s.Served+"/dir")
	putDir(t, s.Served+"/becomes-file")
}

// seeFirst makes the mount know all of it, content included.
func seeFirst(t *testing.T, m *mounted) {
	t.Helper()
	equal(t, "content", sh(t, m.Dir, "ls . dir becomes-file > /dev/null; cat changed touched deleted becomes-folder stays"), "firstfirstfirstfirstfirst")
	shFails(t, m.Dir, "stat dir/appears")
}

// changeAll changes the files on the server's disk, as another client does.
func changeAll(t *testing.T, s *server) {
	t.Helper()
	put(t, s.Served+"/changed", []byte("second version"))
	put(t, s.Served+"/touched", []byte("other")) // the same size: the time must tell
	later := time.Now().Add(5 * time.Second)
	must(t, os.Chtimes(s.Served+"/touched", later, later))
	for _, name := range []string{"deleted", "becomes-folder", "becomes-file"} {
		must(t, os.Remove(s.Served+"/"+name))
	}
	putDir(t, s.Served+"/becomes-folder")
	put(t, s.Served+"/becomes-folder/f", []byte("in"))
	put(t, s.Served+"/becomes-file", []byte("file"))
	put(t, s.Served+"/dir/appears", []byte("new"))
}

// seesSecond returns what the mount does not yet show of the changes.
func seesSecond(m *mounted) error {
	errs := []error{
		holds(m.Dir+"/changed", []byte("second version")), holds(m.Dir+"/touched", []byte("other")),
		holds(m.Dir+"/becomes-folder/f", []byte("in")), holds(m.Dir+"/becomes-file", []byte("file")),
		holds(m.Dir+"/dir/appears", []byte("new")), holds(m.Dir+"/stays", []byte("first")),
	}
	if _, err := os.Stat(m.Dir + "/deleted"); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("deleted: %v", err))
	}
	return errors.Join(errs...)
}

// TestForeignChanges: what others change on the server shows after --dir-ttl.
func TestForeignChanges(t *testing.T) {
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			foreignFiles(t, s)
			m := mount(t, s, "--dir-ttl=1s")
			seeFirst(t, m)
			changeAll(t, s)
			eventually(t, 6*time.Second, func() error { return seesSecond(m) })
			the.found.ended(t, "")
		})
	}
}

// TestRefresh: with a long --dir-ttl, refresh shows the changes at once.
func TestRefresh(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			foreignFiles(t, s)
			m := mount(t, s, "--dir-ttl=1h")
			seeFirst(t, m)
			changeAll(t, s)
			if o := ftpfs(t, nil, "refresh", m.Dir); o.Code != 0 {
				t.Fatalf("ftpfs refresh ended with %d: %s", o.Code, o.Stderr)
			}
			must(t, seesSecond(m))
		})
	}
}

// TestDeferredUpload: a version that close(2) called safe but left for later
// is what the server gets, though the next program is already writing.
func TestDeferredUpload(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			m := mount(t, s)
			sh(t, m.Dir, "{ /bin/echo one; /bin/echo two; /bin/echo three; } > f")
			f := openFile(t, m.Dir+"/f", os.O_WRONLY|os.O_TRUNC)
			must(t, errOf(f.WriteString("half")))
			eventually(t, 5*time.Second, func() error { return holds(s.Served+"/f", []byte("one\ntwo\nthree\n")) })
			must(t, errOf(f.WriteString(" and half")))
			must(t, f.Close())
			eventually(t, 5*time.Second, func() error { return holds(s.Served+"/f", []byte("half and half")) })
			must(t, holds(m.Dir+"/f", []byte("half and half")))
		})
	}
}
