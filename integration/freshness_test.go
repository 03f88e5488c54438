//go:build linux

package integration

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestPoll: with --poll, what others change in a folder that is open shows
// long before --dir-ttl is over, and a file that grew is read whole.
func TestPoll(t *testing.T) {
	s := startServer(t, vsftpd)
	put(t, s.Served+"/grows", []byte("first"))
	put(t, s.Served+"/goes", nil)
	m := mount(t, s, "--dir-ttl=1h", "--poll=5s")
	dir := openFile(t, m.Dir, os.O_RDONLY)
	defer dir.Close()
	equal(t, "before", sh(t, m.Dir, "ls; cat grows"), "goes\ngrows\nfirst")
	put(t, s.Served+"/grows", []byte("first and second"))
	must(t, os.Remove(s.Served+"/goes"))
	eventually(t, 15*time.Second, func() error {
		if info, err := os.Stat(m.Dir + "/grows"); err != nil || info.Size() != 16 {
			return fmt.Errorf("%v, %v", info, err)
		}
		_, err := os.Stat(m.Dir + "/goes")
		if err == nil {
			return os.ErrExist
		}
		return holds(m.Dir+"/grows", []byte("first and second"))
	})
}

// TestRefreshPath: refresh of a path forgets that alone.
func TestRefreshPath(t *testing.T) {
	s := startServer(t, vsftpd)
	for _, d := range []string{"/a", "/b"} {
		putDir(t, s.Served+d)
		put(t, s.Served+d+"/f", []byte("first"))
	}
	m := mount(t, s, "--dir-ttl=1h")
	equal(t, "before", sh(t, m.Dir, "ls a b | wc -l; cat a/f b/f"), "5\nfirstfirst")
	for _, d := range []string{"/a", "/b"} {
		put(t, s.Served+d+"/new", []byte("new"))
	}
	if o := ftpfs(t, nil, "refresh", m.Dir+"/a"); o.Code != 0 {
		t.Fatalf("ftpfs refresh ended with %d: %s", o.Code, o.Stderr)
	}
	equal(t, "a", sh(t, m.Dir, "ls a"), "f\nnew")
	equal(t, "b", sh(t, m.Dir, "ls b"), "f")
	if o := ftpfs(t, nil, "refresh", m.Dir+"/b/f"); o.Code != 0 { // a file: its folder is asked again
		t.Fatalf("ftpfs refresh ended with %d: %s", o.Code, o.Stderr)
	}
	equal(t, "b", sh(t, m.Dir, "ls b"), "f\nnew")
}

// TestServerAway: while the server is away, what is known of it is shown, and
// nothing is made of it.
func TestServerAway(t *testing.T) {
	s := startServer(t, vsftpd)
	putDir(t, s.Served+"/dir")
	put(t, s.Served+"/dir/f", []byte("known"))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(s.Served+"/dir/f", old, old)) // else it could change within its second
	m := mount(t, s, "--dir-ttl=0", "--retry=0")     // each use asks the server
	m.Expect("level=WARN")                           // of what is written while it is away
	for range 2 {                                    // then the server has said that it has sent all
		equal(t, "before", sh(t, m.Dir, "ls -l dir | wc -l; cat dir/f"), "2\nknown")
	}
	s.Kill()
	equal(t, "away", sh(t, m.Dir, "ls dir; stat -c %s dir/f; cat dir/f"), "f\n5\nknown")
	wantErrno(t, os.WriteFile(m.Dir+"/dir/f", []byte("new"), 0o644), outage...)
	wantErrno(t, os.Mkdir(m.Dir+"/dir/d", 0o755), outage...)
	s.Start(t)
	eventually(t, 15*time.Second, func() error { return os.Mkdir(m.Dir+"/dir/d", 0o755) })
	_, err := os.Stat(m.Dir + "/dir/absent")
	wantErrno(t, err, syscall.ENOENT)
}
