//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// copyCases are about copies that the server may make.
func copyCases() []conformanceCase {
	return []conformanceCase{{name: "copy-range", run: copyRange}}
}

// copyRange copies whole files, parts, and over what is there, as programs do.
func copyRange(t testing.TB, e env) {
	content := randomBytes(7, 3<<20+5)
	must(t, os.WriteFile(e.path("a b"), content, 0o640))
	sh(t, e.Dir, "cp --reflink=auto 'a b' cp; echo old > over; cp --reflink=auto 'a b' over")
	for _, name := range []string{"cp", "over"} {
		e.Holds(t, name, content)
	}
	for name, c := range map[string]struct{ in, out, n int }{
		"whole": {0, 0, len(content)}, "part": {1000, 0, 5000}, "begin": {0, 0, 4096}, "placed": {0, 10, len(content)},
	} {
		src, dst := openFile(t, e.path("a b"), os.O_RDONLY), openFile(t, e.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		in, out := int64(c.in), int64(c.out)
		for left := c.n; left > 0; {
			n, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, left, 0)
			must(t, err)
			if n == 0 {
				t.Fatalf("%s: nothing is copied, %d are left", name, left)
			}
			left -= n
		}
		must(t, dst.Close())
		must(t, src.Close())
		// Another case that forks can have closed one of several descriptors before.
		e.HoldsSoon(t, name, append(make([]byte, c.out), content[c.in:c.in+c.n]...))
	}
	// One handle copies, and writes on.
	src, dst := openFile(t, e.path("a b"), os.O_RDONLY), openFile(t, e.path("on"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(unix.CopyFileRange(int(src.Fd()), nil, int(dst.Fd()), nil, len(content), 0)))
	must(t, errOf(dst.WriteAt([]byte("other"), 100)))
	must(t, dst.Close())
	copy(content[100:], "other")
	e.HoldsSoon(t, "on", content)
	e.Same(t)
}

// TestServerCopy: where the server copies files, no byte of one travels.
func TestServerCopy(t *testing.T) {
	t.Parallel()
	s := startServer(t, proftpd)
	content := randomBytes(9, 64<<20)
	put(t, s.Served+"/large", content)
	trace := filepath.Join(t.TempDir(), "trace")
	m := mount(t, s, "--trace", trace)
	sh(t, m.Dir, "echo x > first") // an empty file that shows that the directory can be written to
	before := len(tailOf(trace, 1<<30))
	sh(t, m.Dir, "umask 027; cp --reflink=auto large copy; mkdir d; python3 -c 'import os; a = os.open(\"large\", os.O_RDONLY); b = os.open(\"d/copy\", os.O_CREAT | os.O_WRONLY, 0o600); print(os.copy_file_range(a, b, 64 << 20))'")
	for _, name := range []string{"copy", "d/copy"} {
		must(t, holds(s.Served+"/"+name, content))
	}
	equal(t, "modes", sh(t, s.Served, "stat -c %a copy d/copy"), "640\n600")
	equal(t, "in the mount", sh(t, m.Dir, "stat -c '%a %s' copy d/copy"), "640 67108864\n600 67108864")
	said := tailOf(trace, 1<<30)[before:]
	if n := strings.Count(said, "SITE CPTO"); n != 2 {
		t.Errorf("SITE CPTO was said %d times", n)
	}
	for _, verb := range []string{"> RETR ", "> STOR ", "> APPE "} {
		if strings.Contains(said, verb) {
			t.Errorf("%s was said", verb)
		}
	}
	noTemporaries(t, s.Served)
	// A source that root keeps is refused by the server, and to the program.
	must(t, os.WriteFile(s.Served+"/secret", []byte("secret"), 0o600))
	wantErrno(t, errOf(os.ReadFile(m.Dir+"/secret")), syscall.EACCES, syscall.ENOENT)
}
