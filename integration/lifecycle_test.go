//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDetach: the usual form returns once the mount works and leaves a
// process of its own session behind.
func TestDetach(t *testing.T) {
	s, dir, cache := startServer(t, vsftpd), mountpoint(t), t.TempDir()
	put(t, s.Served+"/hello", []byte("hello"))
	st := detach(t, nil, dir, s.urlWithPassword("/"), "--cache-dir", cache)
	equal(t, "mountpoint", st.Mountpoint, dir)
	equal(t, "mounted", st.Mounted, true)
	equal(t, "url", st.URL, s.URL("/"))
	stat := strings.Fields(tailOf(fmt.Sprintf("/proc/%d/stat", st.PID), 1<<12))
	equal(t, "session", stat[5], fmt.Sprint(st.PID))
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", st.PID))
	must(t, err)
	equal(t, "working directory", cwd, "/")
	equal(t, "hello", sh(t, dir, "cat hello; cp hello copy; cat copy"), "hellohello")
	if o := ftpfs(t, nil, "status", dir); o.Code != 0 || !strings.Contains(o.Stdout, dir) {
		t.Errorf("ftpfs status ended with %d: %s%s", o.Code, o.Stdout, o.Stderr)
	}
	umountDetached(t, dir)
	equal(t, "copy", sh(t, s.Served, "cat copy"), "hello")
	if left := pendingIn(cache); len(left) > 0 {
		t.Errorf("pending: %q", left)
	}
	if o := ftpfs(t, nil, "umount", dir); o.Code == 0 || o.Stderr == "" {
		t.Errorf("umount of nothing ended with %d: %s", o.Code, o.Stderr)
	}
	if o := ftpfs(t, nil, "status", dir); o.Code == 0 {
		t.Errorf("status of nothing: %s", o.Stdout)
	}
}

// endings are the ways to end a mount.
func endings() map[string]func(t *testing.T, m *mounted) {
	return map[string]func(t *testing.T, m *mounted){
		"umount":      func(t *testing.T, m *mounted) { m.Unmount(t) },
		"SIGINT":      func(t *testing.T, m *mounted) { must(t, m.cmd.Process.Signal(syscall.SIGINT)) },
		"SIGTERM":     func(t *testing.T, m *mounted) { must(t, m.cmd.Process.Signal(syscall.SIGTERM)) },
		"fusermount3": func(t *testing.T, m *mounted) { sh(t, "/", "fusermount3 -u "+m.Dir) },
	}
}

// TestEndings: whatever ends the mount, what was written is on the server
// when the process has ended.
func TestEndings(t *testing.T) {
	for name, end := range endings() {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, vsftpd)
			m := mount(t, s)
			// Files that were only created, and one whose last bytes were
			// written after its first close, reach the server in the background.
			sh(t, m.Dir, "for i in $(seq 20); do : > empty$i; done; { for i in $(seq 30); do /bin/echo $i; done; } > shared; echo plain > plain")
			end(t, m)
			m.Wait(t)
			if left, ok := mountedAt(m.Dir); ok {
				t.Errorf("still mounted: %v", left)
			}
			equal(t, "empty files", sh(t, s.Served, "ls | grep -c empty"), "20")
			equal(t, "shared", sh(t, s.Served, "cat shared"), sh(t, "/", "seq 30"))
			equal(t, "plain", sh(t, s.Served, "cat plain"), "plain")
			noTemporaries(t, s.Served)
		})
	}
}

// TestEndWhileWriting: a program is in the middle of close(2) when the mount
// is told to end; its data arrives and it hears of success.
func TestEndWhileWriting(t *testing.T) {
	s := startServer(t, proftpd)
	m := mount(t, s)
	f := openFile(t, m.Dir+"/f", os.O_RDWR|os.O_CREATE)
	must(t, errOf(f.WriteString("one ")))
	must(t, f.Sync())
	must(t, errOf(f.WriteString("two")))
	s.Freeze()
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	must(t, m.cmd.Process.Signal(syscall.SIGTERM))
	s.Thaw()
	must(t, <-closed)
	m.Wait(t)
	must(t, holds(s.Served+"/f", []byte("one two")))
}

// TestUmountBusy: a mount with open files is detached at once; the files work
// until they are closed, and the process ends then.
func TestUmountBusy(t *testing.T) {
	s := startServer(t, proftpd)
	m := mount(t, s)
	f := openFile(t, m.Dir+"/f", os.O_RDWR|os.O_CREATE)
	must(t, errOf(f.WriteString("one ")))
	if o := ftpfs(t, nil, "umount", m.Dir); o.Code != 0 {
		t.Errorf("ftpfs umount ended with %d: %s", o.Code, o.Stderr)
	}
	if left, ok := mountedAt(m.Dir); ok {
		t.Errorf("still mounted: %v", left)
	}
	must(t, errOf(f.WriteString("two")))
	must(t, f.Close())
	m.Wait(t)
	must(t, holds(s.Served+"/f", []byte("one two")))
}

