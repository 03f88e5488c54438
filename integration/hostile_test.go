//go:build linux

package integration

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn/ftptest"
)

// hostileLimit is how long a command may take on a listing that is hostile.
const hostileLimit = 10 * time.Second

// hostile is a listing that a server should not send.
type hostile struct {
	name    string
	lines   []string
	shown   []string // what the mount shows of it, sorted
	refused bool     // some of it is not shown, which the log must say
}

// hostileServer is a server that the test itself runs, mounted. With one
// session nothing is listed ahead: so each folder is listed while its own
// fault is in force.
func hostileServer(t *testing.T, faults ...ftptest.Fault) (*ftptest.Server, *mounted) {
	t.Helper()
	s := ftptest.Start(t)
	for _, f := range faults {
		s.Fault(f)
	}
	m := &mounted{Dir: mountpoint(t), Cache: t.TempDir()}
	m.run(t, []string{"--foreground", faultTimeout, "--max-connections=1", "--cache-dir", m.Cache, s.URL(), m.Dir})
	return s, m
}

// mlsd is a line of an MLSD listing (RFC 3659, section 7).
func mlsd(kind, name string) string {
	return "type=" + kind + ";size=5;modify=20240504120000;UNIX.mode=0644; " + name
}

// unixLine is a line of a LIST listing as most servers send it.
func unixLine(mode, name string) string {
	return mode + "   1 me       me              5 May  4  2024 " + name
}

// hostileNames are what no listing may make us show or follow.
var hostileNames = []string{"../escape", "..", ".", "/etc/passwd", "a/b", "a/../../b", "nul\x00l", "cr\rcr"}

func hostileLists(line func(dir bool, name string) string) []hostile {
	var names hostile
	for i, name := range hostileNames {
		names.lines = append(names.lines, line(i%2 == 0, name))
	}
	plain := line(false, "plain")
	long := strings.Repeat("n", 255)
	return []hostile{
		{"names", append(names.lines, plain), []string{"plain"}, true},
		{"empty name", []string{line(false, ""), plain}, []string{"plain"}, true},
		{"long names", []string{line(false, long), line(false, long+"n"), line(false, strings.Repeat("x", 5000)), plain}, []string{long, "plain"}, true},
		{"twice", []string{line(false, "twice"), line(true, "twice"), plain}, []string{"plain", "twice"}, false},
		{"ours", []string{line(false, ".ftpfs-00000000-aaaaaaaaaaaaa.tmp"), plain}, []string{"plain"}, false},
		{"strange but true", []string{line(false, "\x1b[31mred"), line(false, "-rf"), line(false, "a;b c"), line(false, "\xff\xfe"), line(false, "*")},
			[]string{"\x1b[31mred", "*", "-rf", "a;b c", "\xff\xfe"}, false},
		{"no listing", []string{"\x7fELF\x01\x02", "<html><body>404</body></html>", "", "   ", "type", plain}, []string{"plain"}, true},
		{"a line without end", []string{plain, strings.Repeat("y", 8<<20)}, []string{"plain"}, true},
		{"many lines", append(slices.Repeat([]string{"what is this"}, 200_000), plain), []string{"plain"}, true},
	}
}

