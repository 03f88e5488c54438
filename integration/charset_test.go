//go:build linux

package integration

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCharset: names that the server has in a charset are shown in UTF-8, and
// files are found and made by them. What is no character of it stays a name.
func TestCharset(t *testing.T) {
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			if k == pyftpdlib {
				onlyUTF8(t)
				the.found.ended(t, "knows only UTF-8 names")
				return
			}
			s := startServer(t, k)
			m := mount(t, s, "--charset", "GBK")
			inCharset(t, m, s.Served, map[string]string{"\xc4\xe3\xba\xc3": "你好", "bad\xff\x81": "bad‛FF‛81", "\xb1\xed with\xa1\xa1space": "表 with　space"}, "日本", "\xc8\xd5\xb1\xbe")
			wantErrno(t, os.Mkdir(m.Dir+"/🙂", 0o755), syscall.EILSEQ)
			wantErrno(t, os.Mkdir(m.Dir+"/‛41", 0o755), syscall.EILSEQ)
			wantErrno(t, errOf(os.Lstat(m.Dir+"/🙂")), syscall.ENOENT)
			m.Unmount(t)
			must(t, os.RemoveAll(s.Served+"/\xc4\xe3\xba\xc3"))
			m = mount(t, s, "--charset", "latin1")
			inCharset(t, m, s.Served, map[string]string{"caf\xe9": "café", "\xff": "ÿ", "\x85": "\u0085"}, "Ærøskøbing", "\xc6r\xf8sk\xf8bing")
			the.found.ended(t, "")
		})
	}
}

// inCharset works in a mount with names, as they are on the server and as they
// are shown. made is what a new file is called here, and wire there.
func inCharset(t *testing.T, m *mounted, served string, names map[string]string, made, wire string) {
	t.Helper()
	var want []string
	for raw, shown := range names {
		putDir(t, served+"/"+raw)
		put(t, served+"/"+raw+"/"+raw, []byte(raw))
		want = append(want, shown)
	}
	slices.Sort(want)
	command("/", the.program(t), "refresh", m.Dir)
	got := namesIn(t, m.Dir)
	if d := cmp.Diff(want, slices.DeleteFunc(got, func(n string) bool { return !slices.Contains(want, n) })); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	for raw, shown := range names {
		must(t, holds(m.Dir+"/"+shown+"/"+shown, []byte(raw)))
		must(t, os.WriteFile(m.Dir+"/"+shown+"/"+made, []byte(made), 0o644))
		must(t, holds(served+"/"+raw+"/"+wire, []byte(made)))
		must(t, os.Rename(m.Dir+"/"+shown+"/"+shown, m.Dir+"/"+shown+"/x"))
		must(t, holds(served+"/"+raw+"/x", []byte(raw)))
		must(t, os.Rename(m.Dir+"/"+shown+"/x", m.Dir+"/"+shown+"/"+made))
		must(t, holds(served+"/"+raw+"/"+wire, []byte(raw)))
		must(t, os.Mkdir(m.Dir+"/"+shown+"/"+shown, 0o755))
		must(t, os.Chmod(m.Dir+"/"+shown+"/"+shown, 0o700))
		must(t, os.RemoveAll(m.Dir+"/"+shown))
		if _, err := os.Lstat(served + "/" + raw); !os.IsNotExist(err) {
			t.Errorf("%q is still there: %v", raw, err)
		}
	}
}

// onlyUTF8: a name that the server would change is refused.
func onlyUTF8(t *testing.T) {
	s := startServer(t, pyftpdlib)
	m := mount(t, s, "--charset", "latin1")
	wantErrno(t, os.Mkdir(m.Dir+"/café", 0o755), syscall.EINVAL)
	must(t, os.Mkdir(m.Dir+"/cafe", 0o755))
}