// TestDeadMount: a mount whose process was killed is replaced by the next one
// at the same place.
func TestDeadMount(t *testing.T) {
	s := startServer(t, vsftpd)
	m := mount(t, s)
	sh(t, m.Dir, "echo one > f")
	m.Kill()
	wantErrno(t, errOf(os.Stat(m.Dir)), syscall.ENOTCONN)
	m.Start(t)
	equal(t, "after the kill", sh(t, m.Dir, "cat f; echo two >> f; cat f"), "one\none\ntwo")
	equal(t, "mounts here", len(mountsBelow(filepath.Dir(m.Dir))), 1)
}

// TestPasswordSources: the password may come from a file, the URL, the
// environment or netrc.
func TestPasswordSources(t *testing.T) {
	s := startServer(t, vsftpd)
	put(t, s.Served+"/hello", []byte("hello"))
	netrc := filepath.Join(t.TempDir(), "netrc")
	must(t, os.WriteFile(netrc, fmt.Appendf(nil, "machine 127.0.0.1 login %s password %s\n", ftpUser, ftpPassword), 0o600))
	for name, source := range map[string]struct {
		env   []string
		flags []string
		url   string
	}{
		"file":        {nil, []string{"--password-file", passwordFile(t, ftpPassword)}, s.URL("/")},
		"option":      {nil, []string{"-o", "password-file=" + passwordFile(t, ftpPassword)}, s.URL("/")},
		"url":         {nil, nil, s.urlWithPassword("/")},
		"environment": {[]string{"FTPFS_PASSWORD=" + ftpPassword}, nil, s.URL("/")},
		"netrc":       {[]string{"NETRC=" + netrc}, nil, s.URL("/")},
	} {
		t.Run(name, func(t *testing.T) {
			dir, cache := mountpoint(t), t.TempDir()
			st := detach(t, source.env, dir, source.url, append(source.flags, "--cache-dir", cache, "--log-level=debug")...)
			equal(t, "hello", sh(t, dir, "cat hello"), "hello")
			noSecret(t, st, cache)
		})
	}
}

// noSecret fails the test if the password can be read from outside: in the
// process's arguments and environment, in the list of mounts, in the log, or
// in any file of the cache.
func noSecret(t *testing.T, st mountStatus, cache string) {
	t.Helper()
	places := []string{fmt.Sprintf("/proc/%d/cmdline", st.PID), fmt.Sprintf("/proc/%d/environ", st.PID), "/proc/mounts", st.Log}
	must(t, filepath.WalkDir(cache, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places = append(places, p)
		}
		return err
	}))
	for _, p := range places {
		b, err := os.ReadFile(p)
		if os.IsNotExist(err) {
			continue // a copy that was let go meanwhile
		}
		must(t, err)
		for _, secret := range []string{ftpPassword, escapedPassword} {
			if strings.Contains(string(b), secret) {
				t.Errorf("the password is in %s", p)
			}
		}
	}
	if !strings.Contains(tailOf(st.Log, 1<<20), "level=DEBUG") {
		t.Error("no debug line in the log: nothing was tested")
	}
}

// TestAnonymous: a URL without a user.
func TestAnonymous(t *testing.T) {
	s := startServer(t, vsftpd, "anonymous_enable=YES", "no_anon_password=NO", "ftp_username="+ftpUser)
	must(t, os.Chmod(s.Served, 0o555)) // vsftpd refuses a writable root to anonymous
	put(t, s.Served+"/hello", []byte("hello"))
	dir := mountpoint(t)
	detach(t, nil, dir, "ftp://"+s.Addr()+"/", "--cache-dir", t.TempDir())
	equal(t, "hello", sh(t, dir, "cat hello"), "hello")
	shFails(t, dir, "echo x > f")
	umountDetached(t, dir)
}

// TestRemoteFolder: the URL may name any folder, escaped.
func TestRemoteFolder(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			putDir(t, s.Served+"/a b")
			putDir(t, s.Served+"/a b/ünï#?")
			put(t, s.Served+"/a b/ünï#?/hello", []byte("hello"))
			dir := mountpoint(t)
			detach(t, nil, dir, s.URL("/a b/ünï#?/"), "--password-file", passwordFile(t, ftpPassword), "--cache-dir", t.TempDir())
			equal(t, "names", sh(t, dir, "ls; cat hello; echo x > x; mkdir d; echo y > d/y; mv d e; cat e/y"), "hello\nhelloy")
			equal(t, "on the server", sh(t, s.Served, "cat 'a b/ünï#?/x' 'a b/ünï#?/e/y'"), "x\ny")
			umountDetached(t, dir)
		})
	}
}

// TestDemo: the demo runs without any server and leaves nothing.
func TestDemo(t *testing.T) {
	dir := mountpoint(t)
	const files = "find tmp run cache home -path 'tmp/TestDemo*' -prune -o -print | sort"
	before := sh(t, the.dir, files)
	m := &mounted{Dir: dir}
	m.run(t, []string{"demo", dir})
	sh(t, dir, "test -n \"$(find . -type f)\"; find . -type f -exec cat {} + > /dev/null; echo mine > mine; mkdir d; mv mine d; cat d/mine")
	must(t, m.cmd.Process.Signal(syscall.SIGINT))
	m.Wait(t)
	equal(t, "files", sh(t, the.dir, files), before)
	eventually(t, 5*time.Second, func() error {
		if left := processesOf(the.binary); len(left) > 0 {
			return fmt.Errorf("processes %v left", left)
		}
		return nil
	})
}
