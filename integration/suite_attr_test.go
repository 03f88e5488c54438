//go:build linux

package integration

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attributeCases are about what stat(2) shows and what changes it.
func attributeCases() []conformanceCase {
	return []conformanceCase{
		{name: "stat", prepare: aged, run: statShows},
		{name: "stat-own", run: statOwn},
		{name: "chmod", run: chmod},
		{name: "utimes", run: utimes},
		{name: "utimes-folder", run: utimesFolder},
		{name: "chown", run: chown, remote: true},
		{name: "ids", prepare: aged, run: ids, remote: true},
		{name: "symlinks", prepare: linked, run: symlinks},
		{name: "symlinks-made", run: symlinksMade},
		{name: "symlinks-rm", prepare: linkedOut, run: symlinksRemoved},
	}
}

// ages are modification times that servers print in different ways.
func ages() map[string]time.Time {
	now := time.Now()
	return map[string]time.Time{
		"an-hour":   now.Add(-time.Hour),
		"a-month":   now.AddDate(0, -1, 0),
		"7-months":  now.AddDate(0, -7, 0),
		"ten-years": now.AddDate(-10, 0, 0),
		"1999":      time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC),
		"future":    now.AddDate(0, 0, 40),
		"leap":      time.Date(2020, 2, 29, 12, 30, 45, 0, time.UTC),
	}
}

func aged(t testing.TB, served string) {
	size := 0
	for name, at := range ages() {
		put(t, served+"/"+name, make([]byte, size))
		must(t, os.Chtimes(served+"/"+name, at, at))
		must(t, os.Chmod(served+"/"+name, []os.FileMode{0o644, 0o600, 0o755, 0o640}[size%4]))
		size++
	}
	putDir(t, served+"/dir")
	must(t, os.Chmod(served+"/dir", 0o750))
}

// Times are exact to the second in folders of moderate size.
func statShows(t testing.TB, e env) {
	const script = "stat -c '%n %F %s %a %Y' 1999 a-month an-hour future leap ten-years 7-months"
	equal(t, "stat", sh(t, e.Dir, script), sh(t, e.Served, script))
	equal(t, "folder", sh(t, e.Dir, "stat -c '%F %a' dir"), "directory 750")
	sh(t, e.Dir, "test an-hour -nt a-month && test a-month -ot future && test -x dir")
}

// What a program just wrote has its size at once and keeps its time.
func statOwn(t testing.TB, e env) {
	start := time.Now().Add(-2 * time.Second)
	f := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE)
	for i := range 10 {
		must(t, errOf(f.Write(make([]byte, 1000))))
		info, err := os.Stat(e.path("f"))
		must(t, err)
		equal(t, "size", info.Size(), int64(i+1)*1000)
	}
	must(t, f.Close())
	info, err := os.Stat(e.path("f"))
	must(t, err)
	if at := info.ModTime(); at.Before(start) || at.After(time.Now().Add(2*time.Second)) {
		t.Errorf("written at %v, modified at %v", start, at)
	}
	again := sh(t, e.Dir, "stat -c %Y f; cat f > /dev/null; ls -l > /dev/null; stat -c %Y f")
	equal(t, "mtime stays", again, fmt.Sprintf("%d\n%[1]d", info.ModTime().Unix()))
	equal(t, "mtime of the server", sh(t, e.Served, "stat -c %Y f"), fmt.Sprint(info.ModTime().Unix()))
	e.Same(t)
}

func chmod(t testing.TB, e env) {
	sh(t, e.Dir, "echo x > f; mkdir d; chmod 600 f; chmod 700 d")
	for _, dir := range []string{e.Dir, e.Served} {
		equal(t, dir, sh(t, dir, "stat -c '%n %a' f d"), "f 600\nd 700")
	}
	sh(t, e.Dir, "chmod u+x f; chmod go+rX f d; echo more >> f")
	for _, dir := range []string{e.Dir, e.Served} {
		equal(t, dir, sh(t, dir, "stat -c '%n %a' f d"), "f 755\nd 755")
	}
	// The mode of a file that is being written, and of one made with a mode.
	f := openFile(t, e.path("g"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(f.WriteString("x")))
	must(t, f.Chmod(0o640))
	must(t, f.Close())
	sh(t, e.Dir, "umask 077; echo x > h; umask 022; echo x > i")
	for _, dir := range []string{e.Dir, e.Served} {
		equal(t, dir, sh(t, dir, "stat -c '%n %a' g h i"), "g 640\nh 600\ni 644")
	}
	sh(t, e.Dir, "echo replaced > h; truncate -s 3 h")
	equal(t, "mode after a write", sh(t, e.Dir, "stat -c %a h"), "600")
	equal(t, "mode after a write, served", sh(t, e.Served, "stat -c %a h"), "600")
}

func utimes(t testing.TB, e env) {
	at := time.Date(2015, 10, 21, 7, 28, 0, 0, time.UTC)
	f := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(f.WriteString("x")))
	must(t, unix.Futimes(int(f.Fd()), []unix.Timeval{{Sec: at.Unix()}, {Sec: at.Unix()}}))
	must(t, f.Close())
	for _, dir := range []string{e.Dir, e.Served} {
		info, err := os.Stat(dir + "/f")
		must(t, err)
		equal(t, dir, info.ModTime().Unix(), at.Unix())
	}
	// Only the access time: the modification time stays.
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, e.path("f"), []unix.Timespec{{Sec: 1e9}, {Nsec: unix.UTIME_OMIT}}, 0))
	equal(t, "mtime", sh(t, e.Served, "stat -c %Y f"), fmt.Sprint(at.Unix()))
	equal(t, "mtime in the mount", sh(t, e.Dir, "stat -c %Y f"), fmt.Sprint(at.Unix()))
	sh(t, e.Dir, "echo y >> f; test $(( $(date +%s) - $(stat -c %Y f) )) -lt 60")
}