// TestHostileListing: whatever a server sends as a listing, nothing outside
// of its folder is shown or asked for, what can be shown is, what cannot is
// told in the log, and nothing hangs.
func TestHostileListing(t *testing.T) {
	t.Run("MLSD", func(t *testing.T) {
		lists := hostileLists(func(dir bool, name string) string {
			return mlsd(map[bool]string{true: "dir", false: "file"}[dir], name)
		})
		lists = append(lists,
			hostile{"facts", []string{"type=file;size=-5; negative", "type=file;size=99999999999999999999; huge", "type=file;size=9223372036854775807; max",
				"type=file;modify=99999999999999; late", "type=file;modify=20240230250000; never", "type=file;UNIX.mode=7777777; mode", "type=; untyped", mlsd("file", "plain")},
				nil, false},
			hostile{"links", []string{mlsd("OS.unix=slink:/etc/passwd", "passwd"), mlsd("OS.unix=slink:"+strings.Repeat("../", 30)+"etc/passwd", "up"),
				mlsd("OS.unix=symlink", "blind"), mlsd("OS.unix=slink:self", "self"), mlsd("OS.unix=slink:", "empty")}, nil, false})
		hostileRuns(t, lists)
	})
	t.Run("LIST", func(t *testing.T) {
		lists := hostileLists(func(dir bool, name string) string {
			return unixLine(map[bool]string{true: "drwxr-xr-x", false: "-rw-r--r--"}[dir], name)
		})
		lists = append(lists,
			hostile{"links", []string{unixLine("lrwxrwxrwx", "passwd -> /etc/passwd"), unixLine("lrwxrwxrwx", "up -> "+strings.Repeat("../", 30)+"etc/passwd"),
				unixLine("lrwxrwxrwx", "self -> self"), unixLine("lrwxrwxrwx", "../out -> x"), unixLine("lrwxrwxrwx", "odd -> a -> b")}, nil, false})
		hostileRuns(t, lists, ftptest.NoMLSD())
	})
}

func hostileRuns(t *testing.T, lists []hostile, faults ...ftptest.Fault) {
	s, m := hostileServer(t, faults...)
	m.Expect("level=WARN")
	for i := range lists {
		must(t, os.Mkdir(fmt.Sprintf("%s/c%d", s.Root, i), 0o755))
	}
	sh(t, m.Dir, "ls")
	for i, h := range lists {
		t.Run(h.name, func(t *testing.T) {
			defer s.Fault(ftptest.Listing(strings.Join(h.lines, "\r\n") + "\r\n"))()
			start, logged := time.Now(), len(m.Log())
			shown := hostileWalk(t, fmt.Sprintf("%s/c%d", m.Dir, i))
			if d := cmp.Diff(h.shown, shown); h.shown != nil && d != "" {
				t.Errorf("shown (-want +got):\n%s", d)
			}
			if h.refused && !strings.Contains(m.Log()[logged:], "level=WARN") {
				t.Error("the log does not say that something is not shown")
			}
			if d := time.Since(start); d > hostileLimit {
				t.Errorf("it took %v", d)
			}
		})
	}
	hostileCommands(t, s)
	sh(t, m.Dir, "echo x > after; mkdir d; mv after d; cat d/after; rm -r d") // the mount lives
}

// hostileWalk does with each name what a user does, and checks that nothing
// of this machine shows through. It returns the names.
func hostileWalk(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		name := dir + "/" + e.Name()
		names = append(names, e.Name())
		if strings.Contains(e.Name(), "/") || e.Name() == "." || e.Name() == ".." {
			t.Errorf("%q is shown", e.Name())
		}
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("lstat of what is shown: %v", err)
		}
		if target, err := os.Readlink(name); err == nil && (path.IsAbs(target) || !localTarget(target)) {
			t.Errorf("%q leads to %q", e.Name(), target)
		}
		if b, err := os.ReadFile(name); err == nil {
			t.Errorf("%q can be read: %.100q", e.Name(), b)
		}
		if e.IsDir() {
			os.ReadDir(name)
		}
	}
	slices.Sort(names)
	return names
}

// localTarget reports whether a link in a folder of the mount's root stays in
// the mount.
func localTarget(target string) bool {
	clean := path.Join("c0", target)
	return clean != ".." && !strings.HasPrefix(clean, "../")
}

// hostileCommands checks that no command has named anything outside.
func hostileCommands(t *testing.T, s *ftptest.Server) {
	t.Helper()
	for _, c := range s.Log() {
		if slices.Contains(strings.Split(c.Arg, "/"), "..") || strings.Contains(c.Arg, "passwd/") || strings.Contains(c.Arg, "etc") {
			t.Errorf("the server was asked: %s %q", c.Verb, c.Arg)
		}
	}
}