// The time of a folder is set; where the server cannot, nobody is told.
func utimesFolder(t testing.TB, e env) {
	sh(t, e.Dir, "mkdir d; echo x > d/f; touch -d '2015-10-21 07:28:00' d")
	for _, dir := range []string{e.Dir, e.Served} {
		equal(t, dir, sh(t, dir, "stat -c %Y d"), "1445412480")
	}
}

// chown to oneself succeeds, as cp -p and tar of root need; FTP cannot give
// files to others.
func chown(t testing.TB, e env) {
	must(t, os.WriteFile(e.path("f"), []byte("x"), 0o644))
	must(t, os.Chown(e.path("f"), 0, 0))
	must(t, os.Chown(e.path("f"), -1, 0))
	wantErrno(t, os.Chown(e.path("f"), 1234, 1234), syscall.EPERM, syscall.EOPNOTSUPP)
	equal(t, "owner", sh(t, e.Dir, "stat -c '%u %g' f"), "0 0")
}

func ids(t testing.TB, e env) {
	equal(t, "owners", sh(t, e.Dir, "find . -printf '%U %G\n' | sort -u"), fmt.Sprintf("%d %d", os.Getuid(), os.Getgid()))
}

func linked(t testing.TB, served string) {
	put(t, served+"/file", []byte("linked"))
	putDir(t, served+"/dir")
	put(t, served+"/dir/inside", []byte("inside"))
	must(t, os.Symlink("file", served+"/to-file"))
	must(t, os.Symlink("dir", served+"/to-dir"))
	must(t, os.Symlink("../symlinks/dir/inside", served+"/to inside"))
	must(t, os.Symlink("to-file", served+"/to-link"))
}

func symlinks(t testing.TB, e env) {
	for name, target := range map[string]string{"to-file": "file", "to-dir": "dir", "to inside": "../symlinks/dir/inside", "to-link": "to-file"} {
		got, err := os.Readlink(e.path(name))
		must(t, err)
		equal(t, name, got, target)
	}
	equal(t, "ls", sh(t, e.Dir, "ls -F"), "dir/\nfile\nto inside@\nto-dir@\nto-file@\nto-link@")
	equal(t, "through", sh(t, e.Dir, "cat to-file; cat to-dir/inside; cat 'to inside'; cat to-link"), "linkedinsideinsidelinked")
	equal(t, "stat -L", sh(t, e.Dir, "stat -L -c '%F %s' to-file 'to inside'"), "regular file 6\nregular file 6")
	sh(t, e.Dir, "echo written > to-file; echo new > to-dir/new; ls to-dir/")
	e.Holds(t, "file", []byte("written\n"))
	e.Holds(t, "dir/new", []byte("new\n"))
	sh(t, e.Dir, "mv to-file renamed; rm to-link; cat renamed")
	equal(t, "on the server", sh(t, e.Served, "readlink renamed; cat file"), "file\nwritten")
	e.Gone(t, "to-link")
	e.Same(t)
}

func symlinksMade(t testing.TB, e env) {
	sh(t, e.Dir, "echo content > file; mkdir dir; echo inside > dir/inside; ln -s file to-file; ln -s ../file dir/up; ln -s dir to-dir")
	for name, target := range map[string]string{"to-file": "file", "to-dir": "dir", "dir/up": "../file"} {
		got, err := os.Readlink(e.path(name))
		must(t, err)
		equal(t, name, got, target)
	}
	equal(t, "through", sh(t, e.Dir, "cat to-file to-dir/inside dir/up"), "content\ninside\ncontent")
	equal(t, "on the server", sh(t, e.Served, "test -L to-file -a -L to-dir -a -L dir/up; echo $?"), "0")
	wantErrno(t, os.Symlink("file", e.path("to-file")), syscall.EEXIST)
	if e.Remote {
		wantErrno(t, os.Symlink("/etc/passwd", e.path("out")), syscall.EPERM)
	}
	sh(t, e.Dir, "ln -sf dir/inside to-file; cat to-file; rm to-file dir/up to-dir; ls")
	e.Same(t)
}

func linkedOut(t testing.TB, served string) {
	putDir(t, served+"/keep")
	put(t, served+"/keep/precious", []byte("precious"))
	putDir(t, served+"/tree")
	put(t, served+"/tree/f", []byte("f"))
	must(t, os.Symlink("../keep", served+"/tree/out"))
	must(t, os.Symlink("../keep/precious", served+"/tree/out-file"))
}

// rm -rf removes links, never what they lead to.
func symlinksRemoved(t testing.TB, e env) {
	sh(t, e.Dir, "rm -rf tree")
	e.Gone(t, "tree")
	e.Holds(t, "keep/precious", []byte("precious"))
	e.Same(t)
}