// TestHostileRemove: rm -rf on a hostile listing removes nothing but what is
// below the folder.
func TestHostileRemove(t *testing.T) {
	s, m := hostileServer(t)
	m.Expect("level=WARN")
	must(t, errors.Join(os.MkdirAll(s.Root+"/victim", 0o755), os.WriteFile(s.Root+"/keep", []byte("keep"), 0o644)))
	sh(t, m.Dir, "ls")
	var lines []string
	for _, name := range append(hostileNames, "../keep") {
		lines = append(lines, mlsd("file", name), mlsd("dir", name))
	}
	lines = append(lines, mlsd("OS.unix=slink:../keep", "link"), mlsd("OS.unix=slink:/", "root"))
	remove := s.Fault(ftptest.Listing(strings.Join(lines, "\r\n") + "\r\n"))
	s.ResetLog()
	start := time.Now()
	command(m.Dir, "timeout", "20", "rm", "-rf", "--one-file-system", "victim") // what it says does not matter
	if d := time.Since(start); d > hostileLimit {
		t.Errorf("rm took %v", d)
	}
	remove()
	hostileCommands(t, s)
	for _, c := range s.Log() {
		if slices.Contains([]string{"DELE", "RMD"}, c.Verb) && !strings.HasPrefix(c.Arg, "/victim") && !temporaryName.MatchString(c.Arg) {
			t.Errorf("the server was asked: %s %q", c.Verb, c.Arg)
		}
	}
	must(t, holds(s.Root+"/keep", []byte("keep")))
}

// TestListingTruncated: Pure-FTPd sends 10,000 names at most, and says so only
// in the text of its 226. Nobody would know that there are more.
func TestListingTruncated(t *testing.T) {
	s, m := hostileServer(t)
	m.Expect("level=WARN")
	for i := range 9 {
		must(t, os.WriteFile(fmt.Sprintf("%s/f%d", s.Root, i), nil, 0o644))
	}
	s.Fault(ftptest.TruncateListing(5))
	_, err := os.ReadDir(m.Dir)
	if log := m.Log(); err == nil && !strings.Contains(log, "level=WARN") {
		t.Error("it is neither an error nor in the log")
	}
}

// TestListingBreaks: a listing that stalls, or is cut, is an error in time,
// never one with fewer names.
func TestListingBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		fault  ftptest.Fault
		errnos []syscall.Errno
	}{
		"stalls":   {ftptest.StallData("MLSD", 100), []syscall.Errno{syscall.ETIMEDOUT}},
		"is cut":   {ftptest.CutData("MLSD", 100), []syscall.Errno{syscall.EIO}},
		"is reset": {ftptest.CutData("MLSD", 100).ByReset(), []syscall.Errno{syscall.EIO}},
		"no 226":   {ftptest.DropAfter("MLSD"), []syscall.Errno{syscall.EIO, syscall.EHOSTDOWN}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := hostileServer(t)
			m.Expect("level=WARN")
			must(t, os.Mkdir(s.Root+"/d", 0o755))
			for i := range 20 {
				must(t, os.WriteFile(fmt.Sprintf("%s/d/f%d", s.Root, i), nil, 0o644))
			}
			sh(t, m.Dir, "ls")
			remove := s.Fault(c.fault)
			start := time.Now()
			entries, err := os.ReadDir(m.Dir + "/d")
			if d := time.Since(start); d > faultLimit {
				t.Errorf("it took %v", d)
			}
			t.Logf("%d names, %v", len(entries), err)
			wantErrno(t, err, c.errnos...)
			remove()
			eventually(t, 10*time.Second, func() error {
				entries, err := os.ReadDir(m.Dir + "/d")
				if err == nil && len(entries) != 20 {
					err = fmt.Errorf("%d names", len(entries))
				}
				return err
			})
		})
	}
}
